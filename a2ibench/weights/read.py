"""Read weights files without running code from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.errors import A2IBenchError
from a2ibench.text import first_sentence

if TYPE_CHECKING:
    from torch import Tensor


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a weights file as it is, on the CPU and without running code from it.

    Parameters
    ----------
    path
        ``.safetensors``, or a torch file, which is read with ``weights_only=True``.

    Raises
    ------
    A2IBenchError
        Where it is missing, truncated or something else.

    """
    if not path.is_file():
        raise A2IBenchError(f"The weights file {path} does not exist; give one that does.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            from zipfile import is_zipfile

            import torch

            # Only the zip format, torch's since 1.6, can be mapped instead of read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except Exception as error:  # both libraries raise many kinds for a broken file
        raise A2IBenchError(
            f"The weights {path} ({path.stat().st_size} bytes) cannot be read ({first_sentence(error)}), "
            "as it is truncated or not plain weights; download it again and check it with `a2ibench doctor`."
        ) from error
    if not isinstance(content, dict):
        raise A2IBenchError(f"The weights file {path} holds a {type(content).__name__}, not a state dict.")
    return content


def read_state_dict(path: Path) -> "dict[str, Tensor]":
    """Read the state dict of a weights file: all that `read_checkpoint` gives, or its part with the tensors.

    Files that hold more than tensors have them under ``state_dict`` (Lightning) or ``model`` (fairseq).
    """
    import torch

    content = read_checkpoint(path)
    for part in (content, content.get("state_dict"), content.get("model")):
        if part and isinstance(part, dict) and all(isinstance(value, torch.Tensor) for value in part.values()):
            return dict(part)
    raise A2IBenchError(f"The weights file {path} holds no state dict; its keys begin {list(content)[:3]}.")
