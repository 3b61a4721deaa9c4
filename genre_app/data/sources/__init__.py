"""Sources of labelled music: one file for each kind that can be opened."""
