"""Find, download and verify published weights.

One entry each in ``checkpoints.toml``. `locate` finds a file or downloads it: https only, resumable, verified
by sha256 while it streams, renamed into place only when it is right. Nothing here imports torch or the hub
client before it is needed.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, is_regular, open_regular, read_state, sha256_file, write_state
from a2ibench.text import first_sentence
from a2ibench.weights.entries import Checkpoint, State, entry_of

if TYPE_CHECKING:
    pass

CHUNK = 1 << 20


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def locate(name: str | Checkpoint, *, offline: bool | None = None, _loopback: bool = False) -> Path:
    """Give the verified file, or folder, of a checkpoint; download it where it is not here.

    It is looked for in the folder ``A2IBENCH_WEIGHTS``, then in ``weights/`` of `cache_dir`, then at its
    sources. A file that nobody published a hash of is taken as it is.

    Parameters
    ----------
    name
        A name of `published`, or an entry.
    offline
        Whether to leave the network alone; by default what ``HF_HUB_OFFLINE`` says.
    _loopback
        For tests: allow http to this machine.

    Raises
    ------
    A2IBenchError
        Where the file is truncated or has another hash (with both), or cannot be had (with where to get
        it, where to put it and how to check it).

    """
    checkpoint = name if isinstance(name, Checkpoint) else entry_of(name)
    if (here := _own(checkpoint)) is not None:
        verify(here, checkpoint)
        return here
    offline = is_offline() if offline is None else offline
    reasons = []
    if checkpoint.urls and not offline:
        target = _places(checkpoint)[-1]
        with _lock(target):
            if target.exists():  # another process was quicker
                return target
            for url in checkpoint.urls:
                try:
                    return _download(url, target, checkpoint, _loopback)
                except (OSError, HTTPException, A2IBenchError) as error:
                    reasons.append(str(error).rstrip("."))
    if checkpoint.hub:
        try:
            path = _from_hub(checkpoint, offline)
        except Exception as error:  # the hub client raises errors of many libraries
            reasons.append(f"{checkpoint.hub}: {first_sentence(error)}")
        else:
            verify(path, checkpoint)
            return path
    raise A2IBenchError(_absent(checkpoint, offline, reasons))


def _is_whole(file: Path) -> bool:
    """Say whether a safetensors file is as long as its own header says: a check that costs nothing."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        size = file.stat().st_size
        if length > size:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return False
    return size == 8 + length + max(ends, default=0)


def verify(path: Path, checkpoint: Checkpoint) -> str:
    """Check a file against its entry: size, then hash; of a folder, that its files are there.

    Returns
    -------
    The file's sha256, also where the entry has none to compare with; empty for a folder.

    Raises
    ------
    A2IBenchError
        With what was expected and what was found.

    """
    fix = f"delete it, download it again from {checkpoint.source}, and check it with `a2ibench doctor`"
    if checkpoint.is_folder:
        for file in checkpoint.files:
            if not (path / file).is_file():
                raise A2IBenchError(f"{path} has no {file}, which {checkpoint.name} needs; {fix}.")
            if file.endswith(".safetensors") and not _is_whole(path / file):
                raise A2IBenchError(f"{path / file} is truncated, as by a download that was stopped; {fix}.")
        return ""
    if not path.is_file():
        raise A2IBenchError(f"{path} is not a file; {fix}.")
    found = path.stat().st_size
    if checkpoint.bytes is not None and found != checkpoint.bytes:
        what = "is truncated" if found < checkpoint.bytes else "is too long"
        raise A2IBenchError(f"{path} {what}: {found} bytes, expected {checkpoint.bytes}; {fix}.")
    sha256 = _known_sha256(path)
    git_blob = _git_blob(path) if checkpoint.git_blob else ""
    if fault := _hash_fault(checkpoint, sha256, git_blob):
        raise A2IBenchError(f"{path} has {fault}; {fix}.")
    return sha256


def status(checkpoint: Checkpoint) -> State:
    """Say whether a checkpoint is on this machine, without the network: present, absent or wrong."""
    path = _own(checkpoint)
    if path is None and checkpoint.hub:
        with suppress(Exception):
            path = _from_hub(checkpoint, offline=True)
    if path is None:
        return "absent"
    try:
        verify(path, checkpoint)
    except A2IBenchError:
        return "wrong"
    return "present"


# ---------------------------------------------------------------------------------------------- finding


def _places(checkpoint: Checkpoint) -> list[Path]:
    """Where a user's own file may lie; a download goes to the last."""
    own = os.environ.get("A2IBENCH_WEIGHTS")
    folders = [Path(own)] if own else []
    return [folder / checkpoint.file for folder in (*folders, cache_dir() / "weights")]


def _own(checkpoint: Checkpoint) -> Path | None:
    return next((path for path in _places(checkpoint) if path.exists()), None)


def _absent(checkpoint: Checkpoint, offline: bool, reasons: list[str]) -> str:
    switched_off = ["the network is switched off (HF_HUB_OFFLINE)"] if offline else []
    why = "; ".join(switched_off + reasons)
    what = "folder" if checkpoint.is_folder else "file"
    return (
        f"The {what} {checkpoint.file} ({checkpoint.size}, licence {checkpoint.licence}) is not here and "
        f"could not be had ({why}): get it from {checkpoint.source}, put it at {_places(checkpoint)[0]}, and "
        "check it with `a2ibench doctor`."
    )


# ---------------------------------------------------------------------------------------------- hashes


def _hash_fault(checkpoint: Checkpoint, sha256: str, git_blob: str) -> str:
    """Name the first hash that is wrong, or nothing."""
    pairs = (
        ("sha256", sha256, checkpoint.sha256),
        ("sha256", sha256, checkpoint.sha256_prefix),
        ("git blob sha1", git_blob, checkpoint.git_blob),
    )
    for kind, found, expected in pairs:
        if not found.startswith(expected):
            return f"the {kind} {found}, expected {expected}"
    return ""


def _git_blob(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _known_sha256(path: Path) -> str:
    """Hash a file, or remember its hash while its size and time stay: gigabytes take seconds each run."""
    memo = cache_dir() / "hashes.json"
    stat = path.stat()
    key, stamp = str(path.resolve()), f"{stat.st_size} {stat.st_mtime_ns} "
    known: dict[str, str] = {}
    with suppress(A2IBenchError):  # a damaged one costs only time
        known = read_state(memo, "delete it") or {}
    if (remembered := str(known.get(key))).startswith(stamp):
        return remembered.removeprefix(stamp)
    sha256 = sha256_file(path)
    if time.time_ns() - stat.st_mtime_ns < 2_000_000_000:
        return sha256  # a clock's tick is coarse: a file this young may change and keep its time
    with suppress(A2IBenchError):  # so does a cache that cannot be written
        write_state(memo, known | {key: stamp + sha256})
    return sha256


# ---------------------------------------------------------------------------------------------- network


class _SecureRedirects(HTTPRedirectHandler):
    """Follow a redirect only to where the first request might have gone."""

    def __init__(self, loopback: bool):
        self.loopback = loopback

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        _check_scheme(newurl, self.loopback)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, loopback: bool) -> None:
    parts = urlsplit(url)
    allowed = {("http", "127.0.0.1")} if loopback else set()
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in allowed:
        raise A2IBenchError(f"{url} is not https")


def _download(url: str, target: Path, checkpoint: Checkpoint, loopback: bool) -> Path:
    """Download one file to ``target``, going on from ``target.part``, and hash it on the way.

    A broken connection leaves the part for the next run; a finished file with a wrong hash leaves nothing.
    """
    _check_scheme(url, loopback)
    part = target.with_name(f"{target.name}.part")
    if not is_regular(part):
        part.unlink(missing_ok=True)  # a pipe would be waited for, and a link written through
    have = part.stat().st_size if part.exists() else 0
    resume = {"Range": f"bytes={have}-"} if have else {}
    request = Request(url, headers={"User-Agent": "a2ibench"} | resume)  # noqa: S310 - checked above
    try:
        response = build_opener(_SecureRedirects(loopback)).open(request, timeout=60)
    except HTTPError as error:
        with error:
            if error.code != 416:
                raise A2IBenchError(f"{url}: HTTP {error.code} {error.reason}") from None
        part.unlink()  # the part is longer than the file: it is of another file
        return _download(url, target, checkpoint, loopback)
    with response:
        if response.status != 206:
            have = 0  # the server sends the whole file again
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise A2IBenchError(f"{url}: sent another part of the file than was asked for")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else checkpoint.bytes
        digest = hashlib.sha256()
        if have:
            with part.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        with part.open("ab" if have else "wb") as stream, _progress(checkpoint.file, have, total) as advance:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
    found = part.stat().st_size
    if total is not None and found < total:
        raise A2IBenchError(f"{url}: the connection broke after {found} of {total} bytes; run again to go on")
    if checkpoint.bytes is not None and found != checkpoint.bytes:
        part.unlink()
        raise A2IBenchError(f"{url}: sent {found} bytes, expected {checkpoint.bytes}")
    git_blob = _git_blob(part) if checkpoint.git_blob else ""
    if fault := _hash_fault(checkpoint, digest.hexdigest(), git_blob):
        part.unlink()
        raise A2IBenchError(f"{url}: sent a file with {fault}")
    part.replace(target)
    return target


def _from_hub(checkpoint: Checkpoint, offline: bool) -> Path:
    """Get a file or folder by the hub client, which resumes and caches by itself, in its own cache."""
    from huggingface_hub import hf_hub_download, snapshot_download

    if not checkpoint.is_folder:
        file = checkpoint.files[0] if checkpoint.files else checkpoint.file
        return Path(hf_hub_download(checkpoint.hub, file, revision=checkpoint.revision, local_files_only=offline))
    wanted = list(checkpoint.files)
    folder = Path(
        snapshot_download(checkpoint.hub, revision=checkpoint.revision, allow_patterns=wanted, local_files_only=offline)
    )
    # Offline the client gives whatever part of the snapshot there is.
    for file in wanted:
        if not (folder / file).is_file():
            raise FileNotFoundError(f"its snapshot in {folder} has no {file}")
    return folder


@contextmanager
def _progress(what: str, have: int, total: int | None) -> Iterator[Any]:
    """Show a download's progress on stderr; give a function that takes bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=have)
        yield lambda count: bar.advance(task, count)


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Let one process at a time write a download; where there is no ``flock``, go without."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.with_name(f".{target.name}.lock")
    if not os.path.lexists(place):
        place.touch()
    with open_regular(place, write=True) as stream:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
