"""Drawing codes step by step: guidance, top-k, and one generator for each clip."""

from collections.abc import Sequence

import torch
from torch import Tensor

from a2ibench.baselines.foleygen.lm import Cache, FoleyLm
from a2ibench.baselines.foleygen.pattern import undelay


def choose(logits: Tensor, uniform: Tensor, top_k: int, temperature: float = 1.0) -> Tensor:
    """Draw from the `top_k` likeliest by inverting their distribution.

    Parameters
    ----------
    logits
        ``[..., codes]``.
    uniform
        In [0, 1), ``[...]``: one number for each draw, so that a draw depends on its own generator alone.
    top_k, temperature
        How many codes may be drawn; what logits are divided by.

    Returns
    -------
    Tensor
        int64 ``[...]``.

    """
    best, which = (logits.float() / temperature).topk(min(top_k, logits.shape[-1]), dim=-1)
    below = best.softmax(-1).cumsum(-1)
    place = (below <= (uniform * below[..., -1])[..., None]).sum(-1, keepdim=True).clamp(max=best.shape[-1] - 1)
    return which.gather(-1, place)[..., 0]


def uniforms(seeds: Sequence[int], steps: int, books: int) -> Tensor:
    """Draw the numbers of each clip from a generator of its own: ``[clips, steps, books]``."""
    drawn = [torch.rand(steps, books, generator=torch.Generator().manual_seed(seed % 2**63)) for seed in seeds]
    return torch.stack(drawn)


@torch.inference_mode()
def generate(
    network: FoleyLm,
    features: Tensor,
    seeds: Sequence[int],
    guidance: float = 3.0,
    top_k: int = 256,
    temperature: float = 1.0,
) -> Tensor:
    """Draw the codes of sounds for videos.

    Parameters
    ----------
    network
        The language model.
    features
        Of the videos' frames, ``[clips, frames, features]``.
    seeds
        One for each clip.
    guidance
        ``uncond + guidance · (cond - uncond)`` on the logits; at 1 the video alone counts, and half is computed.
    top_k, temperature
        See `choose`.

    Returns
    -------
    Tensor
        int64 ``[clips, books, codec frames]``.

    """
    config, clips = network.config, len(features)
    guided = guidance != 1.0
    random = uniforms(seeds, config.steps, config.books).to(features.device)
    rows = torch.cat([features, features]) if guided else features
    dropped = torch.arange(len(rows), device=features.device) >= clips
    prefix, added = network.read(rows, dropped)
    cache = Cache(config, len(rows), prefix)
    network.states(prefix, cache)
    told = torch.full((clips, config.books, 1), config.codes, device=features.device)
    drawn = []
    for step in range(config.steps):
        both = torch.cat([told, told]) if guided else told
        logits = network.logits(network.states(network.told(both) + added[:, step : step + 1], cache))[:, :, 0]
        if guided:
            seen, unseen = logits.chunk(2)
            logits = unseen + guidance * (seen - unseen)
        code = choose(logits, random[:, step], top_k, temperature)
        drawn.append(code)
        told = code.clone()[:, :, None]
        for book in range(config.books):  # a codebook that has not begun, or has ended, is told as empty
            if not 0 <= step - book < config.code_frames:
                told[:, book] = config.codes
    return undelay(torch.stack(drawn, dim=-1))
