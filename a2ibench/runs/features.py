"""Features computed in units, on whatever workers there are, and kept as files in the run's folder."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2ibench.encoders.base import Encoder, Float32
from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.metrics.base import AnyArray
from a2ibench.progress import Advance
from a2ibench.runs.executors import Executor, perform
from a2ibench.runs.units import UNITS
from a2ibench.scoring.features import FeatureSource, encode_files, encode_texts, stacked
from a2ibench.scoring.units import FeatureFiles, NoCache
from a2ibench.suites import Suite
from a2ibench.suites.portable import located, portable, suite_of, suite_spec
from a2ibench.text import plain

_TEXTS = 64  # in a batch, as encode_texts takes them
_LARGEST = 8  # batches in a unit
_UNITS = 64  # of one batch each, before they are made larger

Item = Path | str
"""A file, or a text."""


def unit_size(count: int, batch_size: int) -> int:
    """Give the size of units: one batch, more where there would be very many; whatever the number of workers."""
    return batch_size * min(_LARGEST, max(1, count // (_UNITS * batch_size)))


class UnitFeatures(FeatureSource):
    """Features from the files of units; what is missing is computed by an executor, or in this process.

    Parameters
    ----------
    suite
        Gives the encoders.
    folder
        The folder of a run; features are kept in ``units/features``.
    device
        Of the workers.
    executor
        Who computes; None for this process.

    """

    def __init__(self, suite: Suite, folder: Path, device: str, executor: Executor | None = None):
        self.suite, self.device, self.executor = suite, device, executor
        self.store = FeatureFiles(folder / UNITS / "features")

    def files(
        self, encoders: Sequence[Encoder], paths: Sequence[Path], batch_size: int, advance: Advance
    ) -> dict[str, list[Float32]]:
        """Encode files with encoders of one medium: by the encoder's name an array per file."""
        keys = [sha256_file(path) for path in paths]
        return self._rows(encoders, dict(zip(keys, paths, strict=True)), keys, batch_size, advance)

    def texts(self, encoder: Encoder, texts: Sequence[str]) -> AnyArray:
        """Encode texts: as `stacked` has them."""
        keys = [_key(text) for text in texts]
        rows = self._rows([encoder], dict(zip(keys, texts, strict=True)), keys, _TEXTS, lambda n: None)
        return stacked(rows[encoder.name])

    def _rows(
        self,
        encoders: Sequence[Encoder],
        items: Mapping[str, Item],
        keys: Sequence[str],
        batch_size: int,
        advance: Advance,
    ) -> dict[str, list[Float32]]:
        names = {each.name: _kept_as(each, self.device) for each in encoders}
        known = {name: self.store.read(kept).get(keys) for name, kept in names.items()}
        missing = [item for key, item in sorted(items.items()) if any(key not in rows for rows in known.values())]
        advance(len(keys) - len(missing))
        if missing:
            work = Encoding(self.suite, tuple(encoders), self.store.folder, batch_size, self.device)
            perform(self.executor, work, missing, unit_size(len(missing), batch_size), advance)
            known = {name: self.store.read(kept).get(keys) for name, kept in names.items()}
        return {name: [rows[key] for key in keys] for name, rows in known.items()}


@dataclass(frozen=True)
class Encoding:
    """The work of encoding items: what a worker, in whatever process, needs to make units of it."""

    suite: Suite
    encoders: tuple[Encoder, ...]
    folder: Path
    batch_size: int
    device: str

    def load(self) -> Callable[[Sequence[Item]], None]:
        """Give what makes a unit; the encoders are loaded already."""
        return self._make

    def spec(self) -> dict[str, Any]:
        """Write the work down for another process."""
        return {
            "work": "encode",
            "suite": suite_spec(self.suite),
            "encoders": {each.name: each.id for each in self.encoders},
            "folder": portable(self.folder),
            "batch size": self.batch_size,
            "device": self.device,
        }

    @staticmethod
    def of(spec: Mapping[str, Any]) -> "Encoding":
        """Make the work from what `spec` wrote down, and check that the encoders are the same here."""
        suite = suite_of(spec["suite"])
        encoders = tuple(suite.encoder(name, spec["device"]) for name in spec["encoders"])
        for each in encoders:
            if each.id != spec["encoders"][each.name]:
                raise A2IBenchError(
                    f"The worker's encoder {each.name} is another one than here; install the same a2ibench and "
                    "the same weights on every machine."
                )
        return Encoding(suite, encoders, located(spec["folder"]), spec["batch size"], spec["device"])

    def pack(self, items: Sequence[Item]) -> list[Any]:
        """Write items down: each with its key, so that another file on the worker's machine is noticed."""
        return [
            [sha256_file(item), {"path": portable(item)}] if isinstance(item, Path) else [_key(item), {"text": item}]
            for item in items
        ]

    def unpack(self, packed: Sequence[Any]) -> list[Item]:
        """Give the items that `pack` wrote down, after checking that they are the same here."""
        items: list[Item] = []
        for key, told in packed:
            item = located(told["path"]) if "path" in told else str(told["text"])
            if isinstance(item, Path) and sha256_file(item) != key:
                raise A2IBenchError(f"{item} has other contents on the worker's machine; put the same files there.")
            items.append(item)
        return items

    def fail(self, item: Item, reason: str) -> None:
        """Say which item ends every worker: nothing can be scored without its features."""
        what = str(item) if isinstance(item, Path) else f"The text {plain(item, 60)!r}"
        raise A2IBenchError(f"{what} can't be encoded, {reason}; replace it, or leave its clip out.")

    def _make(self, items: Sequence[Item]) -> None:
        paths = [item for item in items if isinstance(item, Path)]
        texts = [item for item in items if isinstance(item, str)]
        keys = [sha256_file(path) for path in paths] or [_key(text) for text in texts]
        if paths:
            rows = encode_files(self.encoders, paths, self.batch_size, cache=lambda _: NoCache())
        else:
            rows = {each.name: list(encode_texts(each, texts, cache=lambda _: NoCache())) for each in self.encoders}
        FeatureFiles(self.folder).write(
            {_kept_as(each, self.device): dict(zip(keys, rows[each.name], strict=True)) for each in self.encoders}
        )


def _kept_as(encoder: Encoder, device: str) -> str:
    """Name an encoder's features: the last bits depend on the kind of device too, and here may be another one."""
    return f"{encoder.id}:{device.partition(':')[0]}"


def _key(text: str) -> str:
    """The key of a text, as the cache has it."""
    return hashlib.sha256(text.encode()).hexdigest()
