"""Frozen networks from audio, image or text to float32 rows."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from a2ibench.encoders.base import Encoder
from a2ibench.errors import unknown

# Each kind's module and the name of its loader: (config, weights, sha256, device) -> Encoder.
KINDS = {
    "clip-image": ("clip", "load_image"),
    "clip-text": ("clip", "load_text"),
    "wav2clip": ("wav2clip", "load"),
    "classifier": ("classifier", "load"),
    "inception": ("inception", "load"),
}


def load_encoder(
    kind: str, config: Mapping[str, Any], weights_path: Path, sha256: str = "", device: str = "cpu"
) -> Encoder:
    """Load a frozen encoder; its module, and torch, are imported only now.

    Parameters
    ----------
    kind
        A key of `KINDS`.
    config
        The encoder's table of a suite; the published network's is (nearly) empty. See the kind's module.
    weights_path
        The weights file.
    sha256
        Its hash, by which the encoder is named; hashed now where it is not given.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises
    ------
    A2IBenchError
        For an unknown kind, and for weights that cannot be read or do not fit.

    """
    if kind not in KINDS:
        raise unknown("kind of encoder", kind, KINDS)
    if not sha256:
        from a2ibench.files import sha256_file

        sha256 = sha256_file(Path(weights_path))
    module, loader = KINDS[kind]
    load = getattr(import_module(f"a2ibench.encoders.{module}"), loader)
    encoder: Encoder = load(config, Path(weights_path), sha256, device)
    return encoder
