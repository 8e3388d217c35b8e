"""Other packages plug in a metric on an encoder of their own, a method, a suite and a task, without an edit here."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from a2ibench import registry
from a2ibench.errors import A2IBenchError, A2IBenchWarning

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "a2i-shades"
version = "1.0"

[project.entry-points.a2ibench]
shades = "a2i_shades"

[tool.setuptools]
packages = ["a2i_shades"]

[tool.setuptools.package-data]
a2i_shades = ["*.toml", "*.csv", "audio/*", "image/*"]
"""
MODULE = '''
"""A metric on an encoder of its own, a method that paints grey, and a suite."""
from pathlib import Path

import numpy as np

from a2ibench.baselines.base import Method, images_of
from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.metrics.base import Metric


class Shade(Encoder):
    name, modality, weights, preprocessing = "shade", "image", "", "1"
    configuration = {"of": "luminance"}

    def encode(self, items):
        return np.array([[np.asarray(item.convert("L"), np.float32).mean() / 255] for item in items], np.float32)


def _difference(features):
    return 100 * np.abs(features["generated/shade"] - features["reference/shade"])[:, 0].astype(np.float64)


def _paint(parts, options, device):
    def draw(clips, seeds):
        ramp = np.linspace(0.5, 1, 32, dtype=np.float32)[None, :, None]
        return images_of(np.stack([np.full((32, 32, 3), options["shade"], np.float32) * ramp for _ in clips]))

    return draw


ENCODERS = (EncoderKind("shade", "image", lambda config, weights, sha256, device: Shade(), has_weights=False),)
METRICS = (
    Metric(
        name="SHADE", version=1, needs=("generated/shade", "reference/shade"), summary="Difference in brightness.",
        higher_is_better=False, bounds=(0.0, 100.0), worst=100.0, per_clip=_difference,
    ),
)
METHODS = (Method("grey", "Paints grey.", "audio", _paint, options={"shade": 0.5}),)
SUITES = (Path(__file__).parent / "suite.toml",)
'''
SUITE = """
name = "shades"
version = 1
clips = "."
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory, clip_folder):
    """A folder into which pip has installed the package."""
    source = tmp_path_factory.mktemp("package")
    package = source / "a2i_shades"
    shutil.copytree(clip_folder, package)
    (source / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(MODULE)
    (package / "suite.toml").write_text(SUITE)
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index",
               "--target", str(target), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return target


@pytest.fixture
def a2i(installed, tmp_path):
    """Run Python with the package installed, in a folder of the test's."""

    def run(*arguments, code=0):
        environ = {
            **os.environ,
            "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}",
            "A2IBENCH_CACHE": str(tmp_path / "cache"),
        }
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environ,
            check=False,
        )
        assert done.returncode == code, done.stderr[-3000:]
        return done

    return run


@pytest.mark.slow
def test_metric_encoder_method_and_suite_from_the_command_line(a2i, tmp_path):
    listed = json.loads(a2i("-m", "a2ibench", "list", "--json").stdout)
    assert "grey" in listed["methods"]
    assert "SHADE" in listed["metrics"]
    assert "shades" in listed["suites"]
    command = ("-m", "a2ibench", "eval", "--method", "grey", "--suite", "shades", "--metric", "SHADE", "--json")
    result = json.loads(a2i(*command).stdout)
    (score,) = result["scores"]
    assert score["metric"] == "SHADE"
    assert 0 < score["value"] < 100
    assert score["ceiling"] == 0
    assert "|enc:shade." in score["signature"]
    assert result["weights"].keys() == {"shade"}
    darker = json.loads(a2i(*command, "--set", "shade=0.1", "--out", "darker").stdout)
    assert darker["scores"][0]["value"] != score["value"]
    a2i("-m", "a2ibench", "compare", "runs/shades/grey", "darker")
    # The defaults of the task are as before, and a suite without their encoders says what is missing.
    sentence = a2i("-m", "a2ibench", "eval", "--method", "grey", "--suite", "shades", code=2).stderr
    assert "[encoders.wav2clip]" in sentence
    assert sentence.count("\n") == 1


@pytest.mark.slow
def test_the_same_from_python(a2i):
    code = textwrap.dedent(
        """
        import a2ibench as a2i
        suite = a2i.load_suite("shades")
        result = a2i.evaluate("grey", suite, metrics=["SHADE"], options={"shade": 0.25})
        assert result["SHADE"].ceiling == 0
        assert suite.id.startswith("shades@1.")
        print(result["SHADE"].value)
        """
    )
    assert 0 < float(a2i("-c", code).stdout) < 100


class _Entry:
    group = registry.GROUP

    def __init__(self, name, module):
        self.name = self.value = self.module = name
        self.module = module


def test_a_broken_plug_in_is_left_out_with_a_warning(monkeypatch):
    registry.plugins.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [_Entry("broken", "no_such_module_of_anybody")])
    with pytest.warns(A2IBenchWarning, match="The plug-in 'broken' .* is left out"):
        assert registry.plugins() == ()
    registry.plugins.cache_clear()


def test_two_of_one_name_are_refused():
    class Named:
        name = "AIS"

    with pytest.raises(A2IBenchError, match="called 'AIS', in ours and theirs; rename one"):
        registry.by_name([(Named(), "ours"), (Named(), "theirs")])
