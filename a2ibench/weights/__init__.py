"""Published weights: where each file comes from, how it gets here, and how it is read."""
