"""What every encoder is: a frozen network with an identity, from items to float32 rows."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from a2ibench.errors import unknown

Modality = Literal["image", "audio", "video", "text"]
Float32 = NDArray[np.float32]

READING: Mapping[Modality, int] = {"image": 1, "audio": 2, "video": 1, "text": 1}
"""How files reach an encoder, a version per modality: raised when the same file may give other pixels or samples."""


class Encoder(ABC):
    """A frozen network from one kind of input to rows.

    Attributes
    ----------
    name
        The role and the network, for example ``"clip-image"``.
    modality
        What it takes: ``"image"`` (RGB ``PIL.Image``), ``"audio"`` (float32 mono waveforms ``[samples]``
        at ``rate``), ``"video"`` (the ``Path`` of a file, read front to back by `a2ibench.media.video.frames`, since
        a batch of decoded videos fits no memory) or ``"text"`` (``str``).
    weights
        The sha256 of the weights file, in hex.
    preprocessing
        The version of the preprocessing; it is raised whenever the same input may give other rows.
    configuration
        Everything else that the rows depend on, as plain data: the network's configuration (heads and activations
        can't be seen in the weights), image sizes, category names, the tokenizer's digest. No paths.
    dtype
        What the network computes in.
    rate
        The sample rate in Hz that an audio encoder wants; 0 for the others.
    batch
        How many items the network computes at once; always as many, a last batch is filled up. In batches of another
        size a row differs in its last bits.
    at_once
        How many items to give `compute` at a time, so that all of the processor has work.
    device
        Where the network computes, as torch names it.
    computing
        How the rows are computed, where that can move their last bits only: the device, the kernels, and the batch. It
        names cached rows and stands in a result's provenance; not in the id, since no printed digit depends on it.

    """

    name: str
    modality: Modality
    weights: str
    preprocessing: str
    configuration: Mapping[str, Any]
    dtype: str = "float32"
    rate: int = 0
    batch: int = 8
    at_once: int = 8
    device: Any = "cpu"
    computing: str = ""

    @property
    def id(self) -> str:
        """Everything that the rows depend on: name, weights, preprocessing, dtype, and a digest of all of it."""
        return f"{self.name}:{self.weights[:16]}:{self.preprocessing}:{self.dtype}:{self.digest}"

    @property
    def stored_as(self) -> str:
        """Everything that the rows' bits depend on: what names them where they are kept."""
        return f"{self.id}:{self.computing}" if self.computing else self.id

    @property
    def digest(self) -> str:
        """What stands for the encoder in a signature: 12 hex digits over the whole identity.

        A few digits of the weights alone would let two image sizes, or two orders of the categories, pass for one.
        """
        identity = (
            *(self.name, self.weights, self.preprocessing, self.dtype),
            *(READING[self.modality], self.configuration),
        )
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Any:
        """Encode any number of items: ``[len(items), d]``; a row's bits depend on nothing but its own item.

        An encoder that gives several rows per item (windows, onsets) gives a list of ``[k, d]``, one for each item.
        """

    def encode_together(self, items: Sequence[Any]) -> Any:
        """Encode items that always come together, as the frames of a video, or a single one: ``[len(items), d]``.

        Their batch need not be filled up, so that it costs less; the last bits may differ from those of `encode`.
        """
        return self.encode(items)

    def prepare(self, item: Any) -> Any:
        """Do what comes before the network, for one item; it may run beside the network, in another thread."""
        return item

    def compute(self, prepared: Sequence[Any]) -> Any:
        """Encode what `prepare` gave: ``[len(prepared), d]``."""
        return self.encode(prepared)


@dataclass(frozen=True)
class EncoderKind:
    """The declaration of an encoder: how it is called and how it is loaded.

    Attributes
    ----------
    name
        What stands behind the slash in feature keys, as ``"clip-image"``.
    modality
        What it takes.
    load
        Makes it: ``load(config, weights, sha256, device)``; weights is None, and sha256 empty, where it has none.
    entry
        The suite's entry ``[encoders.ENTRY]`` that configures it; empty: that of its own name.
    weights
        The file that it takes where a suite has no such entry: an encoder that a package brings along.
    has_weights
        Whether there is a weights file at all.

    """

    name: str
    modality: Modality
    load: Callable[..., Encoder]
    entry: str = ""
    weights: Path | None = None
    has_weights: bool = True


def check_keys(config: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Refuse a configuration with a key that nobody would read: a mistyped one would silently change nothing.

    Raises
    ------
    A2IBenchError
        For the first such key; the sentence names the nearest right one.

    """
    for key in config:
        if key not in known:
            raise unknown(f"setting of {what}", key, known)
