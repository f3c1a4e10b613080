"""Stage spot: the tables of proposals of a run, learned and training-free."""
