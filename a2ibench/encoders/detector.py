"""A small event detector: when which kind of sound begins. Ours, to be trained on a world whose events are known.

A sound at 16 kHz becomes log-mel frames (64 bands, 64 ms wide, every 10 ms), a convolutional network halves the frames
to 20 ms, and a recurrent one in both directions reads them. Each frame gets a probability for each kind that a call of
it begins there; `a2ibench.metrics.detections` makes events of them: a run of frames above one half is one call. Train
with binary cross-entropy on `targets`. For EVENTS and ``ONSET.detector`` it must be of another seed than any network
that took part in a training.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, Weights, freeze, load_strict
from a2ibench.encoders._mel import WholeEncoder, at_least, by_length, mel_filters, waveform
from a2ibench.encoders.base import EncoderKind, Float32, check_keys
from a2ibench.errors import A2IBenchError

RATE = 16_000
BANDS, FRAME_SECONDS = 64, 0.02
_HOP, _FFT = 160, 1024


def log_mel(waves: Tensor) -> Tensor:
    """Compute log-mel frames of waveforms at 16 kHz, ``[n, samples]``: float32 ``[n, 2 * frames, 64]``, about -1 to 1.

    ``frames`` is what the network gives: one for each 20 ms that have begun.
    """
    count = 2 * -(-waves.shape[1] // (2 * _HOP))
    short = max(0, (count - 1) * _HOP + _FFT // 2 - waves.shape[1])
    padded = nn.functional.pad(waves.to(torch.float64), (_FFT // 2, short))
    window = torch.hann_window(_FFT, dtype=torch.float64)
    power = torch.fft.rfft(padded.unfold(1, _FFT, _HOP)[:, :count] * window).abs().square()
    levels: Tensor = (power @ mel_filters(BANDS, 30.0, 8000.0, RATE, _FFT) + 1e-5).log() / 6
    return levels.float()


def targets(calls: Sequence[tuple[float, int]], frames: int, kinds: int, reach: int = 1) -> Float32:
    """Give what a network should say of a sound with these calls (time in seconds, kind): ``[frames, kinds]``, 0 or 1.

    The frame in which a call begins, and `reach` frames to either side.
    """
    wanted = np.zeros((frames, kinds), np.float32)
    for time, kind in calls:
        middle = int(time / FRAME_SECONDS)
        wanted[max(0, middle - reach) : middle + reach + 1, kind] = 1
    return wanted


class Detector(nn.Module):
    """The network: log-mel ``[n, 2 * frames, 64]`` → logits ``[n, frames, kinds]``.

    Parameters
    ----------
    kinds
        How many kinds of sound there are.
    width
        Channels of the first convolution; the others have twice as many, and the recurrent layer 4 times each way.

    """

    def __init__(self, kinds: int, width: int = 16):
        super().__init__()
        self.kinds, self.width = kinds, width
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d((1, 4))),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d((2, 4))),
            *(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()),
        )
        self.recurrent = nn.GRU(2 * width * BANDS // 16, 4 * width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8 * width, kinds)

    def forward(self, pictures: Tensor) -> Tensor:
        """Judge pictures of one length; a row depends on its own picture alone (in eval mode)."""
        x = self.convolutions(pictures[:, None]).permute(0, 2, 1, 3).flatten(2)
        logits: Tensor = self.head(self.recurrent(x)[0])
        return logits


class DetectorEncoder(WholeEncoder):
    """Waveforms of any lengths to frames: the time of each one's middle, then a probability for each kind.

    Attributes
    ----------
    categories
        The names of the kinds, in the order of the columns after the first.

    """

    name = "detector"
    modality = "audio"
    preprocessing = "1"
    rate = RATE

    def __init__(self, network: Detector, categories: Sequence[str], sha256: str, device: Device):
        self._network, self.categories, self.weights = network, tuple(categories), sha256
        self.dim, self.device = 1 + network.kinds, torch.device(device)
        self.configuration = {"categories": list(categories), "width": network.width}

    def encode(self, items: Sequence[Any]) -> list[Float32]:
        """Judge float32 mono waveforms at 16 kHz: a list of ``[frames, 1 + kinds]``; equal lengths share a pass.

        Raises
        ------
        A2IBenchError
            For a sound that is not ``[samples]``, or is not finite.

        """
        waves = [at_least(waveform(item, i, "The detector", RATE), 2 * _HOP) for i, item in enumerate(items)]
        found: list[Float32] = [np.empty((0, self.dim), np.float32)] * len(waves)
        for indices, batch in by_length(waves):
            judged = self._rows(lambda x: self._network(x).sigmoid(), log_mel(batch))
            times = (np.arange(judged.shape[1], dtype=np.float32) + 0.5) * FRAME_SECONDS
            for index, frames in zip(indices, judged, strict=True):
                found[index] = np.concatenate([times[:, None], frames], axis=1).astype(np.float32)
        return found


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> DetectorEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        ``categories``: the names of the kinds, in the order of the network's outputs; ``width`` of `Detector`.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.

    """
    check_keys(config, ("categories", "width"), "the detector")
    categories = config.get("categories", ())
    if not categories:
        raise A2IBenchError("The detector needs 'categories', the names of the kinds that it hears; list them.")
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = Detector(len(categories), int(config.get("width", 16)))
    load_strict(network, weights, f"the detector of {len(categories)} kinds")
    freeze(network, device)
    return DetectorEncoder(network, categories, sha256, device)


ENCODERS = (EncoderKind("detector", "audio", load),)
