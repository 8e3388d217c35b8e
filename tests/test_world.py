"""The mini world: drawn again from seeds alone, and what is said to be seen and heard really is."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from a2ibench.clips import load_clips, read_audio
from a2ibench.suites.mini import TEST, test_scenes, world
from a2ibench.suites.mini.build.test_split import CLIPS_PER_KIND
from a2ibench.suites.mini.build.test_split import test_scenes as drawn_test_scenes
from a2ibench.suites.mini.world import KINDS, Scene

test_scenes.__test__ = drawn_test_scenes.__test__ = False  # not tests, for all their names
FLAT = (255, 0, 255)
INDEX = {kind.name: number for number, kind in enumerate(KINDS)}
EVERY_KIND = pytest.mark.parametrize("kind", range(len(KINDS)), ids=list(INDEX))


def seen(scene):
    """Where objects are: ``[64, 64]`` bool, for a world whose background is flat."""
    return (np.asarray(world.render(scene)) != FLAT).any(axis=2)


@pytest.fixture
def flat(monkeypatch):
    """Take the backgrounds away."""
    size = world._CANVAS
    monkeypatch.setattr(world, "_background", lambda place, time, rng: Image.new("RGB", (size, size), FLAT))


def test_a_scene_is_drawn_and_heard_the_same_again():
    scene = world.draw_scene("train", 5)
    assert scene == world.draw_scene("train", 5)
    assert world.render(scene).tobytes() == world.render(scene).tobytes()
    assert (world.sound(scene) == world.sound(scene)).all()


def test_the_seed_changes_image_and_sound():
    first, second = Scene(0, 1, 0.5, seed=1), Scene(0, 1, 0.5, seed=2)
    assert world.render(first).tobytes() != world.render(second).tobytes()
    assert (world.sound(first) != world.sound(second)).any()


def test_forms():
    for index in range(36):
        scene = world.draw_scene("validation", index)
        image, sound = world.render(scene), world.sound(scene)
        assert (image.size, image.mode) == ((64, 64), "RGB")
        assert (sound.shape, sound.dtype) == ((48_000,), np.float32)
        assert 0.1 < np.abs(sound).max() <= 1
        assert scene.count in (1, 2, 3)
        assert 0 <= scene.size < 1


def test_splits_share_no_scene():
    seen = {split: {world.draw_scene(split, i).seed for i in range(400)} for split in world._SPLITS}
    assert len(seen) == 4
    assert len(set().union(*seen.values())) == sum(map(len, seen.values()))


@EVERY_KIND
def test_objects_lie_whole_inside_the_image(monkeypatch, kind):
    """On a wider canvas nothing shows beyond the image, but for a third of a pixel of a wing's tip."""
    wide = 80 * world._SUPERSAMPLE
    monkeypatch.setattr(world, "_background", lambda place, time, rng: Image.new("RGB", (wide, wide), FLAT))
    for count in (1, 2, 3):
        for size in (0.0, 0.5, 1.0):
            for seed in range(4):
                mask = seen(Scene(kind, count, size, seed))
                assert mask.shape == (80, 80)
                assert mask[:64, :64].any()
                assert not mask[65:].any(), (count, size, seed)
                assert not mask[:, 65:].any(), (count, size, seed)
                assert max(mask[64].sum(), mask[:, 64].sum()) <= 8, (count, size, seed)


def _nearest(scene, monkeypatch):
    """How many objects were drawn, and how near two of them are, in diameters."""
    drawn = []
    with monkeypatch.context() as patch:
        place = world._positions
        patch.setattr(world, "_positions", lambda *given: drawn.append((given[1], place(*given))) or drawn[-1][1])
        world.render(scene)
    ((radius, centres),) = drawn
    apart = [np.hypot(x - u, y - v) for i, (x, y) in enumerate(centres) for u, v in centres[:i]]
    return len(centres), min(apart, default=np.inf) / (2 * radius)


def test_objects_can_be_counted(monkeypatch):
    """Large ones may overlap a little; each still shows more than half of itself."""
    for index in range(200):
        scene = world.draw_scene("train", index)
        count, apart = _nearest(scene, monkeypatch)
        assert count == scene.count
        assert apart > 0.55
    for scene in list(test_scenes().values())[::4]:
        assert _nearest(scene, monkeypatch)[1] > 0.7


def test_single_objects_are_in_one_piece(flat):
    for kind in range(len(KINDS)):
        _, pieces = ndimage.label(seen(Scene(kind, 1, 0.5, 2)), structure=np.ones((3, 3)))
        assert pieces == 1, KINDS[kind].name


@EVERY_KIND
def test_size_is_seen(flat, kind):
    areas = [np.mean([seen(Scene(kind, 1, size, seed)).sum() for seed in range(5)]) for size in (0.0, 0.5, 1.0)]
    assert areas[0] * 1.2 < areas[1] < areas[2] / 1.2
    assert areas[0] > 80, "the smallest must be seen at a glance"


def test_kinds_look_different(flat):
    images = [np.asarray(world.render(Scene(kind, 1, 0.7, 3)), dtype=float) for kind in range(len(KINDS))]
    apart = [np.abs(a - b).mean() for i, a in enumerate(images) for b in images[:i]]
    assert min(apart) > 2


@EVERY_KIND
def test_count_is_heard(kind):
    for count in (1, 2, 3):
        for seed in range(4):
            energy = np.square(world.sound(Scene(kind, count, 0.5, seed))).reshape(3, -1).sum(axis=1)
            assert (energy > 0.12 * energy.max()).sum() == count, (count, seed, energy)


def _centroid(wave):
    power = np.abs(np.fft.rfft(wave)) ** 2
    return float((power * np.fft.rfftfreq(len(wave), 1 / world.SAMPLE_RATE)).sum() / power.sum())


@pytest.mark.parametrize("kind", ["bell", "owl", "train", "siren"])
def test_pitch_falls_with_size(kind):
    for seed in range(3):
        pitch = [_centroid(world.sound(Scene(INDEX[kind], 1, size, seed))) for size in (0.0, 0.33, 0.67, 1.0)]
        assert pitch == sorted(pitch, reverse=True)
        assert pitch[0] / pitch[-1] > 2, "1.8 octaves, less what the noise blurs"


def test_captions():
    frog = INDEX["frog"]
    assert world.caption(Scene(frog, 1, 0.9, 0)) == "one large frog"
    assert world.caption(Scene(frog, 3, 0.1, 0)) == "three small frogs"
    assert world.caption(Scene(frog, 2, 0.5, 0)) == "two frogs"
    assert world.caption(Scene(frog, 2, 0.9, 0), size=False) == "two frogs"
    assert world.caption(Scene(frog, 2, 0.9, 0), count=False) == "large frog"
    assert world.caption(Scene(INDEX["siren"], 2, 0.5, 0)) == "two police cars"
    assert Scene(frog, 1, 0.5, 0).label == "frog croaking"
    assert not set(world.LABELS) & set(world.CATEGORIES), "events and objects are different words"


def test_training_captions_never_lie():
    rng = np.random.default_rng(0)
    for index in range(300):
        scene = world.draw_scene("train", index)
        words = world.training_caption(scene, rng).split()
        kind = KINDS[scene.kind]
        numbers = [("one", "two", "three").index(w) + 1 for w in words if w in ("one", "two", "three")]
        assert numbers in ([], [scene.count])
        sizes = [w for w in words if w in ("small", "large")]
        assert sizes in ([], [["small"], [], ["large"]][min(2, int(scene.size * 3))])
        text = " ".join(words)
        assert any(name and name in text for name in (kind.object, kind.plural, kind.event, kind.broader))


# ------------------------------------------------------------------------------------------ the shipped split


def test_the_shipped_split_is_the_drawn_one():
    clips, scenes = load_clips(TEST), drawn_test_scenes()
    assert len(clips) == CLIPS_PER_KIND * len(KINDS) == 240
    assert {label: clips.labels.count(label) for label in world.LABELS} == dict.fromkeys(world.LABELS, 20)
    shipped = test_scenes()
    assert shipped == scenes
    for clip in clips:
        scene = scenes[clip.clip_id]
        assert clip.label == scene.label
        assert (np.asarray(Image.open(clip.file("image"))) == np.asarray(world.render(scene))).all(), clip.clip_id


def test_the_shipped_sounds_are_the_drawn_ones():
    """Vorbis loses some; the sound must still be that of its scene and of no other."""
    clips = load_clips(TEST)
    for clip in list(clips)[::11]:
        drawn, shipped = world.sound(test_scenes()[clip.clip_id]), read_audio(clip.file("audio"), world.SAMPLE_RATE)
        assert shipped.shape == drawn.shape
        assert np.corrcoef(drawn, shipped)[0, 1] > 0.9, clip.clip_id


def test_every_factor_is_in_the_split():
    with (TEST / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for kind in range(len(KINDS)):
        some = [row for row in rows if int(row["kind"]) == kind]
        assert {row["count"] for row in some} == {"1", "2", "3"}
        assert np.ptp([float(row["size"]) for row in some]) > 0.5
