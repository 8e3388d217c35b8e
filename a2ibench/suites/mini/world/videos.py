"""A scene as a silent video: call k moves object k at its onset."""

import numpy as np
from numpy.typing import NDArray

from a2ibench.suites.mini.world.images import render
from a2ibench.suites.mini.world.scenes import SECONDS, Scene

FRAME_RATE = 12.5
"""Frames a second: the first frame at or after an onset shows it, at most 80 ms late."""
FRAMES = int(SECONDS * FRAME_RATE) + 1


def video(scene: Scene) -> NDArray[np.uint8]:
    """Draw the frames of a scene, ``uint8 [38, 64, 64, 3]``; frame i shows the moment i / 12.5 s."""
    return np.stack([np.asarray(render(scene, index / FRAME_RATE)) for index in range(FRAMES)])
