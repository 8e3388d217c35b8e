"""The audio classifier: what BEATs hears in a clip, by name."""

import csv
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError
from a2ibench.suites import Suite
from a2ibench.weights.fetch import locate
from a2ibench.weights.read import read_checkpoint, read_state_dict

RATE = beats.RATE
CLASSES = "audioset-classes"  # the entry of checkpoints.toml


class Tagger:
    """BEATs with its head, and the names of its classes.

    Parameters
    ----------
    suite
        Its part ``beats`` is used.
    device
        Where it runs.
    window
        Seconds that the network hears at once; of longer sounds the windows' probabilities are averaged.
    classes
        AudioSet's ``class_labels_indices.csv``, in place of the published one. The published network names its
        classes by machine ids (``/m/09x0r``), and this file says what they are.

    Raises
    ------
    A2IBenchError
        If the suite has no such network, it has no head, or its classes have no names.

    """

    def __init__(self, suite: Suite, device: str = "cpu", window: float = 10.0, classes: Path | None = None):
        part = suite.part("beats")
        file, digest = part.resolve()
        content = read_checkpoint(file) if "config" not in part.config else {}
        config = beats.BeatsConfig.from_dict(part.config.get("config") or content.get("cfg", {}))
        self.names = _names(suite, content.get("label_dict"), classes)
        if len(self.names) != config.predictor_class:
            raise A2IBenchError(
                f"The audio classifier of {suite.name!r} has {config.predictor_class} classes and "
                f"{len(self.names)} names; choose another suite, or give --no-filter."
            )
        self.network = beats.load(config, read_state_dict(file)).to(device)
        self.device, self.window = device, window
        self.id = f"beats-tags:{digest[:16]}:{window:g}s"

    def hear(self, wave: NDArray[np.float32]) -> NDArray[np.float64]:
        """Tag a sound ``[samples]`` at 16 kHz: the probability of each class, ``[classes]``."""
        import torch

        size = int(self.window * RATE)
        pieces = [wave[start : start + size] for start in range(0, len(wave), size)]
        # What is left at the end is heard too where it is long enough to hear something in it.
        heard = [piece for piece in pieces if len(piece) >= RATE] or [np.pad(wave, (0, max(0, RATE - len(wave))))]
        tags = []
        with torch.inference_mode():
            for piece in heard:
                batch = torch.from_numpy(np.ascontiguousarray(piece[None])).to(self.device)
                tags.append(self.network.tag(beats.fbank(batch, self.network.config))[0].double().cpu().numpy())
        mean: NDArray[np.float64] = np.mean(tags, axis=0)
        return mean


def _names(suite: Suite, label_dict: Any, classes: Path | None) -> tuple[str, ...]:
    if label_dict is None:
        # The suite's own network: trained on its world, one class per event.
        world = (
            import_module(f"a2ibench.suites.{suite.folder.name}.world") if suite.built_in and suite.file.world else None
        )
        return tuple(suite.file.labels) or tuple(getattr(world, "LABELS", ()))
    known = read_classes(classes or locate(CLASSES))
    machine_ids = [str(label_dict[key]) for key in sorted(label_dict, key=int)]
    absent = [each for each in machine_ids if each not in known]
    if absent:
        raise A2IBenchError(
            f"AudioSet's list of classes lacks {absent[0]!r} and {len(absent) - 1} more that BEATs knows; "
            "give --audio-classes class_labels_indices.csv."
        )
    return tuple(known[each] for each in machine_ids)


def read_classes(file: Path) -> Mapping[str, str]:
    """Read AudioSet's ``class_labels_indices.csv``: display names by machine id."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            found = {row["mid"]: row["display_name"] for row in csv.DictReader(stream, skipinitialspace=True)}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError):
        found = {}
    if not found:
        raise A2IBenchError(f"{file} is not AudioSet's class_labels_indices.csv (index,mid,display_name); give that.")
    return found
