"""The training clips of AudioToken: what of them is computed once, and what every step reads.

What is frozen need not be computed twice. The moments of the picture's latents are small (64 kB in half precision at
512 × 512) and always kept. A sound's features are not (1.1 MB for 5 s): they are kept where the clips are few, for
some fixed crops; else worker processes read and crop the sounds, and BEATs hears them in the step.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.audiotoken.cache import FIX, Kinds, Shards
from a2ibench.baselines.audiotoken.config import Config, check_share, settled
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.reading import Batches, Each, Sounds, in_order, read_picture
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space

_WORKERS = 8
_PATIENCE = timedelta(hours=24)  # processes wait for each other while what is kept is computed


def processes(device: str) -> Any:
    """Give the state of the processes that train together (``accelerate launch``): one, unless there are more."""
    from accelerate import PartialState

    return PartialState(cpu=device == "cpu", timeout=_PATIENCE)


class Examples:
    """What the training reads: sounds or their features, latents of pictures, labels.

    Parameters
    ----------
    clips
        The training clips.
    diffusion, listener
        The frozen networks.
    config
        The settings; ``cache=auto`` is decided here.
    cache
        Where what is computed once lies; used again by a later training on the same clips and networks.
    identity
        Names the weights on which what is computed once depends: BEATs and the autoencoder.
    progress
        Called with the number of clips done, of those that this process computes.
    networks
        Names the weights of all frozen networks; by default `identity`.

    Raises
    ------
    A2IBenchError
        If the disk can't hold what is computed once, the clips are too few to hold some out, or one can't be read.

    """

    def __init__(
        self,
        clips: ClipSet,
        diffusion: StableDiffusion,
        listener: Listener,
        config: Config,
        cache: Path,
        identity: str,
        progress: Callable[[int], None] = lambda done: None,
        networks: str = "",
    ):
        self.clips, self.diffusion, self.listener = clips, diffusion, listener
        self.config = config = settled(config, len(clips), listener.width)
        self.networks = networks or identity
        self.state = processes(diffusion.device)
        check_share(config, self.state.num_processes)
        self.held_out = held_out(clips, config)
        self.files = [clip.file("audio") for clip in clips]
        self.sounds = Sounds(config, self.files[0])
        self.workers = self._workers()
        self.picture = partial(_picture, config, [clip.file("image") for clip in clips])
        self.store = Shards(cache / _key(clips, identity, config), len(clips), self._kinds())
        self._fill(progress)
        self.state.wait_for_everyone()

    def _workers(self) -> int:
        if self.config.workers >= 0 or self.config.cache == "features":
            return max(0, self.config.workers)
        return min(_WORKERS, (os.cpu_count() or 1) // int(self.state.num_processes))

    def _kinds(self) -> Kinds:
        """Give dtypes and shapes of what is computed once, from the first clip's."""
        moments = self._latent_moments(self.picture(0))
        if self.config.cache == "latents":
            return {"latents": (np.float16, moments.shape)}
        return {"features": (np.float16, self._features(0).shape), "latents": (np.float32, moments.shape)}

    def _fill(self, progress: Callable[[int], None]) -> None:
        """Compute this process's share of what is computed once; goes on where an earlier run was stopped."""
        check_space(self.store.folder, self.store.missing_bytes, "what is computed once of the clips", FIX)
        mine = self.store.mine(self.state.process_index, self.state.num_processes)
        with ExitStack() as opened:  # all the room is taken before anything is computed
            for rows in mine:
                opened.enter_context(self.store.filling(rows))
        done = 0
        for rows in mine:
            with self.store.filling(rows) as shard:
                missing = [row for row in rows if not shard.has(row - rows.start)]
                progress(done := done + len(rows) - len(missing))
                workers = self.workers if len(missing) > 2 * self.workers else 0
                for row, pixels in zip(missing, in_order(Each(self.picture), missing, workers), strict=True):
                    moments = self._latent_moments(pixels)
                    features = self.config.cache == "features"
                    shard.put(row - rows.start, [self._features(row), moments] if features else [moments])
                    progress(done := done + 1)

    @torch.inference_mode()
    def _features(self, index: int) -> NDArray[np.float32]:
        """Hear the fixed crops of a clip: ``[crops, tokens, width]``."""
        found: NDArray[np.float32] = self.listener.features(self.sounds.fixed(self.files[index])).float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _latent_moments(self, pixels: Tensor) -> NDArray[np.float32]:
        """Mean and standard deviation of a picture's latents: ``[2, c, h, w]``. One at a time: no neighbour counts."""
        vae = self.diffusion.pipeline.vae
        posterior = vae.encode(pixels[None].to(vae.device, vae.dtype)).latent_dist
        # Contiguous, as noise like it is drawn in the order of its memory: the same for moments kept or made again.
        moments: NDArray[np.float32] = torch.cat([posterior.mean, posterior.std]).float().cpu().contiguous().numpy()
        return moments

    def batches(self, times: int) -> Batches:
        """Give this process's share of every batch; `times` is how many steps the noise has."""
        rows = np.setdiff1d(np.arange(len(self.clips)), self.held_out)
        share = self.state.process_index, self.state.num_processes
        return Batches(self.config, self.sounds, self.store, self.files, rows, times, share)


def held_out(clips: ClipSet, config: Config) -> NDArray[np.int64]:
    """Choose the clips that are watched and not trained on: those whose hashed ids come first; none without watching.

    Raises
    ------
    A2IBenchError
        If they would be half of all, or more.

    """
    if not config.watched:
        return np.zeros(0, np.int64)
    if 2 * config.held_out >= len(clips):
        raise A2IBenchError(
            f"Of {len(clips)} training clips {config.held_out} can't be held out to be watched; set held_out to less "
            "than half, or give more clips."
        )
    order = sorted(range(len(clips)), key=lambda row: hashlib.sha256(clips[row].clip_id.encode()).digest())
    return np.array(sorted(order[: config.held_out]), np.int64)


def _picture(config: Config, files: list[Path], index: int) -> Tensor:
    return read_picture(config, files[index])


def _key(clips: ClipSet, identity: str, config: Config) -> str:
    """Name what is computed once, by all that it depends on."""
    parts = [clips.digest, identity, config.cache, config.frame, config.size, 2]
    if config.cache == "features":
        parts += [config.crop_seconds, config.crops, config.channel, config.resample, config.crop_starts]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
