"""The nearest training video's sound: a copy finds itself, the nearest by hand, and what is no index."""

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

import a2ibench.baselines.foleygen.eyes as eyes_module
from a2ibench.baselines import methods
from a2ibench.baselines.base import Training
from a2ibench.baselines.nearest_video import nearest
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.media.video import write_video
from a2ibench.progress import silent
from a2ibench.tasks import get as get_task


class Colours:
    """Mean colours of frames."""

    name, dim, each = "clip", 3, 1

    def encode(self, windows):
        return windows.mean((1, 2, 3)).astype(np.float32)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    monkeypatch.setattr(eyes_module, "load_eyes", lambda name, part, device="cpu": Colours())
    rng = np.random.default_rng(0)
    rows = ["clip_id,video,audio,label"]
    for number, colour in enumerate([(200, 20, 20), (20, 200, 20), (20, 20, 200)]):
        write_video(tmp_path / f"c{number}.mp4", np.full((5, 32, 32, 3), colour, np.uint8), 5.0)
        seconds = 8000 + 4000 * number
        soundfile.write(tmp_path / f"c{number}.wav", 0.1 * rng.standard_normal(seconds), 16_000)
        rows.append(f"c{number},c{number}.mp4,c{number}.wav,colour")
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    return load_clips(tmp_path, task=get_task("video-to-audio"))


def test_a_video_of_the_index_finds_its_own_sound(clips, tmp_path):
    method = methods()["nearest-video"]
    settings = {"seconds": 0.6, "frame_rate": 5.0, "steps": 7}  # FoleyGen's steps, of the same suite
    file = method.train(Training({"clip": {}}, {}, clips, tmp_path / "run", settings, "cpu", 1, False, silent))
    draw = method.load({"clip": {}, "nearest-video": {"file": file}}, {}, "cpu")
    drawn = draw([clips[2], clips[0], clips[0]], [1, 2, 3])
    for (wave, rate), number in zip(drawn, (2, 0, 0), strict=True):
        real, _ = soundfile.read(tmp_path / f"c{number}.wav", dtype="float32")
        assert rate == 16_000
        assert np.array_equal(wave, real[:9600])  # 0.6 s, or all of it


def test_the_nearest_by_hand():
    index = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert nearest(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), index).tolist() == [0, 1]


def test_what_is_no_index_is_one_sentence(clips, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(A2IBenchError, match="no index of training videos"):
        methods()["nearest-video"].load({"clip": {}, "nearest-video": {"file": tmp_path / "x.safetensors"}}, {}, "cpu")


def test_wrong_settings_are_named(clips, tmp_path):
    with pytest.raises(A2IBenchError, match="did you mean 'seconds'"):
        methods()["nearest-video"].train(
            Training({"clip": {}}, {}, clips, tmp_path / "run", {"second": 1}, "cpu", 1, False, silent)
        )
