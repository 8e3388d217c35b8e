"""What is installed, which weights are there, under which licence, and what is wrong."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.baselines import methods
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, check_writable
from a2ibench.results import provenance
from a2ibench.scoring.scorer import chosen_metrics, encoders_of
from a2ibench.suites import load_suite, suites
from a2ibench.weights.entries import published
from a2ibench.weights.fetch import is_offline, status

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text


def examine(speed: bool = False) -> dict[str, Any]:
    """Look at everything; ``problems`` is a list of sentences, empty where all is well.

    With `speed` a measurement of five seconds says how fast this machine scores.
    """
    problems = _shipped_problems()
    weights: list[dict[str, Any]] = []
    for name, checkpoint in published().items():
        state = status(checkpoint)
        if state == "wrong":
            problems.append(f"The weights {checkpoint.file} are not the published ones: delete and fetch them again.")
        weights.append(
            {
                "name": name,
                "file": checkpoint.file,
                "state": state,
                "size": checkpoint.size,
                "licence": checkpoint.licence,
                "used_by": list(checkpoint.used_by),
                "note": checkpoint.note,
            }
        )
    problems += _torchaudio_problem()
    problems += _cache_problem()
    return {
        "environment": provenance("cpu", {}).model_dump(exclude={"seconds", "created"}),
        "gpu": _gpu(),
        "cache": {"folder": str(cache_dir()), "bytes": _size(cache_dir())},
        "offline": is_offline(),
        "weights_folder": os.environ.get("A2IBENCH_WEIGHTS"),
        "suites": _abilities({entry["name"]: entry["state"] for entry in weights}),
        "speed": measure_speed() if speed else None,
        "weights": weights,
        "problems": problems,
    }


def _shipped_problems() -> list[str]:
    """Check every file that a suite ships by its hash."""
    found = []
    for name in suites():
        suite = load_suite(name)
        entries = [
            *(suite.encoder_part(entry) for entry, told in suite.file.encoders.items() if told.file),
            *(suite.part(entry) for entry, told in suite.file.parts.items() if told.file),
        ]
        for part in entries:
            try:
                part.resolve()
            except A2IBenchError as error:
                found.append(str(error))
    return found


def _cache_problem() -> list[str]:
    try:
        check_writable(cache_dir())
    except A2IBenchError as error:
        return [str(error)]
    return []


def _torchaudio_problem() -> list[str]:
    """An installed torchaudio that does not fit torch breaks transformers and diffusers: docs/dependencies.md."""
    try:
        audio = version("torchaudio")
    except PackageNotFoundError:
        return []
    try:
        import torchaudio  # type: ignore[import-not-found]  # noqa: F401
    except Exception as error:
        first = str(error).splitlines()[0]
        return [f"torchaudio {audio} does not fit torch ({first}); a2ibench needs none: pip uninstall torchaudio."]
    return []


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0


def measure_speed(seconds: float = 2.5) -> dict[str, float]:
    """Measure for some seconds how many images and sounds the mini suite's networks score per second here."""
    import time

    import numpy as np
    from PIL import Image

    suite = load_suite("mini")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(32)]
    sounds = [rng.uniform(-0.5, 0.5, 48_000).astype(np.float32) for _ in range(32)]
    found = {}
    for what, names, items in (
        ("images", ("clip-image", "classifier", "inception"), images),
        ("sounds", ("wav2clip",), sounds),
    ):
        encoders = [suite.encoder(name) for name in names]
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for encoder in encoders:
                encoder.encode(items)
            done += len(items)
        found[what] = done / (time.perf_counter() - began)
    return found


def _abilities(states: Mapping[str, str]) -> dict[str, Any]:
    """For each suite: what scoring and each method lack to run now; nothing where they can."""
    found: dict[str, Any] = {}
    for name in suites():
        suite = load_suite(name)
        scoring = suite.encoder_checkpoints(encoders_of(chosen_metrics(None, suite.task)))
        runs: dict[str, Any] = {}
        for method in (each for each in methods().values() if each.task in ("", suite.task.name)):
            never = suite.unpublished(method.name, method.parts)
            parts = [] if never else suite.method_checkpoints(method.name, method.parts)
            runs[method.name] = {"never": never, "lacks": [part for part in parts if states[part] != "present"]}
        lacks = [part for part in scoring if states[part] != "present"]
        found[name] = {
            "summary": suite.file.summary,
            "brings clips": suite.brings_clips,
            "lacks": lacks,
            "methods": runs,
        }
    return found


def report(findings: dict[str, Any]) -> "Group":
    """Lay the findings out for the terminal: what can run, what is missing for the rest, what is wrong."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from a2ibench.show.fitting import Fitting

    weights = Table(title="Published weights", title_justify="left", box=None, pad_edge=False)
    for head in ("name", "state", "size"):
        weights.add_column(head, no_wrap=True)
    weights.add_column("licence", min_width=28)
    colours = {"present": "green", "absent": "dim", "wrong": "bold red"}
    for entry in findings["weights"]:
        state = Text(entry["state"], style=colours.get(entry["state"], ""))
        weights.add_row(entry["name"], state, entry["size"], entry["licence"])
    problems = [Text(f"Problem: {each}", style="bold red") for each in findings["problems"]]
    well = [] if problems else [Text("No problems.", style="green")]
    return Group(
        Fitting(_facts(findings)), Text(), *_can_run(findings), Text(), Fitting(weights), Text(), *problems, *well
    )


def _facts(findings: dict[str, Any]) -> "Table":
    from rich.table import Table

    environment, packages = findings["environment"], findings["environment"]["packages"]
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column("", style="bold", no_wrap=True)
    facts.add_column("", min_width=20)
    shown = ", ".join(f"{name} {packages[name]}" for name in ("torch", "diffusers", "transformers") if name in packages)
    speed = findings["speed"]
    rows = {
        "a2ibench": environment["a2ibench"],
        "python": f"{environment['python']}, {environment['platform']}",
        "packages": shown,
        "processor": f"{environment['device']}, {environment['threads']} threads",
        "GPU": findings["gpu"] or "none",
        "cache": f"{findings['cache']['folder']} ({findings['cache']['bytes'] / 1e6:.0f} MB; safe to delete)",
        "own weights": findings["weights_folder"] or "A2IBENCH_WEIGHTS is not set",
        "network": "off (HF_HUB_OFFLINE)" if findings["offline"] else "may be used for published weights",
        "speed": f"{speed['images']:.0f} images and {speed['sounds']:.0f} sounds a second with mini's networks"
        if speed
        else "not measured; a2ibench doctor --speed does in five seconds",
    }
    for name, value in rows.items():
        facts.add_row(name, value)
    return facts


def _can_run(findings: dict[str, Any]) -> "list[Text]":
    """Say in lines which suites and methods would run now, and what the others lack."""
    from rich.text import Text

    known = {entry["name"]: entry for entry in findings["weights"]}

    def missing(names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({known[name]['size']})" for name in names)

    lines = []
    for name, suite in findings["suites"].items():
        lines.append(Text(name, style="bold").append(f": {suite['summary']}", style=""))
        lines.append(Text(f"  scoring: {'lacks ' + missing(suite['lacks']) if suite['lacks'] else 'ready'}"))
        ready = [method for method, told in suite["methods"].items() if not told["lacks"] and not told["never"]]
        lines.append(Text(f"  methods ready: {', '.join(ready) or 'none'}"))
        for method, told in suite["methods"].items():
            if told["never"] or told["lacks"]:
                lines.append(Text(f"  {method}: {told['never'] or 'lacks ' + missing(told['lacks'])}"))
    return lines
