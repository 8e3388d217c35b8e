"""Writing what ships: weights in half precision, their hashes, and the model card."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from a2ibench.files import write_bytes, write_text

WEIGHTS = Path(__file__).parent.parent / "weights"
_PARTS = {
    "stable-diffusion": ("vae", "denoiser"),
    "imagebind": ("image-space", "imagebind"),
}
"""The trainings of a network, where they are not one of its own name."""


def half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy a state dict in half precision, a tensor that stands under several names only once."""
    seen: set[int] = set()
    kept = {}
    for key, tensor in state.items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept[key] = (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
    return kept


def write_half(file: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict in half precision."""
    file.parent.mkdir(exist_ok=True)
    write_bytes(file, save(half(state)))


def write_sums() -> None:
    """Write ``SHA256SUMS`` over all files of the weights folder."""
    files = [f for f in sorted(WEIGHTS.rglob("*")) if f.is_file() and f.name not in ("SHA256SUMS", "CARD.md")]
    for file in files:
        file.chmod(0o644)  # diffusers' are private to who built them
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(WEIGHTS).as_posix()}\n" for f in files]
    write_text(WEIGHTS / "SHA256SUMS", "".join(lines))


_INTRO = """# The weights of the mini suite

Made by `python -m a2ibench.suites.mini.build` from seeds, the judges of sounds by `… .build.judges`; MIT licence. They
know only the mini world. Figures are of the validation split (480 scenes), which no network saw. Minutes are of one
thread of a machine that others used at the same time.
"""
_SECTIONS = {"images": "Images", "judges": "Judges of sounds"}


def write_card(work: Path, names: Iterable[str], section: str = "images") -> None:
    """Write one section of the model card, ``CARD.md``, from the figures in a work folder; the others stay."""
    file = WEIGHTS / "CARD.md"
    parts = file.read_text(encoding="utf-8").split("\n## ")[1:] if file.exists() else []
    kept = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
    kept[_SECTIONS[section]] = table(work, names)
    told = [f"\n## {title}\n\n{kept[title]}\n" for title in _SECTIONS.values() if title in kept]
    write_text(file, _INTRO + "".join(told))


def table(work: Path, names: Iterable[str]) -> str:
    """Sizes, times, and the figures with their floors, of the networks made so far."""
    lines = ["| network | KB | minutes | figure | measured | floor |", "| --- | --- | --- | --- | --- | --- |"]
    for name in names:
        kept = work / f"{name}.figures.json"
        path = WEIGHTS / name if (WEIGHTS / name).is_dir() else WEIGHTS / f"{name}.safetensors"
        if not kept.exists() or not path.exists():  # not made yet, or made for another checkout
            continue
        files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
        size = sum(f.stat().st_size for f in files) // 1000
        timed = [work / f"{part}.seconds" for part in _PARTS.get(name, (name,))]
        minutes = sum(float(file.read_text()) for file in timed if file.exists()) / 60
        for what, (figure, floor) in json.loads(kept.read_text()).items():
            lines.append(f"| {name} | {size} | {minutes:.0f} | {what} | {figure:.3f} | {floor:g} |")
    return "\n".join(lines)
