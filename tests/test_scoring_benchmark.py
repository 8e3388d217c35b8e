"""The benchmarks that stand for a claim, in a small form: that they run, and that both sides compute the same."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_scoring_and_its_peers_give_the_same_rows():
    scoring = load("scoring")
    found = scoring.compare(9, 72, scoring.small)
    assert found["largest_difference"].keys() == {"clip-image", "inception", "classifier"}
    assert all(difference < 1e-5 for difference in found["largest_difference"].values())
    assert found["cpu_ratio"] > 0
    assert len(found["seconds"]) == 6


def test_scale_in_a_small_form():
    scale = load("scale")
    found = scale.measure(400, 500)
    assert found["rows_timed"] == 1, "the sample is the whole: the sum over it was compared with the metric's"
    assert found["seconds"].keys() >= set(scale.LINEAR)
