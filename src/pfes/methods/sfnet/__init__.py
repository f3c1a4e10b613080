"""SF-Net: Single-Frame Supervision. Ma et al., ECCV 2020, arXiv 2003.06845 (METHOD 10.4)."""
