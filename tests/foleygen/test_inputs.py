"""Videos and sounds as users have them: of any length, rate and size, refused in one sentence or made to fit."""

import numpy as np
import pytest
import soundfile
from test_media_edges import encode

from a2ibench.baselines.foleygen.frames import sample
from a2ibench.baselines.foleygen.train import fit_samples
from a2ibench.clips import load_clips
from a2ibench.encoders.imagebind_video import ImageBindVideoConfig, clip_frames
from a2ibench.errors import A2IBenchError
from a2ibench.media.audio import read_audio
from a2ibench.scoring.scorer import check_clips
from a2ibench.tasks import get as get_task

SMALL = ImageBindVideoConfig(size=32, patch=8, clips=3, crops=1, width=16, heads=2)


def greys(frames):
    """The numbers of `encode`'s frames: each is ten brighter."""
    return [round(float(each.mean()) / 10) for each in frames]


def test_a_video_without_a_frame_is_one_sentence(tmp_path):
    path = encode(tmp_path / "v.mkv", "matroska", count=0, sound="aac")
    for read in (lambda: sample(path, 1.0, 4.0), lambda: clip_frames(path, SMALL)):
        with pytest.raises(A2IBenchError, match=r"v\.mkv has no frame"):
            read()


def test_a_fifth_of_a_second_is_held(tmp_path):
    path = encode(tmp_path / "v.mp4", "mp4", count=2)
    assert greys(sample(path, 1.0, 5.0)[:, 0]) == [0, 1, 1, 1, 1]
    assert [greys(pair) for pair in clip_frames(path, SMALL)] == [[0, 1]] * 3


def test_frames_of_a_variable_rate_are_taken_by_their_times(tmp_path):
    stamps = [0, 40, 80, 500, 520, 900, 1400, 1950]
    path = encode(tmp_path / "v.mkv", "matroska", count=8, stamps=stamps)
    # At 0, 0.25 … 1.75 s the last frame that had begun by then is shown.
    assert greys(sample(path, 2.0, 4.0)[:, 0]) == [0, 2, 3, 4, 5, 5, 6, 6]


def test_4k_is_made_small_before_it_is_kept(tmp_path):
    path = encode(tmp_path / "v.mp4", "mp4", count=3, side=2160)
    found = sample(path, 0.3, 10.0)
    assert found.shape == (3, 1, 256, 256, 3)
    assert greys(found[:, 0]) == [0, 1, 2]


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.1, 16_000, 1), (5.0, 44_100, 2), (1.0, 8_000, 1)])
def test_a_sound_of_any_length_rate_and_width_fits(tmp_path, seconds, rate, channels):
    wave = 0.3 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 300 / rate)
    soundfile.write(tmp_path / "a.wav", np.stack([wave] * channels, 1), rate)
    whole = fit_samples(read_audio(tmp_path / "a.wav", 16_000), 32_000)
    assert whole.shape == (32_000,)
    heard = min(2.0, seconds)
    assert np.abs(whole[: int(heard * 16_000)]).max() == pytest.approx(0.3, abs=0.02)
    assert np.abs(whole[int(heard * 16_000) + 10 :]).max(initial=0) == 0


def test_clips_with_a_longer_sound_are_clips(tmp_path):
    encode(tmp_path / "v.mp4", "mp4", count=5)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(48_000), 16_000)
    (tmp_path / "clips.csv").write_text("clip_id,video,audio,label\nc,v.mp4,a.wav,noise\n")
    clips = load_clips(tmp_path, task=get_task("video-to-audio"))
    check_clips(clips)
    assert len(sample(clips[0].file("video"), 3.0, 12.5)) == 38


def test_a_sound_with_nan_is_one_sentence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(A2IBenchError, match=r"a\.wav"):
        read_audio(tmp_path / "a.wav", 16_000)
