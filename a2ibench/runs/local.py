"""Workers as processes of this machine: one per GPU, or per share of its cores."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

from a2ibench.encoders.threads import computing_threads
from a2ibench.errors import A2IBenchError
from a2ibench.runs.executors import Event
from a2ibench.runs.prepare import device_of
from a2ibench.runs.worker import heed

_PATIENCE = 5.0  # seconds that a worker has to end by itself
_CODE = "from a2ibench.runs.worker import main; main()"


class LocalWorkers:
    """A number of worker processes, started when there is something for them to do, and again when they die.

    Parameters
    ----------
    count
        How many. On a machine with GPUs they are dealt out in turn.
    device
        Of the work, so that the GPUs are dealt out only where it takes any.

    """

    def __init__(self, count: int, device: str = "auto"):
        if count < 1:
            raise A2IBenchError(f"{count} workers can do nothing; give --workers 1 or more.")
        self._device = device_of(device)
        self._gpus = _gpus() if self._device == "cuda" else []
        self._slots: list[_Process | None] = [None] * count
        self._told: queue.SimpleQueue[tuple[_Process, str]] = queue.SimpleQueue()

    def device(self, name: str) -> str:
        """Say which device ``auto`` is here; refuse one that is not."""
        return device_of(name)

    def idle(self) -> int:
        """Say how many workers wait for a unit, or would if they were started."""
        return sum(process is None or process.token is None for process in self._slots)

    def give(self, token: int, work: Mapping[str, Any], items: Sequence[Any]) -> None:
        """Give a unit to a worker; one that runs is taken first."""
        waiting = [place for place, process in enumerate(self._slots) if process is None or process.token is None]
        place = min(waiting, key=lambda place: self._slots[place] is None)
        process = self._slots[place]
        if process is None:
            gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
            process = self._slots[place] = _Process(self._told, gpu, len(self._slots))
        process.give(token, {"token": token, "work": work, "items": items})

    def events(self) -> list[Event]:
        """Wait until a unit has ended, or a worker has died."""
        process, line = self._told.get()
        if not line:
            return self._died(process)
        told = json.loads(line)
        process.begun = told["begun"]
        if not process.begun:
            process.token = None
        heed(told)
        return [] if process.begun else [Event(told["token"])]

    def _died(self, process: "_Process") -> list[Event]:
        if process not in self._slots:
            return []
        self._slots[self._slots.index(process)] = None
        reason = process.close()
        return [] if process.token is None else [Event(process.token, reason, not process.begun)]

    def pids(self) -> list[int]:
        """Give the process ids of the workers that live."""
        return [process.pid for process in self._slots if process is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = [process for process in self._slots if process is not None]
        self._slots = [None] * len(self._slots)
        for process in processes:
            process.stop()
        for process in processes:
            process.close()


class _Process:
    """A worker process, and the thread that hears it."""

    def __init__(self, told: "queue.SimpleQueue[tuple[_Process, str]]", gpu: str | None, among: int):
        self.token: int | None = None
        self.begun = False
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "OMP_NUM_THREADS": str(computing_threads()),
            "TOKENIZERS_PARALLELISM": "false",
            **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu, "A2IBENCH_READERS": _readers(among)}),
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        # A group of its own: Ctrl-C reaches us alone, and we end the workers.
        own = {"process_group": 0} if os.name == "posix" else {}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environ,
            text=True,
            encoding="utf-8",
            **own,  # type: ignore[call-overload]
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None  # noqa: S101  for the type checker
        threading.Thread(target=_hear, args=(self, self._process.stdout, told), daemon=True).start()

    def give(self, token: int, unit: Mapping[str, Any]) -> None:
        self.token, self.begun = token, False
        assert self._process.stdin is not None  # noqa: S101  for the type checker
        with suppress(OSError):  # it has just died, which its thread tells
            self._process.stdin.write(json.dumps(unit) + "\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """End it at once: what it was making is made again from the beginning of the unit."""
        self._process.kill()

    def close(self) -> str:
        """Wait until it has ended, and say how."""
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.stop()
            code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        for stream in (self._errors, self._process.stdin):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        if code < 0:
            name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
            return f"{name}, perhaps for want of memory" if -code == 9 else name
        return f"exit code {code}" + (f": {lines[-1][:200]}" if lines else "")


def _hear(process: _Process, lines: IO[str], told: "queue.SimpleQueue[tuple[_Process, str]]") -> None:
    with lines:
        for line in lines:
            told.put((process, line))
    told.put((process, ""))


def _readers(workers: int) -> str:
    """Share the cores out among workers that read files for their GPUs, unless the user has said how many."""
    return os.environ.get("A2IBENCH_READERS") or str(max(1, min(64, (os.cpu_count() or 1) // workers - 1)))


def _gpus() -> list[str]:
    """Name the GPUs that this process may use."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(place) for place in range(torch.cuda.device_count())]
