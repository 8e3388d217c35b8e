"""When something moves in a video: peaks of optical flow, as AV-Align finds its events. No weights, nothing random.

Yariv et al., "Diverse and Aligned Audio-to-Video Generation via Text-to-Video Model Adaptation" (arXiv 2309.16429): the
mean length of Farnebäck's optical flow between each frame and the one before it, in pixels; an event is a frame whose
mean is above both neighbours' and at least 0.1. The flow is that of Gunnar Farnebäck, "Two-frame motion estimation
based on polynomial expansion" (SCIA 2003), with AV-Align's settings: a pyramid of halves (three, and none below 32
pixels), windows of 15 pixels, three rounds, quadratics over 5 pixels to each side with a deviation of 1.2. Written in
torch from the paper, with OpenCV's constants (weights at the border, 1e-3 in the determinant), since OpenCV is no
dependency of ours; compared with it in ``tests/fixtures/motion.md``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.encoders.base import Encoder, EncoderKind, Float32, check_keys
from a2ibench.media.video import frames, video_info

LEAST = 0.1  # pixels
_LEVELS, _WINDOW, _ROUNDS, _REACH, _DEVIATION, _SMALLEST = 3, 15, 3, 5, 1.2, 32
_BORDER = (0.14, 0.14, 0.4472, 0.4472, 0.4472)
_CELLS = 2_000_000  # pixels of a batch of pairs


@lru_cache(maxsize=1)
def _basis() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give the applicability g, x g and x² g over a neighbourhood, and the inverse of the moments that they need."""
    x = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    g = torch.exp(-x * x / (2 * _DEVIATION**2))
    g = g / g.sum()
    grid_y, grid_x = torch.meshgrid(x, x, indexing="ij")
    powers = torch.stack([torch.ones_like(grid_x), grid_x, grid_y, grid_x**2, grid_y**2, grid_x * grid_y]).flatten(1)
    moments = (powers * torch.outer(g, g).flatten()) @ powers.T
    return g.float(), (x * g).float(), (x * x * g).float(), torch.linalg.inv(moments).float()


def _along(x: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Correlate planes, ``[n, c, h, w]``, with a kernel along an axis, the border repeated."""
    reach = len(kernel) // 2
    pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), pad, mode="replicate")
    return F.conv2d(padded, kernel.view(shape)).view(n, c, h, w)


def expansion(images: Tensor) -> Tensor:
    """Fit a quadratic round each pixel of images, ``[n, 1, h, w]``: its y, x, yy, xx and xy, ``[n, 5, h, w]``."""
    g, xg, xxg, inverse = _basis()
    level, slope, bend = (_along(images, kernel, 2) for kernel in (g, xg, xxg))
    one, y, yy = (_along(rows, g, 3) for rows in (level, slope, bend))
    x, xx, xy = _along(level, xg, 3), _along(level, xxg, 3), _along(slope, xg, 3)
    parts = (
        *(y * inverse[1, 1], x * inverse[1, 1]),
        *(one * inverse[0, 3] + yy * inverse[3, 3], one * inverse[0, 3] + xx * inverse[3, 3]),
        xy * inverse[5, 5],
    )
    return torch.cat(parts, dim=1)


def _edge(length: int) -> Tensor:
    weights = torch.ones(length)
    for place, weight in enumerate(_BORDER[:length]):
        weights[place] *= weight
        weights[length - 1 - place] *= weight
    return weights


def _moments(before: Tensor, after: Tensor, flow: Tensor) -> Tensor:
    """Give what each pixel says of its displacement near `flow`, ``[n, 2, h, w]``: G11, G12, G22, h1, h2."""
    n, _, h, w = flow.shape
    x = torch.arange(w, dtype=torch.float32) + flow[:, 0]
    y = torch.arange(h, dtype=torch.float32)[:, None] + flow[:, 1]
    x0, y0 = x.floor(), y.floor()
    inside = ((x0 >= 0) & (x0 < w - 1) & (y0 >= 0) & (y0 < h - 1))[:, None]
    across, down = (x - x0)[:, None], (y - y0)[:, None]
    left, top = x0.clamp(0, w - 2).long(), y0.clamp(0, h - 2).long()
    flat = after.flatten(2)

    def at(dy: int, dx: int) -> Tensor:
        place = ((top + dy) * w + left + dx).view(n, 1, -1).expand(-1, 5, -1)
        return flat.gather(2, place).view(n, 5, h, w)

    moved = (at(0, 0) * (1 - across) + at(0, 1) * across) * (1 - down)
    moved = moved + (at(1, 0) * (1 - across) + at(1, 1) * across) * down
    bend = torch.where(inside, (before[:, 2:] + moved[:, 2:]) / 2, before[:, 2:])
    yy, xx, xy = bend[:, 0], bend[:, 1], bend[:, 2] / 2
    slope = (before[:, :2] - torch.where(inside, moved[:, :2], 0.0)) / 2
    first = slope[:, 0] + yy * flow[:, 1] + xy * flow[:, 0]
    second = slope[:, 1] + xy * flow[:, 1] + xx * flow[:, 0]
    edge = _edge(h)[:, None] * _edge(w)
    yy, xx, xy, first, second = (each * edge for each in (yy, xx, xy, first, second))
    sums = (yy * yy + xy * xy, (yy + xx) * xy, xx * xx + xy * xy, yy * first + xy * second, xy * first + xx * second)
    return torch.stack(sums, dim=1)


def _solved(moments: Tensor) -> Tensor:
    """Average over windows, and solve for the displacement: ``[n, 2, h, w]``, x first."""
    box = torch.full((_WINDOW,), 1 / _WINDOW)
    g11, g12, g22, h1, h2 = _along(_along(moments, box, 2), box, 3).unbind(dim=1)
    over = 1 / (g11 * g22 - g12 * g12 + 1e-3)
    return torch.stack([(g11 * h2 - g12 * h1) * over, (g22 * h1 - g12 * h2) * over], dim=1)


def _smaller(images: Tensor, level: int) -> Tensor:
    """Blur images and scale them by ½ as often as `level` says."""
    scale = 0.5**level
    sigma = (1 / scale - 1) / 2
    size = max(3, round(sigma * 5) | 1)
    x = torch.arange(size, dtype=torch.float32) - size // 2
    kernel = torch.exp(-x * x / (2 * sigma * sigma)) if level else torch.tensor([0.25, 0.5, 0.25])
    kernel = kernel / kernel.sum()
    reach = size // 2
    blurred = F.conv2d(F.pad(images, (0, 0, reach, reach), mode="reflect"), kernel.view(1, 1, -1, 1))
    blurred = F.conv2d(F.pad(blurred, (reach, reach, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
    size_of = tuple(round(length * scale) for length in images.shape[2:])
    return F.interpolate(blurred, size_of, mode="bilinear", align_corners=False) if level else blurred


def optical_flow(before: Tensor, after: Tensor) -> Tensor:
    """Estimate where each pixel went, for pairs of grey images in 0..255, ``[n, h, w]``: ``[n, 2, h, w]``, x first."""
    before, after = before[:, None].float(), after[:, None].float()
    height, width = before.shape[2:]
    levels = 0
    while levels < _LEVELS and min(height, width) * 0.5 ** (levels + 1) >= _SMALLEST:
        levels += 1
    flow = torch.zeros(0)
    for level in range(levels, -1, -1):
        one, two = (expansion(_smaller(images, level)) for images in (before, after))
        if not flow.numel():
            flow = torch.zeros(len(one), 2, *one.shape[2:])
        else:
            flow = 2 * F.interpolate(flow, tuple(one.shape[2:]), mode="bilinear", align_corners=False)
        for _ in range(_ROUNDS):
            flow = _solved(_moments(one, two, flow))
    return flow


def motion(grey: Sequence[np.ndarray]) -> np.ndarray:
    """Give the mean length of the flow that leads to each frame, uint8 ``[h, w]`` each: ``[n]``; the first repeats."""
    if len(grey) < 2:
        return np.zeros(len(grey))
    images = torch.from_numpy(np.stack(grey))
    step = max(1, _CELLS // images[0].numel())
    found = []
    with torch.inference_mode():
        for start in range(0, len(images) - 1, step):
            part = images[start : start + step + 1]
            found.append(optical_flow(part[:-1], part[1:]).norm(dim=1).mean(dim=(1, 2)).double())
    lengths = torch.cat(found).numpy()
    return np.concatenate([lengths[:1], lengths])


def peaks(lengths: np.ndarray, least: float = LEAST) -> np.ndarray:
    """Give the places of what is above both neighbours and at least `least`; the ends are none."""
    inner = lengths[1:-1]
    return 1 + np.flatnonzero((inner > lengths[:-2]) & (inner > lengths[2:]) & (inner >= least))


class MotionEncoder(Encoder):
    """Videos to their peaks of motion: ``[k, 2]`` each, the time and the length of a frame, in seconds."""

    name = "motion"
    modality = "video"
    weights = ""
    preprocessing = "1-farneback"

    def __init__(self, least: float = LEAST):
        self.configuration = {"least": least}
        self._least = least

    def encode(self, items: Sequence[Path]) -> list[Float32]:
        """Find the peaks of the files of videos, one after the other.

        Raises
        ------
        A2IBenchError
            For a video that can't be read.

        """
        return [self._rows(item) for item in items]

    def _rows(self, path: Path) -> Float32:
        times, grey = [], []
        for frame in frames(path):
            times.append(frame.time)
            mixed = frame.pixels @ np.array([0.299, 0.587, 0.114])
            grey.append(np.rint(mixed).astype(np.uint8))
        found = peaks(motion(grey), self._least)
        fps = video_info(path).fps
        rows = [(times[place], 1 / fps if fps else 0.0) for place in found]
        return np.array(rows, np.float32).reshape(len(rows), 2)


def load(config: Mapping[str, Any], *_: object) -> MotionEncoder:
    """Make the encoder; ``least``: how many pixels a peak has at least, 0.1."""
    check_keys(config, ("least",), "motion")
    return MotionEncoder(float(config.get("least", LEAST)))


ENCODERS = (EncoderKind("motion", "video", load, has_weights=False),)
