"""A method's run: prepare, generate, train."""
