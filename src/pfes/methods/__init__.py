"""Methods of spotting."""
