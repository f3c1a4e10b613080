"""Point-supervised facial expression spotting."""
