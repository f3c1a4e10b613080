"""The end of a run: its page, its tables and figures for a paper, what it had to leave out."""
