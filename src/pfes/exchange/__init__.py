"""Files of other tools, read and written: lists, ELAN, published features."""
