"""Features as files: one per unit and encoder, and a manifest per unit; for runs of several processes or machines.

The cache is a database, whose locks can't be relied on where machines share a disk. Here every file appears whole under
a name of its own, and is never changed.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from a2ibench.encoders.base import Float32
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, read_state, write_bytes, write_state
from a2ibench.scoring.features import Rows

_MOST_BYTES = 2**32
_KEY = "row/"


class NoCache:
    """A cache that holds nothing: for who knows already what is missing."""

    def get(self, keys: Sequence[str]) -> dict[str, Float32]:
        """Find nothing."""
        return {}

    def put(self, rows: dict[str, Float32]) -> None:
        """Keep nothing."""


class FeatureFiles:
    """The features in a folder, of any encoders: content digest → float32 array of any shape.

    What is damaged counts as absent, and is computed again.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, rows: Mapping[str, Mapping[str, Float32]]) -> None:
        """Write a unit: by the encoder's id the features by key; first the files, then the manifest."""
        keys = sorted({key for each in rows.values() for key in each})
        name = hashlib.sha256("\n".join([*sorted(rows), *keys]).encode()).hexdigest()[:20]
        files = {}
        for number, (encoder, found) in enumerate(sorted(rows.items())):
            data = save({f"{_KEY}{key}": row for key, row in found.items()})
            file = f"{name}.{number}.safetensors"
            write_bytes(self.folder / file, data)
            files[encoder] = [file, hashlib.sha256(data).hexdigest()]
        write_state(self.folder / f"{name}.json", {"keys": keys, "files": files})

    def read(self, encoder: str) -> "UnitRows":
        """Give the features of one encoder, by its id."""
        return UnitRows(self, encoder)

    def _manifests(self) -> list[dict[str, Any]]:
        try:
            files = sorted(entry.path for entry in os.scandir(self.folder) if entry.name.endswith(".json"))
        except OSError:
            return []
        found = []
        for file in files:
            try:
                state = read_state(Path(file), "")
            except A2IBenchError:
                continue
            if state and isinstance(state.get("keys"), list) and isinstance(state.get("files"), dict):
                found.append(state)
        return found


class UnitRows:
    """The features of one encoder in the files of all units, read when they are asked for."""

    def __init__(self, files: FeatureFiles, encoder: str):
        self._files, self._encoder = files, encoder

    def get(self, keys: Sequence[str]) -> dict[str, Float32]:
        """Read the features that are there, and whole."""
        wanted, found = set(keys), dict[str, Float32]()
        for manifest in self._files._manifests():
            if self._encoder in manifest["files"] and not wanted.isdisjoint(manifest["keys"]):
                rows = self._read(*manifest["files"][self._encoder])
                found.update((key, row) for key, row in rows.items() if key in wanted)
        return found

    def put(self, rows: dict[str, Float32]) -> None:
        """Write features as a unit of their own."""
        self._files.write({self._encoder: rows})

    def _read(self, name: str, digest: str) -> dict[str, Float32]:
        try:
            data = read_limited(self._files.folder / Path(name).name, _MOST_BYTES)
            if hashlib.sha256(data).hexdigest() != digest:
                return {}
            return {key.removeprefix(_KEY): row for key, row in load(data).items()}
        except (OSError, A2IBenchError, SafetensorError):
            return {}


__all__ = ["FeatureFiles", "NoCache", "Rows", "UnitRows"]
