"""The built-in suite: a small world, its test split, and networks that are really trained on it."""
