"""Suites, clips and paths as plain data: what another process, perhaps on another machine, makes them of again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.suites import Suite, load_suite, suites
from a2ibench.suites.file import SuiteFile

_PACKAGE = Path(__file__).resolve().parents[1]
_MARK = "a2ibench://"


def portable(path: Path) -> str:
    """Write a path down: inside the package relative to it, since each machine may have a copy of its own."""
    whole = path.absolute()
    inside = whole.resolve()
    return f"{_MARK}{inside.relative_to(_PACKAGE).as_posix()}" if inside.is_relative_to(_PACKAGE) else str(whole)


def located(text: str) -> Path:
    """Give the path that `portable` wrote down, as it is on this machine."""
    return _PACKAGE / text.removeprefix(_MARK) if text.startswith(_MARK) else Path(text)


def suite_spec(suite: Suite) -> dict[str, Any]:
    """Write a suite down: the name of a built-in one, else its whole content and its folder."""
    if suite.built_in and suite.name in suites() and load_suite(suite.name) == suite:
        return {"name": suite.name, "digest": suite.file.digest}
    content = json.loads(suite.file.model_dump_json())
    return {"file": content, "folder": portable(suite.folder), "built_in": suite.built_in}


def suite_of(spec: Mapping[str, Any]) -> Suite:
    """Give the suite that `suite_spec` wrote down.

    Raises
    ------
    A2IBenchError
        If the built-in suite of that name is another one on this machine.

    """
    if "name" not in spec:
        content = SuiteFile.model_validate_json(json.dumps(spec["file"]))
        return Suite(content, located(spec["folder"]), spec["built_in"])
    suite = load_suite(spec["name"])
    if suite.file.digest != spec["digest"]:
        raise A2IBenchError(
            f"The suite {suite.name!r} is another one on this machine; install the same a2ibench on every machine."
        )
    return suite


def clip_spec(clip: Clip) -> dict[str, Any]:
    """Write a clip down: its id, label, and each column's path or text."""
    values = {
        column: {"path": portable(value)} if isinstance(value, Path) else {"text": value}
        for column, value in clip.values.items()
    }
    return {"id": clip.clip_id, "label": clip.label, "values": values}


def clip_of(spec: Mapping[str, Any]) -> Clip:
    """Give the clip that `clip_spec` wrote down."""
    values = {
        column: located(value["path"]) if "path" in value else value["text"] for column, value in spec["values"].items()
    }
    return Clip(spec["id"], spec["label"], values)
