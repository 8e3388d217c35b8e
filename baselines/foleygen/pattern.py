"""The layout of FoleyGen's sequences: delayed codes, and which step sees which frame. Integers alone.

A sequence is ``[V_0 … V_{T-1}, X_0 … X_{S-1}]``: T frames of the video, then S = F + K - 1 audio steps for F codec
frames of K codebooks. Step s is given the codes that step s - 1 drew, and draws for codebook k the code of codec frame
s - k (MusicGen's delay pattern, arXiv 2306.05284).

The paper (arXiv 2309.10537, Figure 2) defines three visual attentions by what an audio step sees of the frames. What
frames see of one another it leaves open; here a frame sees itself and those before it, as in any decoder, and with
``frame-specific`` itself alone: a past frame would else leak through the prefix. ``aligned`` is ours: all-frame
attention, and besides the features of the frames round a step's moment are added to the step itself.
"""

from fractions import Fraction
from typing import Literal, get_args

import torch
from torch import Tensor

Attention = Literal["all-frame", "causal", "frame-specific", "aligned"]
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)


def steps_of(frames: int, books: int) -> int:
    """Count the audio steps for so many codec frames: the last codebook is ``books - 1`` steps late."""
    return frames + books - 1


def delay(codes: Tensor, pad: int) -> Tensor:
    """Delay codebook k by k steps: ``[..., K, F]`` to ``[..., K, F + K - 1]``; what is empty becomes `pad`."""
    *_, books, frames = codes.shape
    out = codes.new_full((*codes.shape[:-1], steps_of(frames, books)), pad)
    for book in range(books):
        out[..., book, book : book + frames] = codes[..., book, :]
    return out


def undelay(steps: Tensor) -> Tensor:
    """Undo `delay`: ``[..., K, S]`` to ``[..., K, S - K + 1]``."""
    books = steps.shape[-2]
    frames = steps.shape[-1] - books + 1
    return torch.stack([steps[..., book, book : book + frames] for book in range(books)], dim=-2)


def inputs_of(delayed: Tensor, pad: int) -> Tensor:
    """Give what each step is told: the codes of the step before it, `pad` at the first; ``[..., K, S]``."""
    return torch.cat([torch.full_like(delayed[..., :1], pad), delayed[..., :-1]], dim=-1)


def frame_at(steps: int, frames: int, code_rate: float, frame_rate: float) -> Tensor:
    """Say which video frame is shown at each audio step (at codebook 0's moment): int64 ``[steps]``.

    Parameters
    ----------
    steps, frames
        How many there are.
    code_rate, frame_rate
        Audio steps and video frames a second; the quotient is taken exactly.

    """
    ratio = Fraction(frame_rate).limit_denominator(1000) / Fraction(code_rate).limit_denominator(1000)
    at = torch.arange(steps) * ratio.numerator // ratio.denominator
    return at.clamp(max=frames - 1)


def mask(attention: Attention, frames: int, steps: int, code_rate: float, frame_rate: float) -> Tensor:
    """Say who may look at whom: bool ``[frames + steps, frames + steps]``, True where a row may look at a column."""
    keep = torch.ones(frames + steps, frames + steps, dtype=torch.bool).tril()
    at, index = frame_at(steps, frames, code_rate, frame_rate)[:, None], torch.arange(frames)[None]
    if attention == "causal":
        keep[frames:, :frames] = index <= at
    if attention == "frame-specific":
        keep[frames:, :frames] = index == at
        keep[:frames, :frames] = torch.eye(frames, dtype=torch.bool)
    return keep
