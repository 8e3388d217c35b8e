"""The second mini world: sound, image, video, captions and onsets of one scene agree, and splits are as told."""

import numpy as np
import pytest

from a2ibench.suites.mini import world

SCENES = [world.draw_scene("afresh", index) for index in range(40)]
PAIRS = [world.draw_scene("test-two", index) for index in range(40)]


def test_a_scene_is_drawn_alone_and_again_the_same() -> None:
    for split in ("train", "validation-two", "tail", "held-out"):
        first, again = world.draw_scene(split, 7), world.draw_scene(split, 7)
        assert first == again
        assert first.onsets == again.onsets
        np.testing.assert_array_equal(world.sound(first), world.sound(again))
        np.testing.assert_array_equal(np.asarray(world.render(first)), np.asarray(world.render(again)))
    assert world.draw_scene("train", 7) != world.draw_scene("validation", 7)


@pytest.mark.parametrize("scene", SCENES + PAIRS)
def test_onsets_are_in_order_apart_and_inside(scene: world.Scene) -> None:
    assert len(scene.onsets) == len(scene.calls) == scene.count <= 4
    assert scene.onsets[0] >= 0.15
    assert scene.onsets[-1] <= 2.45
    assert np.all(np.diff(scene.onsets) >= 0.418)
    assert scene.calls == tuple(e.kind for e in scene.events for _ in range(e.count))


@pytest.mark.parametrize("scene", SCENES[:20] + PAIRS[:20])
def test_a_sound_is_whole_and_gets_louder_at_each_onset(scene: world.Scene) -> None:
    wave = world.sound(scene)
    assert wave.shape == (world.SAMPLES,)
    assert wave.dtype == np.float32
    assert 0.29 < np.abs(wave).max() < 0.81  # heard, and never clipped
    assert np.abs(np.diff(wave)).max() < 0.9
    first = round(scene.onsets[0] * world.SAMPLE_RATE)
    before, after = wave[max(0, first - 2000) : first], wave[first : first + 3200]
    assert np.square(after).mean() > 8 * np.square(before).mean()


@pytest.mark.parametrize("scene", SCENES[:12] + PAIRS[:12])
def test_each_onset_is_seen_within_80_ms_and_nothing_moves_before(scene: world.Scene) -> None:
    frames = world.video(scene).astype(float)
    assert frames.shape == (world.FRAMES, 64, 64, 3)
    np.testing.assert_array_equal(frames[0], np.asarray(world.render(scene)))  # the image is the video at rest
    for onset in scene.onsets:
        shown = int(np.ceil(onset * world.FRAME_RATE))
        assert 0 <= shown / world.FRAME_RATE - onset < 0.08
        change = np.abs(frames[shown] - frames[shown - 1]).max(axis=2)
        assert (change > 40).sum() > 15  # at least so many pixels change clearly
    still = int(np.ceil(scene.onsets[0] * world.FRAME_RATE)) - 1
    if world.PLACES[scene.place] in ("meadow", "hall"):
        np.testing.assert_array_equal(frames[0], frames[still])


@pytest.mark.parametrize("scene", SCENES + PAIRS)
def test_captions_name_every_kind_and_number(scene: world.Scene) -> None:
    own, others = world.training_caption(scene), world.test_captions(scene)
    assert len({own, *others}) == 6
    assert all(len(text.split()) <= 24 for text in others)
    for event in scene.events:
        kind = world.KINDS[event.kind]
        word = kind.object if event.count == 1 else kind.plural
        assert all(word in text for text in (own, *others[:3]))
        assert kind.event in others[3]
    if len(scene.events) == 2:
        first, second = (world.KINDS[event.kind].object for event in scene.events)
        for text in (own, *others[:3]):
            assert text.index(first) < text.index(second)


def test_louder_factors_are_heard_and_seen() -> None:
    """A larger thing is lower and covers more of the image; the background alone differs between places."""
    small = world.Scene((world.Event(0, 1),), 0.0, 3, 5)
    large = world.Scene((world.Event(0, 1),), 1.0, 3, 5)
    centroids = []
    for scene in (small, large):
        power = np.abs(np.fft.rfft(world.sound(scene))) ** 2
        power[:400] = 0  # below 133 Hz lies the hall's hum
        centroids.append((power * np.arange(len(power))).sum() / power.sum())
    assert centroids[0] > 1.3 * centroids[1]
    images = [
        np.asarray(world.render(world.Scene((world.Event(0, 1),), 0.5, place, 5))).astype(float) for place in range(4)
    ]
    for first in range(4):
        for second in range(first):
            assert np.abs(images[first] - images[second]).mean() > 5


def test_the_tail_is_as_long_as_told() -> None:
    scenes = [world.draw_scene("tail", index) for index in range(world.tail_size())]
    counts = np.zeros(len(world.KINDS), dtype=int)
    for scene in scenes:
        for kind in {event.kind for event in scene.events}:
            counts[kind] += 1
    assert tuple(counts) == world.TAIL
    assert sorted(counts)[:2] == [0, 5]
    assert max(counts) == 1000
    assert counts[world.HELD_OUT] == 0
    assert 0.4 < np.mean([len(scene.events) == 2 for scene in scenes]) <= 0.5
    assert world.draw_scene("held-out", 0).kind == world.HELD_OUT


def test_some_pairs_lie_in_tests_alone() -> None:
    training = [world.draw_scene("train-two", index) for index in range(300)]
    training += [world.draw_scene("tail", index) for index in range(world.tail_size())]
    seen = {tuple(e.kind for e in scene.events) for scene in training if len(scene.events) == 2}
    assert not any(world.unseen_pair(*pair) for pair in seen)
    tested = [tuple(e.kind for e in world.draw_scene("test-two", index).events) for index in range(200)]
    assert 0.05 < np.mean([world.unseen_pair(*pair) for pair in tested]) < 0.3
    assert all(first != second for first, second in tested)
