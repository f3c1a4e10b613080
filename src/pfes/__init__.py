"""Point-supervised facial expression spotting."""

__version__ = "0.2.0"
