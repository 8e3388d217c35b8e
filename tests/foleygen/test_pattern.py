"""The layout by hand: the paper's Figure 2, delayed codes, and what reaches what when a frame is perturbed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_foleygen import tiny

from a2ibench.baselines.foleygen.lm import LmConfig
from a2ibench.baselines.foleygen.pattern import ATTENTIONS, delay, frame_at, inputs_of, mask, steps_of, undelay
from a2ibench.errors import A2IBenchError

FIGURE_2 = {
    "all-frame": [[1, 1]] * 4,
    "causal": [[1, 0], [1, 0], [1, 1], [1, 1]],
    "frame-specific": [[1, 0], [1, 0], [0, 1], [0, 1]],
    "aligned": [[1, 1]] * 4,
}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_papers_figure_2(attention):
    """Two frames at 1 a second, four audio steps at 2 a second."""
    keep = mask(attention, 2, 4, 2.0, 1.0)
    assert keep[2:, :2].int().tolist() == FIGURE_2[attention]
    assert keep[2:, 2:].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert not keep[:2, 2:].any()
    assert keep[:2, :2].int().tolist() == ([[1, 0], [0, 1]] if attention == "frame-specific" else [[1, 0], [1, 1]])


def test_the_published_layout():
    config = LmConfig()
    assert (config.video_frames, config.code_frames, config.steps) == (10, 500, 503)
    at = frame_at(503, 10, 50.0, 1.0)
    assert at[:50].eq(0).all()
    assert at[50] == 1
    assert at[499:].eq(9).all()  # what is delayed beyond the end stays at the last frame


def test_rates_are_exact():
    """12.5 frames and 25 steps a second: two steps a frame, to the end."""
    assert frame_at(78, 38, 25.0, 12.5).tolist() == [min(step // 2, 37) for step in range(78)]


def test_delay_by_hand():
    codes = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert delay(codes, 9).tolist() == [[1, 2, 3, 9], [9, 4, 5, 6]]
    assert inputs_of(delay(codes, 9), 9).tolist() == [[9, 1, 2, 3], [9, 9, 4, 5]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 12))
def test_delay_goes_both_ways(batch, books, frames):
    codes = torch.arange(batch * books * frames).view(batch, books, frames)
    delayed = delay(codes, -1)
    assert delayed.shape[-1] == steps_of(frames, books)
    assert (delayed == -1).sum() == batch * books * (books - 1)
    assert torch.equal(undelay(delayed), codes)


def reached(attention, frame, history):
    """Which of 21 steps change when a frame of the video does; with other steps' codes unseen unless `history`."""
    network = tiny(attention)
    config = network.config
    if not history:
        frames = config.video_frames
        network.keep[frames:, frames:] &= torch.eye(config.steps, dtype=torch.bool)
    features = torch.randn(1, config.video_frames, config.features)
    told = torch.randint(config.codes, (1, config.books, config.steps))
    changed = features.clone()
    changed[:, frame] += 1
    with torch.no_grad():
        off = (network(features, told) - network(changed, told)).abs().amax((0, 1, 3))
    return (off > 1e-6).nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("attention", "frame", "steps"),
    [
        ("all-frame", 1, range(21)),
        ("causal", 1, range(5, 21)),
        ("causal", 3, range(15, 21)),
        ("frame-specific", 1, range(5, 10)),
        ("frame-specific", 3, range(15, 21)),
        ("aligned", 1, range(21)),
    ],
)
def test_what_a_frame_reaches(attention, frame, steps):
    assert reached(attention, frame, history=False) == list(steps)


@pytest.mark.parametrize("attention", ["causal", "frame-specific"])
def test_nothing_reaches_back_through_the_history(attention):
    assert min(reached(attention, 2, history=True)) == 10


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_no_step_sees_a_later_code(attention):
    network = tiny(attention)
    config = network.config
    features = torch.randn(1, config.video_frames, config.features)
    told = torch.randint(config.codes, (1, config.books, config.steps))
    changed = told.clone()
    changed[:, 1, 9] = (changed[:, 1, 9] + 1) % config.codes
    with torch.no_grad():
        off = (network(features, told) - network(features, changed)).abs().amax((0, 1, 3))
    assert off[:9].max() == 0
    assert off[9:].min() > 0


def test_a_wrong_attention_is_named():
    with pytest.raises(A2IBenchError, match="did you mean 'causal'"):
        LmConfig(attention="casual")
