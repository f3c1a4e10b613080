"""Stages flow and snippets: optical flow of every window, its means at the regions of interest, head motion removed."""
