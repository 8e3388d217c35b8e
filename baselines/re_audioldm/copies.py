"""Copies: generated sounds that are nearly one of the sounds that were looked up, or trained on.

A sound's fingerprint is its log-mel spectrogram, of one loudness, averaged over cells of time and frequency. Two
sounds are compared by the correlation of their fingerprints at the best of a few shifts in time; real sounds of the
same kind give what is usual, and a copy lies far above: `threshold`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a2ibench.errors import A2IBenchError

Fingerprints = NDArray[np.float32]
CELLS = (48, 24)
_RATE = 16_000
_BLOCK = 1024


@dataclass(frozen=True)
class Copy:
    """A generated sound, the source that it is nearest to, and their likeness (a correlation, at most 1)."""

    clip_id: str
    source: str
    likeness: float


def fingerprints(waves: Sequence[NDArray[np.float32]], seconds: float) -> Fingerprints:
    """Take the fingerprints of sounds at 16 kHz, cut or filled up to a length: ``[n, 48, 24]``.

    Raises
    ------
    A2IBenchError
        For a sound that is silent, or has numbers that are none.

    """
    from a2ibench.baselines.re_audioldm.mel import MelConfig, fit_length, log_mel

    hop = max(1, round(seconds * _RATE / (CELLS[0] * 8)))
    config = MelConfig(hop=hop, bands=2 * CELLS[1], frames=8 * CELLS[0], seconds=seconds)
    found = np.empty((len(waves), *CELLS), np.float32)
    for row, wave in enumerate(waves):
        wave = fit_length(np.asarray(wave, np.float32), config)
        loudness = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        if not np.isfinite(loudness) or loudness < 1e-5:
            raise A2IBenchError(f"Sound number {row} is silent or not finite, and has no fingerprint; leave it out.")
        mel = log_mel(wave[None] * np.float32(0.1 / loudness), config)[0].clamp(min=-7).numpy()
        found[row] = mel.reshape(CELLS[0], 8, CELLS[1], 2).mean(axis=(1, 3))
    return found


def likeness(one: Fingerprints, others: Fingerprints, shift: int = 2) -> NDArray[np.float64]:
    """Compare fingerprints ``[n, t, f]`` with ``[m, t, f]``: ``[n, m]``, the best correlation over shifts in time.

    Cells that have no counterpart after a shift don't count. Equal sounds give 1, whatever their loudness; a constant
    fingerprint gives 0.
    """
    best = np.full((len(one), len(others)), -1.0)
    for by in range(-shift, shift + 1):
        left, right = (one[:, by:], others[:, : others.shape[1] - by]) if by >= 0 else (one[:, :by], others[:, -by:])
        best = np.maximum(best, _units(left) @ _units(right).T)
    found: NDArray[np.float64] = np.clip(best, -1.0, 1.0)
    return found


def _units(some: Fingerprints) -> NDArray[np.float64]:
    flat = some.reshape(len(some), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    unit: NDArray[np.float64] = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 1e-6)
    return unit


def threshold(real: Fingerprints, known: Fingerprints, share: float = 0.01) -> float:
    """Find the likeness that this share of real sounds, which copy nothing, reaches with one of the known ones.

    It is taken from the best of all known sounds, since a copy is looked for among all of them as well.

    Parameters
    ----------
    real, known
        Fingerprints of real sounds that are not among the known ones, and of those.
    share
        Of the real sounds.

    """
    if not len(real) or not len(known):
        raise A2IBenchError("Without real sounds, and known ones, nothing tells what likeness is usual; give some.")
    blocks = [likeness(real, known[start : start + _BLOCK]).max(axis=1) for start in range(0, len(known), _BLOCK)]
    return float(np.quantile(np.max(blocks, axis=0), 1 - share, method="higher"))


def copies(
    clip_ids: Sequence[str],
    generated: Fingerprints,
    sources: Sequence[str],
    known: Fingerprints,
    least: float,
    *,
    retrieved: Mapping[str, Sequence[str]] | None = None,
) -> list[Copy]:
    """Find generated sounds that are more like one source than `least`, the most alike first.

    Parameters
    ----------
    clip_ids, generated
        The clips, and the fingerprints of their generated sounds.
    sources, known
        The ids of the sounds that may be copied, and their fingerprints.
    least
        From which likeness on it is a copy: see `threshold`.
    retrieved
        The sources that each clip was shown; None: all sources count for each.

    """
    place = {source: row for row, source in enumerate(sources)}
    found = []
    for start in range(0, len(clip_ids), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(clip_ids)))
        best, which = np.full(len(rows), -2.0), np.zeros(len(rows), np.int64)
        for first in range(0, len(sources), _BLOCK):
            alike = likeness(generated[rows.start : rows.stop], known[first : first + _BLOCK])
            if retrieved is not None:
                shown = np.zeros(alike.shape, bool)
                for n, row in enumerate(rows):
                    own = [place[source] - first for source in retrieved.get(clip_ids[row], ()) if source in place]
                    shown[n, [column for column in own if 0 <= column < alike.shape[1]]] = True
                alike = np.where(shown, alike, -2.0)
            top = alike.argmax(axis=1)
            value = alike[np.arange(len(rows)), top]
            better = value > best
            best[better], which[better] = value[better], top[better] + first
        found += [
            Copy(clip_ids[row], sources[which[n]], float(best[n])) for n, row in enumerate(rows) if best[n] > least
        ]
    return sorted(found, key=lambda copy: (-copy.likeness, copy.clip_id))


def share_of_copies(found: Sequence[Copy], count: int) -> float:
    """What per cent of a method's `count` sounds are copies."""
    return 100 * len({copy.clip_id for copy in found}) / count if count else 0.0
