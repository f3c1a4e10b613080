"""What the methods of point-supervised action localisation share (METHOD 10.0); LAC, HR-Pro and TSP-Net use it."""
