"""The state of a training in its folder: settings, last checkpoint, final weights."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_json, read_limited, write_bytes, write_text

FILES = ("train.json", "checkpoint.pt", "embedder.safetensors", "embedder.sha256")
_MOST_BYTES = 2**33
_DIGEST = hashlib.sha256().digest_size


def claim(
    out: Path, settings: Mapping[str, Any], clips: ClipSet, networks: str, defaults: Mapping[str, Any] | None = None
) -> None:
    """Mark a folder as this training's; refuse one of other settings, clips or frozen networks.

    A setting that is newer than a training counts as its default in `defaults`, which is how it was trained.

    Raises
    ------
    A2IBenchError
        If it is another's, or what is kept there is damaged.

    """
    for name in ("tensorboard", "samples"):
        if (out / name).is_symlink():
            raise A2IBenchError(f"{out / name} is a link, and a training is kept inside its folder; delete it.")
    mark = out / "train.json"
    wanted = {**settings, "clips": clips.digest, "networks": networks}
    found = read_json(mark, "give --fresh to begin again")
    if found is None:
        write_bytes(mark, json.dumps(wanted, indent=1, sort_keys=True).encode())
        return
    if not isinstance(found, dict):
        raise A2IBenchError(f"{mark} is broken; give --fresh to begin again.")
    if "precompute" in found:  # of the first edition; without, it drew other crops
        found = {**found, "cache": "features" if found["precompute"] else "nothing"}
    found = {**(defaults or {}), **found}
    differing = sorted(k for k, v in wanted.items() if found.get(k) != v)
    if differing:
        raise A2IBenchError(
            f"{out} holds a training with other settings ({', '.join(differing)}); "
            "give another --out, or --fresh to begin again."
        )


def clear(out: Path) -> None:
    """Take away what a training has left in its folder."""
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    for name in ("tensorboard", "samples"):
        shutil.rmtree(out / name, ignore_errors=True)


def finished(out: Path) -> Path | None:
    """Give the weights that a training has made; None where it has not ended.

    Raises
    ------
    A2IBenchError
        If they are not what the training wrote.

    """
    final, sums = out / "embedder.safetensors", out / "embedder.sha256"
    try:
        data = read_limited(final, _MOST_BYTES)
    except FileNotFoundError:
        return None
    line = f"{hashlib.sha256(data).hexdigest()}  {final.name}\n"
    try:
        whole = read_limited(sums, 200) == line.encode()
    except FileNotFoundError:  # killed between the two
        whole = _is_safetensors(data)
        if whole:
            write_text(sums, line)
    if not whole:
        raise A2IBenchError(
            f"{final} is damaged, it is not what the training wrote; put the whole file back, or give --fresh to train "
            "again."
        )
    return final


def finish(out: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write the weights, and what tells later that they are whole; the checkpoint goes."""
    from safetensors.torch import save

    final, sums = out / "embedder.safetensors", out / "embedder.sha256"
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    sums.unlink(missing_ok=True)
    write_bytes(final, data)
    write_text(sums, f"{hashlib.sha256(data).hexdigest()}  {final.name}\n")
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return final


def _is_safetensors(data: bytes) -> bool:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return bool(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        return False


def write_checkpoint(out: Path, content: Mapping[str, Any]) -> None:
    """Write ``checkpoint.pt``: a file of torch, and behind it the sha256 of what stands before."""
    import torch

    buffer = BytesIO()
    torch.save(dict(content), buffer)
    data = buffer.getvalue()
    write_bytes(out / "checkpoint.pt", data + hashlib.sha256(data).digest())


def read_checkpoint(out: Path) -> dict[str, Any] | None:
    """Read the last checkpoint; None where there is none.

    Raises
    ------
    A2IBenchError
        If it is not what was written.

    """
    import torch

    file = out / "checkpoint.pt"
    try:
        data = read_limited(file, _MOST_BYTES)
    except FileNotFoundError:
        return None
    data, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise A2IBenchError(
            f"{file} is damaged, it is not what the training wrote; put the whole file back, or give --fresh to begin "
            "again."
        )
    content: dict[str, Any] = torch.load(BytesIO(data), weights_only=True, map_location="cpu")
    return content
