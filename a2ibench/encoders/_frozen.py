"""What the torch encoders share: strict loading, freezing, and float32 that means float32."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from a2ibench.encoders.base import Encoder, Float32
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.weights.read import read_state_dict

Device = str | torch.device
Weights = Path | Mapping[str, Tensor]


def load_strict(network: nn.Module, weights: Weights, what: str) -> None:
    """Copy a state dict into a network, in place; every key and shape must be there.

    Parameters
    ----------
    network
        What is filled; float16 weights become its own dtype.
    weights
        A weights file, or its state dict.
    what
        The network's name, for the error.

    Raises
    ------
    A2IBenchError
        With the first missing, unknown and misshapen key.

    """
    state = read_state_dict(weights) if isinstance(weights, Path) else weights
    own = network.state_dict()
    wrong = {
        "missing": [key for key in own if key not in state],
        "unknown": [key for key in state if key not in own],
        "of another shape": [key for key in own if key in state and own[key].shape != state[key].shape],
    }
    faults = [f"{len(keys)} {kind} (first {keys[0]!r})" for kind, keys in wrong.items() if keys]
    if faults:
        source = f"{weights}" if isinstance(weights, Path) else "The given state dict"
        raise A2IBenchError(
            f"{source} does not fit {what}: {', '.join(faults)}; check that the file and the suite's "
            "configuration belong together."
        )
    network.load_state_dict(dict(state), strict=True)


def freeze(network: nn.Module, device: Device, channels_last: bool = False) -> nn.Module:
    """Put a network into eval mode, float32, on its device, without gradients.

    ``channels_last`` makes convolutional nets 1.5 to 2.4 times faster on a CPU, and changes only last bits.
    """
    network = network.eval().requires_grad_(False).to(device=device, dtype=torch.float32)
    return network.to(memory_format=torch.channels_last) if channels_last else network


@contextmanager
def true_float32() -> Iterator[None]:
    """Switch TF32 and bfloat16 short cuts and autocast off, and back to what they were.

    cuDNN uses TF32 in convolutions unless told otherwise; rows would then depend on the device.
    """
    backends: Any = torch.backends
    knobs = [(backends.cuda.matmul, "allow_tf32"), (backends.cudnn, "allow_tf32")]
    off: Any = False
    if hasattr(backends.cudnn, "conv"):  # since torch 2.9, where reading the older flags may even raise
        operators = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
        knobs, off = [(operator, "fp32_precision") for operator in operators], "ieee"
    before = [getattr(owner, name) for owner, name in knobs]
    try:
        for owner, name in knobs:
            setattr(owner, name, off)
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for (owner, name), value in zip(knobs, before, strict=True):
            setattr(owner, name, value)


class TorchEncoder(Encoder):
    """An encoder whose network runs in torch.

    Attributes
    ----------
    dim
        The width of a row.
    device
        Where the network is; inputs are moved there, rows come back to the CPU.

    """

    dim: int
    device: torch.device

    def _rows(self, forward: Callable[[Tensor], Tensor], batch: Tensor) -> Float32:
        """Run the network on one batch, without gradients and in true float32: ``[n, dim]``.

        A batch that the device's memory does not hold is halved: rows do not depend on it.
        """
        try:
            with torch.inference_mode(), true_float32():
                rows: Float32 = forward(batch.to(self.device)).to("cpu", torch.float32).numpy()
            return rows
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise A2IBenchError(
                    f"The encoder {self.name} needs more memory for one item than {self.device} has; give --device cpu."
                ) from None
        warnings.warn(
            f"The device has too little memory for a batch of the encoder {self.name}; it is halved.",
            A2IBenchWarning,
            stacklevel=3,
        )
        middle = len(batch) // 2
        return np.concatenate([self._rows(forward, batch[:middle]), self._rows(forward, batch[middle:])])

    def _empty(self) -> Float32:
        return np.empty((0, self.dim), np.float32)


class TorchImageEncoder(TorchEncoder):
    """An image encoder: images are prepared one by one, so that any sizes can stand in one batch."""

    modality = "image"
    channels_last = True

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        prepare: Callable[[Image.Image], Tensor],
        dim: int,
        device: Device,
    ):
        self._forward, self._prepare, self.dim, self.device = forward, prepare, dim, torch.device(device)

    def encode(self, items: Sequence[Image.Image]) -> Float32:
        """Encode images of any size and mode; an alpha channel is dropped, not blended: ``[n, dim]``."""
        if not items:
            return self._empty()
        # Only images that are not RGB are converted: convert() copies even when there is nothing to do.
        images = [item if item.mode == "RGB" else item.convert("RGB") for item in items]
        batch = torch.stack([self._prepare(image) for image in images])
        if self.channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        return self._rows(self._forward, batch)
