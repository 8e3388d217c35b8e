"""From raw corpora to clips: a folder of videos and a published list become a folder with ``clips.csv``."""
