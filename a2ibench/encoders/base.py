"""What every encoder is: a frozen network with an identity, from items to float32 rows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Modality = Literal["image", "audio", "text"]
Float32 = NDArray[np.float32]


class Encoder(ABC):
    """A frozen network from one kind of input to rows.

    Attributes
    ----------
    name
        The role and the network, for example ``"clip-image"``.
    modality
        What it takes: ``"image"`` (RGB ``PIL.Image``), ``"audio"`` (float32 mono waveforms ``[samples]``
        at ``rate``) or ``"text"`` (``str``).
    weights
        The sha256 of the weights file, in hex.
    preprocessing
        The version of the preprocessing; it is raised whenever the same input may give other rows.
    rate
        The sample rate in Hz that an audio encoder wants; 0 for the others.

    """

    name: str
    modality: Modality
    weights: str
    preprocessing: str
    rate: int = 0

    @property
    def id(self) -> str:
        """Everything that the rows depend on: name, weights, preprocessing, dtype."""
        return f"{self.name}:{self.weights[:16]}:{self.preprocessing}:float32"

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Float32:
        """Encode one batch: ``[len(items), d]``; a row depends on nothing but its own item."""
