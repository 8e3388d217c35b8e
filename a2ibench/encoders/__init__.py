"""Frozen networks from audio, image or text to float32 rows."""
