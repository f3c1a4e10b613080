"""Point-supervised facial expression spotting."""

__version__ = "0.1.0"
