"""The mini world, second edition: twelve kinds of sounding thing, drawn, heard, filmed and told.

A scene is drawn from factors. **Heard and seen**: the kind, how many (calls and objects: call k is object k's),
how large (low pitch, large radius), the place (its ambience and its background). **Heard and seen in time**: when
each call begins; in the video the object moves at that moment. **Only seen**: time of day, positions, colours,
silent things lying about. **Only heard**: noise, gain, reverb. So a sound says more than its label, and a video
says more than an image.

Two kinds look alike and sound apart (guitar and violin), two sound alike and look apart (train and ship).

Splits (`draw_scene`; every scene can be drawn alone):

=============================================  ==========================================================
``train``, ``validation``, ``test``, ``afresh``  one kind a scene, kinds equally often: audio to image, video
                                               to audio, and every network that judges
``train-two``, ``validation-two``, ``test-two``  two kinds, one after the other; `unseen_pair` combinations lie
                                               in validation and test alone
``tail``                                       long-tailed, for text to audio: kind k lies in exactly
                                               ``TAIL[k]`` scenes, about half of all scenes have two kinds
``held-out``                                   scenes of the kind that ``tail`` lacks: ``INDEXED`` of them and
                                               ``tail`` make the retrieval index
=============================================  ==========================================================

Text to audio is tested on ``test`` and ``test-two`` in equal parts, so half of its captions name two kinds.
"""

from a2ibench.suites.mini.world.captions import caption, photo_caption, test_captions, training_caption
from a2ibench.suites.mini.world.images import IMAGE_SIZE, render
from a2ibench.suites.mini.world.kinds import CATEGORIES, KINDS, LABELS, PLACES, Kind
from a2ibench.suites.mini.world.scenes import (
    HELD_OUT,
    INDEXED,
    SECONDS,
    TAIL,
    Event,
    Scene,
    draw_scene,
    tail_size,
    unseen_pair,
)
from a2ibench.suites.mini.world.sounds import SAMPLE_RATE, SAMPLES, sound
from a2ibench.suites.mini.world.videos import FRAME_RATE, FRAMES, video

__all__ = [
    "CATEGORIES", "FRAMES", "FRAME_RATE", "HELD_OUT", "IMAGE_SIZE", "INDEXED", "KINDS", "LABELS", "PLACES", "SAMPLES",
    "SAMPLE_RATE", "SECONDS", "TAIL", "Event", "Kind", "Scene", "caption", "draw_scene", "photo_caption", "render",
    "sound", "tail_size", "test_captions", "training_caption", "unseen_pair", "video",
]  # fmt: skip
