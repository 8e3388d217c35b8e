"""The examples run as they stand, on fewer clips and with the method that needs no network."""

import ast
import json
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
PARAMETERS = {"METHOD": "reference", "LIMIT": 4}


def _run(source, names):
    """Run a cell as Jupyter does, and give the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)  # noqa: S102
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None  # noqa: S307


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_the_cells_run(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert "parameters" in cells[0]["metadata"]["tags"]
    names = {}
    _run("".join(cells[0]["source"]), names)
    assert names.keys() >= PARAMETERS.keys()
    names |= PARAMETERS
    values = [_run("".join(cell["source"]), names) for cell in cells[1:]]
    assert not any(value is None for value in values), "a cell shows nothing"
    pairs = names["pairs"].set_index("metric")
    lower = pairs.index.isin(["FID", "KID"])
    assert (pairs["a"].where(~lower, -pairs["a"]) >= pairs["b"].where(~lower, -pairs["b"])).all()  # the real images
    assert list(names["mine"].frame()["clip_id"]) == sorted(names["outputs"])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_is_small_and_its_links_lead_somewhere(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    assert all(len(json.dumps(cell.get("outputs", []))) < 4_000 for cell in cells)
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    dead = [link for link in re.findall(r"\]\(([^)#]+)", text) if not (EXAMPLES / link).exists()]
    assert not dead


def test_there_are_examples():
    assert NOTEBOOKS
