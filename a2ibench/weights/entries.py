"""The entries of ``checkpoints.toml``: source, hash, size and licence of every published weights file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Literal

from a2ibench.errors import unknown

State = Literal["present", "absent", "wrong"]


@dataclass(frozen=True)
class Checkpoint:
    """One published weights file, or one folder of a hub repository.

    Attributes
    ----------
    name
        The key in ``checkpoints.toml``.
    file
        The name that a file or folder has in the weights folder.
    licence
        Of the weights.
    urls
        Where it can be downloaded, in the order of trying; https.
    hub, revision
        The Hugging Face repository and the commit, tag or branch; instead of or after ``urls``.
    files
        The files of the hub repository that are needed. One: ``file`` is that file. Several: a folder.
    sha256
        In hex; empty where nobody has published it. Then a download is checked by size at most, and its
        hash is only recorded in results.
    sha256_prefix
        The hash's first digits, which PyTorch's own files carry in their names.
    git_blob
        The sha1 by which git stores the file, for a file inside a git repository.
    bytes
        The exact size; None where it is not known.
    about
        The size in words where ``bytes`` is not known.
    non_commercial
        Whether the licence forbids commercial use: then results that it took part in say so.
    note
        What one must know before using it.
    used_by
        The encoders and methods that want it.

    """

    name: str
    file: str
    licence: str
    urls: tuple[str, ...] = ()
    hub: str = ""
    revision: str = "main"
    files: tuple[str, ...] = ()
    sha256: str = ""
    sha256_prefix: str = ""
    git_blob: str = ""
    bytes: int | None = None
    about: str = ""
    non_commercial: bool = False
    note: str = ""
    used_by: tuple[str, ...] = field(default=())

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of several files."""
        return len(self.files) > 1

    @property
    def size(self) -> str:
        """The size in words, for people."""
        return self.about or "size not published" if self.bytes is None else _megabytes(self.bytes)

    @property
    def source(self) -> str:
        """The first place it comes from, as an address."""
        if self.urls:
            return self.urls[0]
        return f"https://huggingface.co/{self.hub}/tree/{self.revision}"

    @property
    def hash_known(self) -> bool:
        """Whether a download can be verified by a hash."""
        return bool(self.sha256 or self.sha256_prefix or self.git_blob)


@cache
def published() -> Mapping[str, Checkpoint]:
    """Read every entry of ``checkpoints.toml``, by name."""
    table = tomllib.loads((files("a2ibench.weights") / "checkpoints.toml").read_text("utf-8"))
    known = {entry.name for entry in fields(Checkpoint)}
    entries = {}
    for name, row in table.items():
        if extra := set(row) - known:
            raise ValueError(f"checkpoints.toml: [{name}] has unknown keys {sorted(extra)}")
        row = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        entries[name] = Checkpoint(name=name, **row)
    return entries


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def entry_of(name: str) -> Checkpoint:
    """Give the entry of this name; A2IBenchError with the nearest one where there is none."""
    entries = published()
    if name not in entries:
        raise unknown("checkpoint", name, entries)
    return entries[name]
