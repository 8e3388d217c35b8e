"""Faults: each command, killed or out of space at the n-th write, and on every damaged state file.

A new command is covered by one more line in `COMMANDS`.
"""

import errno
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

LONGEST = 60  # seconds; what takes longer hangs
STOPPED = "Stopped; the same command goes on from what is whole."


@dataclass(frozen=True)
class Command:
    """A command; in its words {suite}, {clips}, {noise} and {run} are files that exist. It writes under ``out``."""

    name: str
    words: str
    results: tuple[str, ...]
    """What must be the same, to the byte, however often the command was stopped: patterns under ``out``."""
    exists: tuple[str, ...] = ()
    """What must be there at the end, where it is never the same."""
    names_itself: tuple[str, ...] = ()
    """What a second run of a command that has ended says, where it does not simply end well again."""
    first: str = ""
    """A command that must have ended before."""
    believes: bool = False
    """Whether damage may change the results: what it reads is its input, not what it left there itself."""


COMMANDS = (
    Command(
        "eval-outputs", "eval --outputs {noise} --suite {suite} --metric AIC --metric IIS --out out", ("items.csv",)
    ),
    Command(
        "eval-method",
        "eval --method audiotoken --suite {suite} --limit 5 --metric AIC --set steps=1 --batch-size 2 --out out",
        ("items.csv", "images/*.png", "images.sha256"),
    ),
    Command(
        "generate", "generate --method sd-text --suite {suite} --limit 3 --batch-size 2 --out out", ("images/*.png",)
    ),
    Command(
        "generate-shard",
        "generate --method sd-text --suite {suite} --limit 5 --batch-size 2 --shard 1/2 --out out",
        ("images/*.png", "run.json"),
    ),
    Command(
        "generate-merge",
        "generate --method sd-text --suite {suite} --limit 5 --batch-size 2 --out out",
        ("images/*.png", "images.sha256", "run.json"),
        first="generate --method sd-text --suite {suite} --limit 5 --batch-size 2 --shard 1/2 --out out",
    ),
    Command(
        "train",
        "train audiotoken --suite {suite} --data {clips} --steps 4 --save-every 1 --out out",
        ("embedder.safetensors",),
    ),
    Command(
        "rate-make",
        "rate make --runs a={noise} --suite {suite} --clips 3 --repeats 1 --controls 1 --out out",
        (),
        exists=("study.toml", "items.json", "page/index.html"),
        names_itself=("never written over",),
    ),
    Command(
        "submit",
        "submit {noise} --suite {suite} --name x --board out",
        ("tiny/x/items.csv", "tiny/x/hashes.csv"),
        exists=("tiny/index.html", "tiny/leaderboard.csv"),
        names_itself=("--replace",),
    ),
    Command(
        "submit-again",
        "submit {noise} --suite {suite} --name x --board out --replace",
        ("tiny/x/items.csv", "tiny/x/hashes.csv"),
        exists=("tiny/index.html", "tiny/leaderboard.csv"),
        first="submit {noise} --suite {suite} --name x --board out",
    ),
    Command(
        "leaderboard",
        "leaderboard --suite {suite} --board out",
        ("tiny/leaderboard.csv",),
        exists=("tiny/index.html",),
        first="submit {noise} --suite {suite} --name x --board out",
        believes=True,
    ),
    Command(
        "verify",
        "verify out/tiny/x --suite {suite} --outputs {noise}",
        (),
        exists=("tiny/x/verified.json",),
        first="submit {noise} --suite {suite} --name x --board out",
        believes=True,
    ),
    Command(
        "report",
        "report out --suite {suite} --outputs {noise}",
        (),
        exists=("report.html",),
        first="eval --outputs {noise} --suite {suite} --metric IIS --out out",
        believes=True,
    ),
)


@dataclass
class Outcome:
    """How a command ended."""

    code: int | None
    """None where it hung; below zero where a signal ended it."""
    err: str
    writes: int = 0

    @property
    def is_kind(self) -> bool:
        """Whether it ended well, or with one sentence of ours."""
        lines = [line for line in self.err.splitlines() if line.startswith("a2ibench: ")]
        said = self.code in (0, 1) or (self.code == 2 and len(lines) == 1)
        return said and "Traceback" not in self.err and "weights_only" not in self.err and "pickle" not in self.err


@dataclass
class Ground:
    """Where a command runs: a folder of its own, with its own cache."""

    folder: Path
    command: Command
    files: dict[str, Path] = field(default_factory=dict)

    def prepare(self) -> "Ground":
        """Run what must have ended before the command."""
        self.folder.mkdir()
        if self.command.first:
            outcome = self.run(words=self.command.first)
            assert outcome.code == 0, outcome.err
        return self

    def run(self, fault: str = "none", at: int = 0, words: str = "") -> Outcome:
        """Run the command in a forked process, with a fault at its n-th write."""
        words = [word.format(**self.files) for word in (words or self.command.words).split()]
        log = self.folder.with_name(f"{self.folder.name}.log")
        count = self.folder.with_name(f"{self.folder.name}.count")
        self.folder.mkdir(exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _child(self.folder, words, log, count, fault, at)
        return Outcome(_ended(pid), log.read_text(errors="replace"), int(count.read_text() or 0))

    def results(self) -> dict[str, bytes | None]:
        """Read what must be the same."""
        out = self.folder / "out"
        found: dict[str, bytes | None] = {name: None for name in self.command.exists if (out / name).is_file()}
        for pattern in self.command.results:
            found |= {
                path.relative_to(out).as_posix(): path.read_bytes()
                for path in sorted(out.glob(pattern))
                if path.is_file()
            }
        return found

    def litter(self) -> list[str]:
        """Find what is half-written."""
        found = [
            path for path in self.folder.rglob("*") if path.name.endswith((".part", ".folder-part", ".tmp", ".old"))
        ]
        return [path.relative_to(self.folder).as_posix() for path in found]

    def copy(self, folder: Path) -> "Ground":
        """Copy all that is there, links as links."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True)
        return Ground(folder, self.command, self.files)

    def state(self) -> list[str]:
        """List the files that a later run may read."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith("lock")]
        return sorted(path.relative_to(self.folder).as_posix() for path in found if "tensorboard" not in path.parts)


def _ended(pid: int) -> int | None:
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _child(folder: Path, words: list[str], log: Path, count: Path, fault: str, at: int) -> None:
    """Be the command; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        os.environ["A2IBENCH_CACHE"] = str(folder / "cache")
        sys.argv = ["a2ibench", *words]
        writes = _Writes(count, fault, at)
        from a2ibench.cli import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        writes.keep()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Writes:
    """Counts the calls by which files come to be, and brings the fault at the n-th."""

    CALLS = ("fsync", "replace", "rename", "mkdir", "posix_fallocate")

    def __init__(self, count: Path, fault: str, at: int):
        self.count, self.fault, self.at, self.seen = count, fault, at, 0
        count.write_text("")
        for name in self.CALLS:
            setattr(os, name, self._wrapped(getattr(os, name), name))

    def _wrapped(self, call, name):
        def wrapped(*args, **kwargs):
            self.seen += 1
            if self.seen == self.at and self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.seen == self.at and self.fault == "interrupt":
                signal.raise_signal(signal.SIGINT)
            if self.seen >= self.at and self.fault == "full" and name not in ("replace", "rename"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return wrapped

    def keep(self) -> None:
        self.count.write_text(str(self.seen))


# ------------------------------------------------------------------------------------------------- damage


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[Random(str(path.name)).randrange(len(data))] ^= 0x40  # noqa: S311
    path.write_bytes(data)


def _instead(path: Path) -> Path:
    path.unlink()
    return path


DAMAGE = {
    "one bit": _flip,
    "one byte less": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "empty": lambda path: path.write_bytes(b""),
    "null": lambda path: path.write_text("null"),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("5"),
    "another shape": lambda path: path.write_text('{"retried": 5, "failed": 5, "clips": 5, "schema_version": 2}'),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "pipe": lambda path: os.mkfifo(_instead(path)),
    "link without end": lambda path: _instead(path).symlink_to("/dev/zero"),
    "loop": lambda path: _instead(path).symlink_to(path.name),
    "dangling": lambda path: _instead(path).symlink_to("nowhere"),
    "folder": lambda path: _instead(path).mkdir(),
}

__all__ = ["COMMANDS", "DAMAGE", "STOPPED", "Command", "Ground", "Outcome"]
