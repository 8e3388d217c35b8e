"""One pass over a video: which frames, the whole sound at its time, and everything that is wrong with a corpus."""

from fractions import Fraction

import av
import numpy as np
import pytest

from a2ibench.data import decode as module
from a2ibench.data.decode import MOST_FRAMES, UnusableError, decode
from a2ibench.data.example import encode

RATE = 16_000


def grey(levels, size=64):
    """Frames of one grey each, with a corner that no compression takes away."""
    frames = [np.full((size, size, 3), level, np.uint8) for level in levels]
    for frame in frames:
        frame[: size // 4, : size // 4] = (200, 40, 40)
    return frames


def click(seconds, at, rate=RATE):
    """A tone of 50 ms that begins at a known time, in silence."""
    wave = np.zeros(round(seconds * rate))
    t = np.arange(round(0.05 * rate)) / rate
    wave[round(at * rate) :][: len(t)] = 0.8 * np.sin(2 * np.pi * 1000 * t)
    return wave


def onset(clip):
    """When something is heard first, in seconds."""
    return int(np.argmax(np.abs(clip.sound[:, 0]) > 6000)) / clip.rate


@pytest.fixture
def write(tmp_path):
    def write(frames, fps=8, wave=None, name="a.mp4", **options):
        path = tmp_path / name
        path.write_bytes(encode(frames, fps, wave, RATE, suffix=path.suffix[1:], **options))
        return path

    return write


def test_frames_are_spread_evenly_and_are_the_right_ones(write):
    levels = np.linspace(30, 220, 24)
    clip = decode(write(grey(levels), wave=click(3, 1.0)), per_second=2)
    assert [moment.time for moment in clip.moments] == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    seen = [np.asarray(moment.image)[40:, 40:].mean() for moment in clip.moments]
    np.testing.assert_allclose(seen, levels[[2, 6, 10, 14, 18, 22]], atol=4)
    assert clip.moments[0].image.mode == "RGB"
    assert clip.seconds == pytest.approx(3, abs=0.1)
    assert not clip.still


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("late", [0.0, 1.0])
def test_a_sound_that_begins_late_keeps_its_time(write, suffix, late):
    """The tone is heard 0.5 s after the sound's own beginning, wherever that lies."""
    clip = decode(write(grey([50] * 24), wave=click(3 - late, 0.5), name=f"a.{suffix}", late=late))
    assert onset(clip) == pytest.approx(late + 0.5, abs=0.012)
    assert clip.sound_start == pytest.approx(late, abs=0.07)  # the codec begins up to 64 ms before
    assert len(clip.sound) / clip.rate == pytest.approx(3, abs=0.15)
    silent = clip.sound[: round(clip.sound_start * clip.rate)]
    assert not silent.any()


def block(samples, at, value=0.25):
    frame = av.AudioFrame.from_ndarray(np.full((1, samples), value, np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    return frame


def test_a_hole_in_the_sound_is_silence_and_rounding_is_not(tmp_path):
    sound = module._Sound(tmp_path / "a.mp4", RATE, 0.0)
    sound.take(block(1000, 0))
    sound.take(block(1000, 1010))  # 0.6 ms: the container's clock
    sound.take(block(1000, 6010))  # 0.25 s are lost
    sound.flush()
    wave = np.concatenate(sound.blocks)[:, 0]
    assert len(wave) == 7010
    assert (wave[:2000] == 8192).all()
    assert not wave[2000:6010].any()
    assert (wave[6010:] == 8192).all()


def test_a_long_video_is_looked_at_less_often(write):
    clip = decode(write(grey([50, 90] * 60, size=32), fps=4, wave=click(30, 1)), per_second=2)
    times = np.array([moment.time for moment in clip.moments])
    assert MOST_FRAMES // 2 <= len(times) <= MOST_FRAMES
    np.testing.assert_allclose(np.diff(times), 1.0)


def test_it_is_opened_once(write, monkeypatch):
    path = write(grey([50] * 24), wave=click(3, 1.0))
    opened = []
    true_open = av.open
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: opened.append(args) or true_open(*args, **kwargs))
    decode(path)
    assert len(opened) == 1


def test_large_frames_are_made_smaller(write):
    frames = [np.full((96, 160, 3), 90, np.uint8)] * 8
    path = write(frames, wave=click(1, 0.2))
    assert decode(path, side=48).moments[0].image.size == (80, 48)
    assert decode(path, side=0).moments[0].image.size == (160, 96)


def test_a_still_picture_is_told(write):
    assert decode(write(grey([80] * 24), wave=click(3, 1))).still
    assert not decode(write(grey([80] * 20 + [100] * 4), wave=click(3, 1), name="b.mp4")).still


def test_shorter_than_half_a_step(write):
    assert [moment.time for moment in decode(write(grey([80]), fps=8, wave=click(0.2, 0.1))).moments] == [0.0]


def reason(path):
    with pytest.raises(UnusableError) as caught:
        decode(path)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_what_is_wrong_is_named(write, tmp_path):
    frames = grey(range(30, 54))
    assert reason(write(frames, wave=None)) == "no sound"
    assert reason(write(frames, wave=np.zeros(3 * RATE))) == "mute"
    good = write(frames, wave=click(3, 1), name="good.mkv").read_bytes()
    for name, data in {
        "noise.mp4": np.random.default_rng(0).bytes(5000),
        "empty.mp4": b"",
        "cut.mkv": good[: len(good) // 3],
        "list.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile good.mkv\n",
    }.items():
        (tmp_path / name).write_bytes(data)
        assert reason(tmp_path / name) == "corrupt", name
    assert reason(tmp_path / "absent.mp4") == "corrupt"


def test_a_sound_alone_is_no_video(tmp_path):
    import soundfile

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        packets = [*track.encode(block(1024, 0)), *track.encode(None)]
        for packet in packets:
            container.mux(packet)
    assert reason(tmp_path / "a.mp4") == "no picture"
    soundfile.write(tmp_path / "b.wav", click(1, 0.2), RATE)
    (tmp_path / "b.wav").rename(tmp_path / "b.mp4")
    assert reason(tmp_path / "b.mp4") == "corrupt"


def test_too_long(write, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_SECONDS", 2)
    assert reason(write(grey([50] * 24), wave=click(1, 0.5))) == "too long"
    assert reason(write(grey([50] * 8), wave=click(3, 0.5), name="b.mp4")) == "too long"
