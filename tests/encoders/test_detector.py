"""The event detector: times of frames, rows on their own, and that it can learn when what begins."""

import numpy as np
import pytest
import torch
from seeded import seeded_state, sound

from a2ibench.encoders.detector import RATE, Detector, load, log_mel, targets
from a2ibench.errors import A2IBenchError
from a2ibench.metrics.detections import detections

CONFIG = {"categories": ["low", "high"], "width": 4}


@pytest.fixture(scope="module")
def small():
    state = {k: v.abs() + 0.5 if k.endswith("running_var") else v for k, v in seeded_state(Detector(2, 4)).items()}
    return load(CONFIG, state, "0" * 64)


def test_frames_have_times_and_probabilities(small):
    (frames,) = small.encode([sound(RATE)])
    assert frames.shape == (50, 3)
    np.testing.assert_allclose(frames[:, 0], np.arange(50) * 0.02 + 0.01, rtol=1e-5)
    assert (frames[:, 1:] >= 0).all()
    assert (frames[:, 1:] <= 1).all()
    assert [len(rows) for rows in small.encode([sound(321), sound(320), sound(1)])] == [2, 1, 1]
    assert log_mel(torch.zeros(2, 3 * RATE)).shape == (2, 300, 64)


def test_rows_depend_on_their_own_sound_alone(small):
    sounds = [sound(RATE), sound(5000), sound(RATE, seed=4)]
    for wave, rows in zip(sounds, small.encode(sounds), strict=True):
        np.testing.assert_allclose(small.encode([wave])[0], rows, atol=1e-5)
    assert small.encode([]) == []


def test_targets():
    wanted = targets([(0.0, 0), (0.05, 1), (0.5, 1)], 5, 2)
    np.testing.assert_array_equal(wanted, [[1, 0], [1, 1], [0, 1], [0, 1], [0, 0]])


def beeps(seed):
    """Three beeps, low or high, at random times."""
    rng = np.random.default_rng(seed)
    calls = [(0.1 + 0.3 * place + 0.15 * rng.random(), int(rng.integers(2))) for place in range(3)]
    wave = 0.01 * rng.standard_normal(RATE)
    for time, kind in calls:
        t = np.arange(1600) / RATE
        start = int(time * RATE)
        wave[start : start + 1600] += np.sin(2 * np.pi * (300, 1500)[kind] * t)[: RATE - start] * np.exp(-20 * t)
    return calls, wave.astype(np.float32)


def test_it_learns_when_what_begins():
    torch.manual_seed(0)
    made = [beeps(seed) for seed in range(40)]
    pictures = log_mel(torch.from_numpy(np.stack([wave for _, wave in made])))
    wanted = torch.from_numpy(np.stack([targets(calls, 50, 2) for calls, _ in made]))
    network = Detector(2, 4)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(pictures), wanted).backward()
        optimiser.step()
    encoder = load(CONFIG, network.state_dict(), "0" * 64)
    right = 0
    for seed in range(100, 110):
        calls, wave = beeps(seed)
        heard = detections(encoder.encode([wave])[0])
        right += [each.kind for each in heard] == [kind for _, kind in calls] and all(
            abs(each.time - time) < 0.05 for each, (time, _) in zip(heard, calls, strict=True)
        )
    assert right >= 8


def test_settings_and_wrong_input(small):
    assert small.categories == ("low", "high")
    assert (
        load({**CONFIG, "categories": ["high", "low"]}, seeded_state(Detector(2, 4)), "0" * 64).digest != small.digest
    )
    with pytest.raises(A2IBenchError, match="needs 'categories'"):
        load({}, {}, "")
    with pytest.raises(A2IBenchError, match="no setting"):
        load({**CONFIG, "kinds": 2}, {}, "")
    with pytest.raises(A2IBenchError, match="does not fit the detector of 2 kinds"):
        load(CONFIG, Detector(3, 4).state_dict(), "")
    with pytest.raises(A2IBenchError, match="not finite"):
        small.encode([np.full(999, np.nan)])
