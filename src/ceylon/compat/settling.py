"""Values that are there already and can be awaited all the same."""
