"""HR-Pro: Hierarchical Reliability Propagation. Zhang et al., AAAI 2024, arXiv 2308.12608 (METHOD 10.2)."""
