"""A worker: a process that makes the units it is given, as lines of JSON, and tells how each ended.

It holds no state but the networks that it has loaded. It ends when its input does: also when whoever started it is
killed.
"""

import gc
import json
import os
import queue
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.runs.features import Encoding
from a2ibench.runs.generate import Generating

_WORKS: Mapping[str, Any] = {"generate": Generating, "encode": Encoding}


class Maker:
    """Makes units of any work; the networks of the last work of each kind stay loaded."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[Mapping[str, Any], Any, Callable[[Sequence[Any]], None]]] = {}

    def load(self, spec: Mapping[str, Any]) -> None:
        """Load what a work takes, unless it is there."""
        kind = spec["work"]
        if kind in self._loaded and self._loaded[kind][0] == spec:
            return
        if self._loaded.pop(kind, None):
            _free()
        work = _WORKS[kind].of(spec)
        self._loaded[kind] = (spec, work, work.load())

    def make(self, spec: Mapping[str, Any], packed: Sequence[Any]) -> None:
        """Make a unit."""
        self.load(spec)
        _, work, make = self._loaded[spec["work"]]
        make(work.unpack(packed))


def answer(do: Callable[[], None]) -> dict[str, Any]:
    """Do something, and give as plain data how it ended: warnings, and the error if there was one."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        error = None
        try:
            do()
        except A2IBenchError as sentence:
            error = {"sentence": str(sentence)}
        except Exception as other:
            error = {"other": f"{type(other).__name__}: {other}", "trace": traceback.format_exc()}
    said = [str(each.message) for each in told if issubclass(each.category, A2IBenchWarning)]
    return {"warnings": said, "error": error}


def heed(reply: Mapping[str, Any]) -> None:
    """Warn of what a worker warned of, and raise its error."""
    for sentence in reply["warnings"]:
        warnings.warn(sentence, A2IBenchWarning, stacklevel=2)
    if error := reply["error"]:
        if "sentence" in error:
            raise A2IBenchError(error["sentence"])
        raise RuntimeError(f"A worker failed: {error['other']}\n{error['trace']}")


def main() -> None:
    """Be a worker: units come on stdin, answers go to stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    units: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, units), daemon=True).start()
    maker = Maker()
    while True:
        unit = json.loads(units.get())
        reply = answer(lambda unit=unit: maker.load(unit["work"]))  # type: ignore[misc]
        if not reply["error"]:
            _say(answers, {"token": unit["token"], "begun": True, **reply})
            reply = answer(lambda unit=unit: maker.make(unit["work"], unit["items"]))  # type: ignore[misc]
        _say(answers, {"token": unit["token"], "begun": False, **reply})


def _listen(lines: IO[str], units: "queue.SimpleQueue[str]") -> None:
    for line in lines:
        units.put(line)
    os._exit(0)  # also in the middle of a unit: nobody waits for it


def _say(answers: IO[str], what: Mapping[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def _free() -> None:
    """Give memory back before the next network is loaded."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
