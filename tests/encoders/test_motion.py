"""Optical flow and its peaks: OpenCV's numbers, AV-Align's peaks, a known shift, and a video whose event is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from a2ibench.encoders.motion import load, motion, optical_flow, peaks
from a2ibench.errors import A2IBenchError
from a2ibench.media.video import write_video

FIXTURES = Path(__file__).parents[1] / "fixtures"
FLOW = np.load(FIXTURES / "motion.npz")
GOLDEN = json.loads((FIXTURES / "audio_metrics.json").read_text())


def texture(height, width, right=0.0, down=0.0):
    """A sum of twelve waves, moved: uint8 ``[height, width]``."""
    waves = np.random.default_rng(0).standard_normal((12, 4))
    y, x = np.mgrid[:height, :width].astype(float)
    x, y = x - right, y - down
    image = sum(a * np.sin((0.05 + 0.05 * abs(b)) * x + (0.05 + 0.05 * abs(c)) * y + d) for a, b, c, d in waves)
    return np.clip(127 + 30 * image, 0, 255).astype(np.uint8)


def flow_between(before, after):
    return optical_flow(torch.from_numpy(before)[None], torch.from_numpy(after)[None])[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("name", "shape", "shift"),
    [("small", (64, 64), (1.5, -0.7)), ("odd", (97, 141), (2.2, 1.3)), ("large", (270, 480), (4.0, -3.0))],
)
def test_flow_is_that_of_opencv(name, shape, shift):
    before, after = texture(*shape), texture(*shape, *shift)
    if name == "odd":
        after[20:40, 30:60] = 200  # something appears
    flow = flow_between(before, after)
    np.testing.assert_allclose(flow[::16, ::16], FLOW[name], atol=5e-3)
    assert np.linalg.norm(flow, axis=2).mean() == pytest.approx(float(FLOW[f"{name}_mean"]), rel=1e-4)


def test_a_shift_is_found_and_stillness_is_none():
    blurred = gaussian_filter(np.random.default_rng(0).standard_normal((160, 160)), 2, mode="wrap")
    grain = np.clip(127 + 60 * blurred / blurred.std(), 0, 255).astype(np.uint8)
    flow = flow_between(grain, np.roll(grain, (-1, 2), axis=(0, 1)))[40:120, 40:120]
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [2, -1], atol=0.1)
    # OpenCV's, too, is not zero at the last row and column of equal pictures.
    still = flow_between(texture(64, 64), texture(64, 64))
    assert np.linalg.norm(still, axis=2).mean() < 0.05
    np.testing.assert_array_equal(motion([np.zeros((32, 32), np.uint8)]), [0])
    assert motion([]).shape == (0,)


def test_peaks_are_av_aligns():
    rng = np.random.default_rng(GOLDEN["seed"] + 2)
    for _ in GOLDEN["av_align"]:
        rng.uniform(0, 3, 7), rng.uniform(0, 3, 5)
    assert (peaks(rng.random(60)) / 8).tolist() == GOLDEN["av_align peaks"]
    assert peaks(np.array([5.0, 1, 0.05, 0.09, 0.02, 0.2, 0.2, 0.1, 3])).tolist() == []


def test_a_jump_in_a_video_is_a_peak_at_its_time(tmp_path):
    still, moved = texture(64, 64), texture(64, 64, 3.0)
    shown = np.stack([still] * 5 + [moved] * 4 + [still] * 7)[..., None].repeat(3, axis=3)
    write_video(tmp_path / "jump.mp4", shown, 8)
    write_video(tmp_path / "still.mp4", np.stack([still] * 8)[..., None].repeat(3, axis=3), 8)
    found, none = load({}).encode([tmp_path / "jump.mp4", tmp_path / "still.mp4"])
    np.testing.assert_allclose(found, [[5 / 8, 1 / 8], [9 / 8, 1 / 8]], rtol=1e-6)
    assert none.shape == (0, 2)
    assert load({"least": 50}).encode([tmp_path / "jump.mp4"])[0].shape == (0, 2)
    assert load({"least": 50}).digest != load({}).digest
    with pytest.raises(A2IBenchError, match="no setting"):
        load({"levels": 2})


def test_a_batch_of_pairs_changes_nothing(monkeypatch):
    grey = [texture(48, 48, step) for step in (0, 1, 3, 3, 6)]
    whole = motion(grey)
    monkeypatch.setattr("a2ibench.encoders.motion._CELLS", 1)
    np.testing.assert_allclose(motion(grey), whole, rtol=1e-5, atol=1e-6)
