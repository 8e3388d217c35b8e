"""Scoring: from files to features to scores."""
