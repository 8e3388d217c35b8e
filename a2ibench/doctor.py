"""What is installed, which weights are there, under which licence, and what is wrong."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir
from a2ibench.results import provenance
from a2ibench.suites import load_suite, suites
from a2ibench.weights.entries import published
from a2ibench.weights.fetch import is_offline, status

if TYPE_CHECKING:
    from rich.console import Group


def examine() -> dict[str, Any]:
    """Look at everything; ``problems`` is a list of sentences, empty where all is well."""
    problems = _shipped_problems()
    weights = []
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
    return {
        "environment": provenance("cpu", {}).model_dump(exclude={"seconds", "created"}),
        "gpu": _gpu(),
        "cache": {"folder": str(cache_dir()), "bytes": _size(cache_dir())},
        "offline": is_offline(),
        "weights_folder": os.environ.get("A2IBENCH_WEIGHTS"),
        "suites": {name: load_suite(name).file.summary for name in suites()},
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


def report(findings: dict[str, Any]) -> "Group":
    """Lay the findings out for the terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    environment = findings["environment"]
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    packages = environment["packages"]
    shown = ", ".join(f"{name} {packages[name]}" for name in ("torch", "diffusers", "transformers") if name in packages)
    for name, value in (
        ("a2ibench", environment["a2ibench"]),
        ("python", f"{environment['python']}, {environment['platform']}"),
        ("packages", shown),
        ("processor", f"{environment['device']}, {environment['threads']} threads"),
        ("GPU", findings["gpu"] or "none"),
        (
            "cache",
            f"{findings['cache']['folder']} ({findings['cache']['bytes'] / 1e6:.0f} MB; safe to delete)",
        ),
        ("own weights", findings["weights_folder"] or "A2IBENCH_WEIGHTS is not set"),
        ("network", "off (HF_HUB_OFFLINE)" if findings["offline"] else "may be used for published weights"),
        ("suites", ", ".join(findings["suites"])),
    ):
        facts.add_row(name, value)
    weights = Table(title="Published weights", title_justify="left")
    for head in ("name", "state", "size", "licence", "used by"):
        weights.add_column(head, no_wrap=head in ("name", "state"))
    colours = {"present": "green", "absent": "dim", "wrong": "bold red"}
    for entry in findings["weights"]:
        weights.add_row(
            entry["name"],
            Text(entry["state"], style=colours.get(entry["state"], "")),
            entry["size"],
            entry["licence"],
            ", ".join(entry["used_by"]),
        )
    problems = [Text(f"Problem: {problem}", style="red") for problem in findings["problems"]]
    return Group(facts, Text(), weights, *(problems or [Text("No problem found.")]))
