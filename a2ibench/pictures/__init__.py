"""Pictures of many clips at once: contact sheets and galleries."""
