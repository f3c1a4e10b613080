"""Stage faces: the 68 points and the pose of one face per frame, cuts and tracks, crop and regions of interest."""
