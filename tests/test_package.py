"""The package: what the wheel holds, who imports whom, and what the first import costs."""

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each top folder of the checkout with its place in the package, where three of them are symlinks.
OWN = {
    "a2ibench": "a2ibench",
    "metrics": "a2ibench/metrics",
    "baselines": "a2ibench/baselines",
    "leaderboards/published": "a2ibench/published",
}
DATA = (".css", ".html", ".js", ".toml", ".csv", ".ogg", ".png", ".safetensors", ".json", ".txt")
SKIPPED = {"__pycache__"}


def _files(suffixes):
    """Every file of these suffixes by its name in the package; the symlinks are not followed twice."""
    found = {}
    for top, place in OWN.items():
        for file in sorted((ROOT / top).rglob("*")):
            name = f"{place}/{file.relative_to(ROOT / top).as_posix()}"
            linked = top == "a2ibench" and "/".join(name.split("/")[:2]) in OWN.values()
            if file.is_file() and file.suffix in suffixes and not linked and not SKIPPED & set(file.parts):
                found[name] = file
    return found


MODULES = _files((".py",))
NAMES = {name.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".") for name in MODULES}
TREES = {name: ast.parse(file.read_text(), name) for name, file in MODULES.items()}


def _imports(tree, name):
    """The modules that a file imports anywhere in it, by their full names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import, line {node.lineno}"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in NAMES else node.module for each in full}
    return found


def _within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_there_are_modules_to_look_at():
    assert {
        "a2ibench/metrics/fid.py",
        "a2ibench/baselines/audiotoken/train.py",
        "a2ibench/cli/run.py",
    } <= MODULES.keys()
    assert "a2ibench/suites/mini/test/clips.csv" in _files(DATA)


LAYERS = (
    ("errors", "files", "progress", "registry", "text"),
    ("dialects",),
    ("media",),
    ("weights",),
    ("tasks",),
    ("clips",),
    ("metrics",),
    ("encoders",),
    ("retrieval",),
    ("baselines",),
    ("suites",),
    ("results",),
    ("scoring",),
    ("pictures",),
    ("runs",),
    ("board",),
    ("show",),
    ("paper",),
    ("rating",),
    ("data",),
    ("doctor", "api"),
    ("cli",),
)
"""Each line may import only from lines above it, and itself: docs/architecture.md draws it."""
ALONE = {"metrics": ("errors", "registry"), "encoders": ("errors", "files", "media", "registry", "text", "weights")}
"""What is used by itself depends on less than its line would allow."""


def _layer(module):
    """The place of a module in `LAYERS`; None for the top package itself."""
    part = module.split(".")[1] if "." in module else ""
    return next((place for place, names in enumerate(LAYERS) if part in names), None)


def _ours(name):
    """The modules of ours that a file imports, lazily or not."""
    return {module for module in _imports(TREES[name], name) if _within(module, ("a2ibench",)) and module != "a2ibench"}


def test_every_module_has_its_line():
    placed = {name for names in LAYERS for name in names}
    tops = {name.split("/")[1].removesuffix(".py") for name in TREES} - {"__init__", "__main__"}
    assert tops <= placed


@pytest.mark.parametrize("name", sorted(TREES))
def test_who_may_import_whom(name):
    module = name.removesuffix(".py").replace("/", ".")
    own = module.split(".")[1]
    if own == "__init__" or module.endswith(".__main__"):
        return  # the Python face, and the commands
    for imported in _ours(name):
        part = imported.split(".")[1]
        assert _layer(imported) is not None, f"{name} imports {imported}, which is nowhere in the tree"
        assert _layer(imported) <= _layer(module), f"{name} imports {imported}, which stands below it"
        assert part == own or own not in ALONE or part in ALONE[own], f"{name} imports {imported}"


def test_no_module_needs_itself():
    """No cycle, counting lazy imports, between modules or their packages."""
    known = {name.removesuffix("/__init__.py").removesuffix(".py").replace("/", "."): name for name in TREES}
    graph = {module: {each for each in _ours(name) if each in known} - {module} for module, name in known.items()}
    graph["a2ibench"] = set()  # exports lazily what is below it
    done, path = set(), []

    def visit(module):
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for imported in sorted(graph[module]):
                visit(imported)
            path.pop()
            done.add(module)

    for module in sorted(graph):
        visit(module)


def test_metrics_are_pure():
    heavy = ("torch", "torchvision", "diffusers", "transformers", "PIL", "soundfile", "urllib", "requests", "pathlib")
    for name, tree in TREES.items():
        if name.startswith("a2ibench/metrics/"):
            assert not {module for module in _imports(tree, name) if _within(module, heavy)}, name


def test_nobody_imports_the_command_line():
    for name, tree in TREES.items():
        if name == "a2ibench/__main__.py" or name.startswith("a2ibench/cli/"):
            continue  # it is the command line
        assert not {module for module in _imports(tree, name) if _within(module, ("a2ibench.cli",))}, name


def test_nobody_imports_the_top_level_names():
    tops = ("metrics", "baselines", "leaderboards")
    for name, tree in TREES.items():
        assert not {module for module in _imports(tree, name) if _within(module, tops)}, name


def test_nothing_runs_code_from_a_weights_file():
    loads = 0
    for name, tree in TREES.items():
        assert not {m for m in _imports(tree, name) if _within(m, ("pickle", "dill", "cloudpickle", "joblib"))}, name
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load":
                loads += 1
                assert keywords.get("weights_only") == "True", f"{name}, line {node.lineno}"
            assert keywords.get("allow_pickle", "False") == "False", f"{name}, line {node.lineno}"
        froms = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "torch"]
        assert not {a.name for n in froms for a in n.names} & {"load", "*"}, name
    assert loads > 0


def test_the_first_imports_are_light():
    heavy = ("torch", "diffusers", "transformers", "scipy", "pandas", "open_clip")
    code = (
        "import sys, json, a2ibench.metrics, a2ibench.cli\n"
        f"print(json.dumps(sorted(set({heavy!r}) & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("build") or not find_spec("setuptools"), reason="needs build and setuptools")
def test_the_wheel_holds_everything(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in OWN:
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns(*SKIPPED))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.getinfo(name) for name in archive.namelist()}
        assert archive.read("a2ibench/metrics/fid.py") == (ROOT / "metrics/fid.py").read_bytes()
    assert {name.split("/")[0].partition("-")[0] for name in held} == {"a2ibench"}, "something else at the top"
    expected = MODULES.keys() | _files(DATA).keys() | {"a2ibench/py.typed"}
    assert not expected - held.keys(), sorted(expected - held.keys())[:10]
    assert not [name for name, info in held.items() if info.external_attr >> 16 & 0o170000 == 0o120000], "a symlink"
