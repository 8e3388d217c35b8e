"""From files to features to scores."""
