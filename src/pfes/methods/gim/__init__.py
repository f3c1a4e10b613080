"""GIM (Deng, Hayashi, Nagahara): pseudo-labels and losses in three forms."""
