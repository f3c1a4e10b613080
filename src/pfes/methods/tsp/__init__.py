"""TSP-Net: Realigning Confidence with Temporal Saliency. Xia et al., CVPR 2024, 10.1109/CVPR52733.2024.01745 (METHOD 10.3)."""
