"""The network: SpotFormer and the heads on it."""
