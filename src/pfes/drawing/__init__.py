"""Figures of a run, pictures of a recording."""
