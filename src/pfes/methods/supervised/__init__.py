"""The fully supervised SpotFormer."""
