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

from a2ibench.encoders._threads import lone_threads
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


BATCH_ON_CPU, BATCH = 8, 32
"""How many items a network computes at once, on a CPU and on anything else. On a CPU more is not faster."""


class TorchEncoder(Encoder):
    """An encoder whose network runs in torch.

    A row's bits depend on its item alone (on one machine, with one set of libraries): the network sees batches of one
    fixed size only, and on a CPU each is computed by one thread, as many at a time as torch has threads. Kernels
    differ from batch size to batch size and from one number of threads to another, and not between the places of a
    batch (tests/encoders/test_fixed.py looks at all).

    Attributes
    ----------
    dim
        The width of a row.
    device
        Where the network is; inputs are moved there, rows come back to the CPU.
    sizes
        The sizes of a batch, on a CPU and elsewhere.
    channels_last
        Whether the network takes its input in this layout.
    kernels
        What computes the network, as `speed_up` names it.

    """

    dim: int
    device: torch.device
    sizes: tuple[int, int] = (BATCH_ON_CPU, BATCH)
    channels_last = False
    kernels = "eager"

    @property
    def on_cpu(self) -> bool:
        """Whether the network is on the CPU."""
        return self.device.type == "cpu"

    @property
    def batch(self) -> int:  # type: ignore[override]
        """How many items the network computes at once."""
        return self.sizes[0 if self.on_cpu else 1]

    @property
    def computing(self) -> str:  # type: ignore[override]
        """What moves the last bits of a row: the device, its kernels and the size of the batches."""
        return f"{self.device.type}-{self.kernels}-b{self.batch}"

    @property
    def at_once(self) -> int:  # type: ignore[override]
        """How many items keep all threads of the CPU, or the GPU, busy."""
        return max(self.batch, BATCH_ON_CPU) * torch.get_num_threads() if self.on_cpu else 4 * max(self.batch, BATCH)

    def _rows(self, forward: Callable[[Tensor], Tensor], items: Tensor | Sequence[Tensor]) -> Float32:
        """Run the network on any number of inputs of one shape, in batches of the fixed size: ``[n, dim]``.

        Without gradients and in true float32.
        """
        if not len(items):
            return np.empty((0, self.dim), np.float32)
        starts = range(0, len(items), self.batch)

        def one(start: int) -> Tensor:
            return self._batch(forward, items[start : start + self.batch], self.batch)

        with true_float32():
            if self.on_cpu:
                with lone_threads(min(torch.get_num_threads(), len(starts))) as pool:
                    found = list(pool.map(one, starts))
            else:
                found = [one(start) for start in starts]  # the next is filled while the device computes
            rows: Float32 = torch.cat(found).to("cpu").numpy()
        return rows

    def _batch(self, forward: Callable[[Tensor], Tensor], items: Tensor | Sequence[Tensor], size: int) -> Tensor:
        """Compute one batch, filled up by its first item: the rows of the items that are there, on the device."""
        try:
            with torch.inference_mode():
                return forward(self._filled(items, size)).to(torch.float32)[: len(items)]
        except torch.OutOfMemoryError:
            if size == 1:
                raise A2IBenchError(
                    f"The encoder {self.name} needs more memory for one item than {self.device} has; give --device cpu."
                ) from None
        warnings.warn(
            f"The device has too little memory for a batch of the encoder {self.name}; it is halved, which may move "
            "the last digits.",
            A2IBenchWarning,
            stacklevel=3,
        )
        half = (size + 1) // 2
        return torch.cat(
            [self._batch(forward, items[start : start + half], half) for start in range(0, len(items), half)]
        )

    def _filled(self, items: Tensor | Sequence[Tensor], size: int) -> Tensor:
        """Lay inputs out in memory of the batch's own, so that neither strides nor alignment depend on where from."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        shape = (size, *items[0].shape)
        pinned = self.device.type == "cuda"
        batch = torch.empty(shape, dtype=items[0].dtype, memory_format=layout, pin_memory=pinned)
        for place in range(size):
            batch[place] = items[place] if place < len(items) else items[0]
        return batch.to(self.device, non_blocking=pinned)

    def encode(self, items: Sequence[Any]) -> Any:
        """Encode any number of items: ``[n, dim]``."""
        return self.compute([self.prepare(item) for item in items])

    def encode_together(self, items: Sequence[Any]) -> Float32:
        """Encode items in one batch of just them, on all threads: ``[n, dim]``."""
        prepared = [self.prepare(item) for item in items]
        rows = np.empty((len(items), self.dim), np.float32)
        with true_float32():
            for shape in dict.fromkeys(each.shape for each in prepared):
                alike = [index for index, each in enumerate(prepared) if each.shape == shape]
                found = self._batch(self._forward, [prepared[index] for index in alike], len(alike))
                rows[alike] = found.to("cpu").numpy()
        return rows

    def _forward(self, batch: Tensor) -> Tensor:
        """Run the network on a batch of what `prepare` gives."""
        raise NotImplementedError

    def compute(self, prepared: Sequence[Tensor]) -> Float32:
        """Run the network on what `prepare` gave, of one shape: ``[n, dim]``."""
        return self._rows(self._forward, prepared)


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
        self._network, self._prepare, self.dim, self.device = forward, prepare, dim, torch.device(device)

    def _forward(self, batch: Tensor) -> Tensor:
        return self._network(batch)

    def prepare(self, item: Image.Image) -> Tensor:
        """Prepare an image of any size and mode; an alpha channel is dropped, not blended: ``[3, S, S]``."""
        # Only images that are not RGB are converted: convert() copies even when there is nothing to do.
        return self._prepare(item if item.mode == "RGB" else item.convert("RGB"))
