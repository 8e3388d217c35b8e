"""Clips made up for a test."""

from a2ibench.clips import Clip


def clip_of(clip_id, audio, image, label):
    """Make a clip of the task audio-to-image."""
    return Clip(clip_id, label, {"audio": audio, "image": image})


def renamed(clip, clip_id, label):
    """Give a clip's files another id and label."""
    return Clip(clip_id, label, clip.values)
