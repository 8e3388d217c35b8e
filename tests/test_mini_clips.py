"""The shipped test splits of the mini suite: whole, balanced, small, and the scenes that their rows name."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from a2ibench.clips import load_clips
from a2ibench.suites import mini
from a2ibench.suites.mini import world

ROOT = mini.TEST.parent
SPLITS = ("test", "test-two")
SAMPLE = sorted(mini.test_scenes().items())[::23]


def rows(split: str) -> list[dict[str, str]]:
    with (ROOT / split / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_whole_and_says_what_its_scenes_are(split: str) -> None:
    scenes = mini.test_scenes(split)
    for row in rows(split):
        scene = scenes[row["clip_id"]]
        assert row["label"] == scene.label
        told = tuple(row[name] for name in ("caption", "caption_2", "caption_3", "caption_4", "caption_5"))
        assert told == world.test_captions(scene)
        assert tuple(float(onset) for onset in row["onsets"].split()) == scene.onsets
        for medium in ("audio", "image", "video"):
            assert medium not in row or (ROOT / split / row[medium]).is_file()


def test_splits_are_balanced_and_small() -> None:
    kinds = [scene.kind for scene in mini.test_scenes().values()]
    assert np.bincount(kinds).tolist() == [20] * 12
    pairs = mini.test_scenes("test-two").values()
    assert np.bincount([scene.kind for scene in pairs]).tolist() == [10] * 12
    assert all(len(scene.events) == 2 for scene in pairs)
    size = sum(file.stat().st_size for split in SPLITS for file in (ROOT / split).rglob("*") if file.is_file())
    assert size < 7_000_000
    assert len(load_clips(ROOT / "test")) == 240


@pytest.mark.parametrize(("clip_id", "scene"), SAMPLE)
def test_image_and_sound_are_the_scene(clip_id: str, scene: world.Scene) -> None:
    image = Image.open(ROOT / "test" / "image" / f"{clip_id}.png")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(world.render(scene)))
    wave, rate = soundfile.read(ROOT / "test" / "audio" / f"{clip_id}.ogg")
    assert (rate, len(wave)) == (world.SAMPLE_RATE, world.SAMPLES)
    real = world.sound(scene)
    assert np.corrcoef(wave, real)[0, 1] > 0.95  # what Vorbis at a low quality keeps


@pytest.mark.parametrize(("clip_id", "scene"), SAMPLE)
def test_the_video_is_the_scene_and_shows_each_onset(clip_id: str, scene: world.Scene) -> None:
    frames, times = decoded(ROOT / "test" / "video" / f"{clip_id}.mp4")
    assert frames.shape == (world.FRAMES, 64, 64, 3)
    np.testing.assert_allclose(times, np.arange(world.FRAMES) / world.FRAME_RATE, atol=1e-6)
    error = np.square(frames.astype(float) - world.video(scene)).mean()
    assert 10 * np.log10(255**2 / error) > 24
    for onset in scene.onsets:
        shown = int(np.ceil(onset * world.FRAME_RATE))
        change = np.abs(frames[shown].astype(float) - frames[shown - 1]).max(axis=2)
        assert (change > 30).sum() > 10


def decoded(file: Path) -> tuple[np.ndarray, list[float]]:
    av = pytest.importorskip("av")
    with av.open(str(file)) as container:
        frames = list(container.decode(video=0))
        times = [float(frame.pts * frame.time_base) for frame in frames]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), times
