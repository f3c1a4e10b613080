"""Labelling: the sheet that clicks are written to, the page that they are made in, and how far two coders agree."""
