"""The command pfes: what only the terminal needs."""
