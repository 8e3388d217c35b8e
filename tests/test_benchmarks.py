"""The benchmark for GPUs runs small on any machine: each part says what it measured, and none fails."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import gpu


@pytest.mark.parametrize("part", ["training", "generation", "scoring"])
def test_each_part_runs_small(part, tmp_path, capsys):
    found = gpu.main(["--small", "--only", part, "--out", str(tmp_path / "gpu.json")])
    assert found == json.loads(capsys.readouterr().out) == json.loads((tmp_path / "gpu.json").read_text())
    assert found["size"] == "small"
    assert "card" in found
    measured = found[part]
    assert "error" not in measured, measured
    assert all(value >= 0 for value in measured.values())
    if part == "training":
        assert measured["largest_relative_difference_of_losses_bf16"] < 1e-2
