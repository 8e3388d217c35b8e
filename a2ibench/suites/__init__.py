"""Suites: what makes two numbers comparable. A TOML file names the clips, the networks and the protocol."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from a2ibench.clips import ClipSet, load_clips
from a2ibench.encoders import get as get_encoder
from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import sha256_file
from a2ibench.registry import plugins
from a2ibench.suites.file import SuiteFile, WeightsEntry, read_suite_file
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task
from a2ibench.weights.entries import published
from a2ibench.weights.fetch import locate, verify

_BUILT_IN = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """A network's weights with their configuration: shipped beside the suite, or a published checkpoint."""

    name: str
    config: Mapping[str, Any]
    folder: Path
    shipped: str | None = None
    checkpoint: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the weights are a folder of several files."""
        if self.checkpoint is not None:
            return published()[self.checkpoint].is_folder
        return self.shipped is not None and (self.folder / self.shipped).is_dir()

    def resolve(self) -> tuple[Path, str]:
        """Find the weights, and the hash that names them: of the file, or over a folder's files.

        A shipped file is checked by its hash, a published one is located or fetched. A published folder of
        several files is named by its repository and revision: hashing gigabytes in each run buys nothing.
        """
        if self.checkpoint is not None:
            path, entry = locate(self.checkpoint), published()[self.checkpoint]
            return path, verify(path, entry) or f"{entry.hub}@{entry.revision}"
        if self.shipped is None:
            absent = f"The suite file gives neither 'file' nor 'checkpoint' for {self.name!r}."
            raise A2IBenchError(self.config.get("absent", absent))
        path = self.folder / self.shipped
        if not path.is_dir():
            return path, self._checked(path)
        listed = [self.folder / name for name in _sums(self.folder) if name.startswith(f"{self.shipped}/")]
        there = [file for file in path.rglob("*") if file.is_file()]
        return path, _folder_digest(path, {*listed, *there}, self._checked)

    def _checked(self, file: Path) -> str:
        """Hash a shipped file; refuse one that is missing or another than was shipped."""
        if not file.is_file():
            raise _unwhole(file, "is missing")
        found = sha256_file(file)
        if found != _sums(self.folder).get(file.relative_to(self.folder).as_posix()):
            raise _unwhole(file, "is not the one that was shipped (its sha256 differs)")
        return found


def _unwhole(path: Path, what: str) -> A2IBenchError:
    return A2IBenchError(f"The weights file {path} {what}; install a2ibench again, and check with `a2ibench doctor`.")


def _sums(folder: Path) -> dict[str, str]:
    """Read ``weights/SHA256SUMS``: hashes by path relative to the suite's folder."""
    file = folder / "weights" / "SHA256SUMS"
    if not file.is_file():
        raise _unwhole(file, "is missing")
    lines = (line.split("  ", 1) for line in file.read_text().splitlines() if line.strip())
    return {f"weights/{name}": digest for digest, name in lines}


@dataclass(frozen=True)
class Suite:
    """A suite: its file's content, the folder that the file lies in, and whether it is one of ours."""

    file: SuiteFile
    folder: Path
    built_in: bool = False

    @property
    def name(self) -> str:
        """The name, without the version."""
        return self.file.name

    @property
    def id(self) -> str:
        """Name and version, ``mini@1``; of a suite that is not built in its content's digest too.

        Anybody may call a file "mini", version 1: results, runs and boards must not take it for ours.
        """
        return f"{self.name}@{self.file.version}" + ("" if self.built_in else f".{self.file.digest}")

    def setting(self, clips: ClipSet) -> str:
        """Name suite and clips as in signatures; only a built-in suite's own clips, all of them, need no digest."""
        own = self.built_in and clips.digest == self.file.clips_digest
        return self.id if own else f"{self.id}+{clips.digest[:12]}"

    @property
    def task(self) -> Task:
        """The task that the suite is of."""
        return get_task(self.file.task)

    @property
    def brings_clips(self) -> bool:
        """Whether the suite has clips of its own."""
        return self.file.clips is not None

    def clips(self, data: Path | None = None) -> ClipSet:
        """Load the suite's own clips, or those of a folder of the user's."""
        if data is not None:
            return load_clips(data, task=self.task)
        if self.file.clips is None:
            raise A2IBenchError(
                f"The suite {self.name!r} ships no clips; give them with --data DIR, a folder with clips.csv."
            )
        clips = load_clips(self.folder / self.file.clips, self.name, self.task)
        if self.file.clips_digest not in (None, clips.digest):
            raise A2IBenchError(
                f"The clips in {self.folder / self.file.clips} are not those that were shipped with {self.id}; "
                "install a2ibench again."
            )
        return clips

    def drawn_afresh(self, clips: ClipSet, folder: Path) -> dict[str, dict[str, Path]]:
        """Make outputs with the suite's world, by the names of further sanity entries; into `folder`."""
        module = import_module(f"{__name__}.{self.folder.name}")
        drawn: dict[str, dict[str, Path]] = module.drawn_afresh(self, clips, folder)
        return drawn

    @property
    def networks(self) -> str:
        """Name all networks that are shipped with the suite: a hash of their hashes; empty where there are none."""
        sums = self.folder / "weights" / "SHA256SUMS"
        return sha256_file(sums) if sums.is_file() else ""

    def part(self, name: str) -> Part:
        """Get the entry ``[parts.name]`` of the suite file; one that names an `encoder` is that encoder's."""
        if name not in self.file.parts:
            raise unknown(f"entry in [parts] of the suite {self.name!r}", name, self.file.parts)
        entry = self.file.parts[name]
        return self.encoder_part(entry.encoder) if entry.encoder else self._part(name, entry)

    def encoder_part(self, name: str) -> Part:
        """Get the entry ``[encoders.name]`` of the suite file."""
        if name not in self.file.encoders:
            raise unknown(f"entry in [encoders] of the suite {self.name!r}", name, self.file.encoders)
        return self._part(name, self.file.encoders[name])

    def _part(self, name: str, entry: WeightsEntry) -> Part:
        config = entry.model_dump(exclude={"file", "checkpoint", "encoder"}, exclude_none=True, exclude_defaults=True)
        if "tokenizer" in config:
            config["tokenizer"] = str(self.folder / config["tokenizer"])
        return Part(name, config, self.folder, entry.file, entry.checkpoint)

    def encoder(self, name: str, device: str = "cpu") -> Encoder:
        """Load an encoder with the suite's weights and settings, or with those that its package brings.

        Raises
        ------
        A2IBenchError
            For an unknown name or setting, an encoder that nobody has weights for, and weights that do not fit.

        """
        config, weights, sha256 = self._resolved(get_encoder(name))
        return get_encoder(name).load(config, weights, sha256, device)

    def check_encoders(self, names: Iterable[str]) -> None:
        """Find the weights of these encoders, so that a file that is absent or broken is named before any work."""
        for name in names:
            self._resolved(get_encoder(name))

    def _resolved(self, kind: EncoderKind) -> tuple[Mapping[str, Any], Path | None, str]:
        """Give the settings, the weights and their hash of an encoder."""
        entry = kind.entry or kind.name
        if entry in self.file.encoders:
            part = self.encoder_part(entry)
            return (part.config, *part.resolve()) if kind.has_weights else (part.config, None, "")
        if not kind.has_weights:
            return {}, None, ""
        if kind.weights is None:
            raise A2IBenchError(
                f"The suite {self.name!r} has no entry [encoders.{entry}], which {kind.name} needs; "
                f"add one to the suite's file (here: {', '.join(self.file.encoders) or 'none'})."
            )
        if not kind.weights.is_file():
            raise A2IBenchError(f"The weights {kind.weights} of the encoder {kind.name} are missing; install it again.")
        return {}, kind.weights, sha256_file(kind.weights)

    def method_parts(
        self, method: str, names: tuple[str, ...], own: Mapping[str, Path]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Resolve the parts of a method: their files and configurations, and their hashes.

        Parameters
        ----------
        method
            The method's name; ``[methods.NAME.parts]`` may give an entry of ``[parts]`` for each part.
        names
            The parts that it needs.
        own
            Files of the user's, by the part's name, that take the place of the suite's.

        """
        for name in own:
            if name not in names:
                raise unknown(f"part of the method {method!r}", name, names)
        parts, hashes = {}, {}
        for name in names:
            alias = self._alias(method, name)
            if alias not in self.file.parts:
                raise A2IBenchError(
                    f"The suite {self.name!r} brings no {name!r}, which the method {method!r} needs; "
                    "choose another --suite."
                )
            part = self.part(alias)
            if name in own:
                if not own[name].exists():
                    raise A2IBenchError(f"The weights {own[name]} for {name!r} do not exist; fix the path.")
                nothing = part.shipped is None and part.checkpoint is None  # then a folder may be given, or a file
                path, digest = own[name], _digest(own[name], own[name].is_dir() if nothing else part.is_folder)
            else:
                path, digest = part.resolve()
            parts[name] = {**part.config, "file": path}
            if "borrows" in part.config and name not in own:
                # Two pipelines may share their autoencoder and text encoder: one copy is shipped.
                lender, of_lender = self.part(part.config["borrows"]).resolve()
                parts[name]["borrows"] = lender
                digest = hashlib.sha256(f"{digest} {of_lender}".encode()).hexdigest()
            if "scenes" in part.config and name not in own:
                parts[name]["sound"] = partial(
                    import_module(f"{__name__}.{self.folder.name}").sound_of, part.config["scenes"]
                )
            hashes[name] = digest
        return parts, hashes

    def _alias(self, method: str, part: str) -> str:
        """Name the entry of ``[parts]`` that a method takes for a part."""
        entry = self.file.methods.get(method)
        return entry.parts.get(part, part) if entry else part

    def unpublished(self, method: str, names: Iterable[str]) -> str | None:
        """Say why a method can't run here: that nobody published one of these parts. None where all were."""
        for name in names:
            if self._alias(method, name) not in self.file.parts:
                return f"The suite {self.name!r} brings no {name!r}."
            part = self.part(self._alias(method, name))
            if part.shipped is None and part.checkpoint is None:
                return str(part.config.get("absent", f"The suite {self.name!r} brings no {name!r}."))
        return None

    def method_licences(self, method: str, names: Iterable[str]) -> list[str]:
        """Say which of these parts of a method are under a licence that forbids commercial use."""
        entries = [published()[name] for name in self.method_checkpoints(method, names)]
        return [f"{entry.name}: {entry.licence}" for entry in entries if entry.non_commercial]

    def method_checkpoints(self, method: str, names: Iterable[str]) -> list[str]:
        """Name the published checkpoints that these parts of a method are of; a shipped part is of none."""
        found = (self.part(self._alias(method, name)).checkpoint for name in names)
        return list(dict.fromkeys(name for name in found if name))

    def encoder_checkpoints(self, names: Iterable[str]) -> list[str]:
        """Name the published checkpoints that these encoders are of."""
        entries = dict.fromkeys(kind.entry or kind.name for kind in map(get_encoder, names))
        found = (self.encoder_part(entry).checkpoint for entry in entries if entry in self.file.encoders)
        return list(dict.fromkeys(name for name in found if name))

    def method_options(self, method: str) -> dict[str, Any]:
        """Give the options that this suite sets for a method."""
        entry = self.file.methods.get(method)
        return dict(entry.options) if entry else {}


def _digest(path: Path, wants_folder: bool) -> str:
    """Hash a file of the user's, or a folder (a diffusers pipeline) over its files."""
    if path.is_dir() != wants_folder:
        found, wanted = ("a folder", "the weights file itself") if path.is_dir() else ("a file", "the whole folder")
        raise A2IBenchError(f"{path} is {found}; give {wanted}.")
    if path.is_file():
        return sha256_file(path)
    return _folder_digest(path, {file for file in path.rglob("*") if file.is_file()}, sha256_file)


def _folder_digest(folder: Path, files: Set[Path], digest_of: Callable[[Path], str]) -> str:
    """Hash the names and the hashes of a folder's files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()} {digest_of(file)}\n".encode())
    return digest.hexdigest()


def suites() -> dict[str, Path]:
    """Find the suites by name: our own, and those of plug-ins (``SUITES``: paths of TOML files).

    Our own are called as their folder, or, where several share its clips and networks, as their file.
    """
    files = sorted(_BUILT_IN.glob("*/*.toml"))
    found = {file.parent.name if file.name == "suite.toml" else file.stem: file for file in files}
    found = dict(sorted(found.items()))
    for module in plugins():
        for file in map(Path, getattr(module, "SUITES", ())):
            name = read_suite_file(file).name
            if name in found:
                raise A2IBenchError(f"Two suites are called {name!r}: {found[name]} and {file}; rename one.")
            found[name] = file
    return found


def default_suite(task: str | None = None) -> str:
    """Name the suite that is taken for a task (by default that of images from sounds) where none is asked for."""
    chosen = get_task(task or DEFAULT)
    if not chosen.suite:
        raise A2IBenchError(f"The task {chosen.name} has no suite of its own; give one with --suite.")
    return chosen.suite


def load_suite(name: str) -> Suite:
    """Load a suite by name, or one of the user's by the path of its TOML file.

    >>> load_suite("mini").task.name
    'audio-to-image'
    >>> len(load_suite("mini").clips())
    240

    Raises
    ------
    A2IBenchError
        If there is no such suite, or its file is not right.

    """
    file = suites().get(name)
    built_in = file is not None and _BUILT_IN in file.parents
    if file is None:
        if not name.endswith(".toml"):
            raise unknown("suite", name, suites())
        file = Path(name)
        if not file.is_file():
            raise A2IBenchError(f"The suite file {file} does not exist; fix the path.")
    return Suite(read_suite_file(file), file.parent, built_in)
