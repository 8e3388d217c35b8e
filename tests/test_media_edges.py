"""Media at their edges: one zero for sound and picture, what was piped, rare containers, videos of every codec."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from a2ibench.errors import A2IBenchError
from a2ibench.media import get
from a2ibench.media.audio import read_audio
from a2ibench.media.image import read_image
from a2ibench.media.video import frames, inspect_video, mux, write_video

RATE = 16_000


def tone(seconds=2.0, rate=RATE, hertz=440.0):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encode(target, form, codec="mpeg4", *, count=20, late=0.0, sound=None, side=64, stamps=None, options=None):
    """Write grey frames at ten a second, each brighter, and a tone by `sound`, both `late` seconds after zero."""
    with av.open(target if hasattr(target, "write") else str(target), "w", format=form, options=options or {}) as out:
        picture = out.add_stream(codec, rate=10, width=side, height=side, pix_fmt="yuv420p")
        picture.codec_context.time_base = Fraction(1, 1000)
        packets = []
        if sound:
            track = out.add_stream(sound, rate=48_000, layout="mono", format="s16" if sound == "libopus" else "fltp")
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 10 * index, np.uint8), "rgb24")
            frame.pts = stamps[index] if stamps else round(1000 * (late + index / 10))
            frame.time_base = Fraction(1, 1000)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        if sound:
            wave, size = tone(2, 48_000)[None], track.codec_context.frame_size or 960
            wave = np.round(wave * 32767).astype(np.int16) if sound == "libopus" else wave
            for start in range(0, 96_000 - size, size):
                block = np.ascontiguousarray(wave[:, start : start + size])
                frame = av.AudioFrame.from_ndarray(block, track.format.name, "mono")
                frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
                frame.pts = start + round(late * 48_000)
                packets += track.encode(frame)
            packets += track.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return target


def onset(path):
    return int(np.argmax(np.abs(read_audio(path, RATE)) > 0.1)) / RATE


# ---------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("form", ["mp4", "mov", "matroska", "mpegts"])
def test_picture_and_sound_that_both_start_late_stay_together(tmp_path, form):
    path = encode(tmp_path / "a", form, late=5.0, sound="aac")
    first = next(frames(path)).time
    assert abs(onset(path) - first) < 0.03
    assert form == "mpegts" or first == pytest.approx(5, abs=0.01)


class Pipe:
    """A file that can't be gone back in."""

    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_a_live_recording_counts_from_its_own_beginning(tmp_path):
    pipe = encode(Pipe(), "webm", "libvpx", late=1000.0, sound="libopus", options={"live": "1"})
    (tmp_path / "a.webm").write_bytes(pipe.data)
    assert onset(tmp_path / "a.webm") < 0.03
    assert next(frames(tmp_path / "a.webm")).time < 0.03


def test_frames_of_any_rate_keep_their_times(tmp_path):
    stamps = [0, 33, 500, 533, 2000, 2033]
    path = encode(tmp_path / "a.mp4", "mp4", "libx264", count=6, stamps=stamps)
    assert [frame.time for frame in frames(path)] == pytest.approx([stamp / 1000 for stamp in stamps], abs=1e-3)
    mux(path, tone(), RATE, tmp_path / "b.mp4")
    assert [frame.time for frame in frames(tmp_path / "b.mp4")] == pytest.approx([s / 1000 for s in stamps], abs=1e-3)


def test_the_frames_of_an_avi_come_in_the_order_of_their_times(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w", format="avi") as out:
        stream = out.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")  # frames refer forward
        shown = [av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i, np.uint8), "rgb24") for i in range(20)]
        for packet in [packet for each in (*shown, None) for packet in stream.encode(each)]:
            out.mux(packet)
    found = list(frames(tmp_path / "a.avi"))
    assert np.diff([frame.time for frame in found]) == pytest.approx(np.full(19, 0.1), abs=1e-6)
    assert np.all(np.diff([frame.pixels.mean() for frame in found]) > 0)


# -------------------------------------------------------------------------------------------------- videos


@pytest.mark.parametrize("form", ["matroska", "avi"])
def test_a_video_without_a_frame_is_refused_by_every_reader(tmp_path, form):
    path = encode(tmp_path / "a", form, count=0, sound="aac")
    for read in (get("video").check, get("video").inspect, get("video").tile, read_image):
        with pytest.raises(A2IBenchError, match="has no frame"):
            read(path)
    with pytest.raises(A2IBenchError, match="has no frame"):
        mux(path, tone(), RATE, tmp_path / "b.mp4")


def test_a_video_of_two_frames_is_one(tmp_path):
    path = encode(tmp_path / "a.mp4", "mp4", count=2)
    get("video").check(path)
    assert [frame.time for frame in frames(path)] == pytest.approx([0, 0.1], abs=1e-3)
    assert get("video").tile(path).size == (96, 96)


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("webm", "libvpx"),
        ("webm", "libvpx-vp9"),
        ("matroska", "libx264"),
        ("avi", "mpeg4"),
        ("avi", "libx264"),
        ("asf", "wmv2"),
        ("mp4", "libx265"),
        ("mp4", "libx264"),
    ],
)
def test_a_sound_is_put_to_a_video_of_any_codec(tmp_path, form, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    path = encode(tmp_path / "a", form, codec)
    wave = np.zeros(2 * RATE, np.float32)
    wave[RATE : RATE + 100] = 0.9
    mux(path, wave, RATE, tmp_path / "b.mp4")
    before, after = list(frames(path)), list(frames(tmp_path / "b.mp4"))
    zero = before[0].time
    assert [frame.time for frame in after] == pytest.approx([frame.time - zero for frame in before], abs=2e-3)
    for one, two in zip(before, after, strict=True):
        assert np.abs(one.pixels.astype(int) - two.pixels).max() < 8
    assert abs(int(np.abs(read_audio(tmp_path / "b.mp4", RATE)).argmax()) - RATE - 50) < 60
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert made.streams.video[0].codec_context.name == "h264"


def test_writing_and_muxing_give_the_same_pixels_each_time(tmp_path):
    """Left to the encoder, one conversion of colours in forty differs: hence sixty."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    for name in ("write", "mux"):
        made = set()
        for _ in range(60):
            write_video(tmp_path / "a.mp4", pixels, 8, tone(0.2), RATE)
            if name == "mux":
                mux(tmp_path / "a.mp4", tone(0.3), RATE, tmp_path / "b.mp4")
            made.add(inspect_video(tmp_path / ("a.mp4" if name == "write" else "b.mp4")))
        assert len(made) == 1, name


def test_a_large_video_is_refused_by_its_frames_also_where_its_header_is_small(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", "mp4")
    monkeypatch.setattr("a2ibench.media.moving.MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(A2IBenchError, match="has 64 x 64 pixels"):
        next(frames(path))


# -------------------------------------------------------------------------------------------------- sounds


@pytest.mark.parametrize("form", ["VOC", "NIST", "AVR", "MPC2K", "WVE", "MAT4", "MAT5", "SVX"])
@pytest.mark.parametrize("left", [0.98, 0.5])
def test_rare_containers_are_held_to_their_length_too(tmp_path, form, left):
    path = tmp_path / "a"
    soundfile.write(path, tone(), RATE, format=form)
    whole = path.read_bytes()
    read_audio(path, RATE)
    path.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(A2IBenchError, match="truncated"):
        read_audio(path, RATE)


def test_a_flac_written_to_a_pipe_is_read(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(), RATE)
    expected = read_audio(tmp_path / "a.flac", RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # STREAMINFO: the 36 bits of the number of samples, 0 where it is not known
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert np.array_equal(read_audio(tmp_path / "a.flac", RATE), expected)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF])
def test_an_au_written_to_a_pipe_is_read(tmp_path, length):
    soundfile.write(tmp_path / "a.au", tone(), RATE)
    expected = read_audio(tmp_path / "a.au", RATE)
    data = bytearray((tmp_path / "a.au").read_bytes())
    data[8:12] = length.to_bytes(4, "big")
    (tmp_path / "a.au").write_bytes(data)
    assert np.array_equal(read_audio(tmp_path / "a.au", RATE), expected)


def test_many_channels_are_mixed_as_they_are_read(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, (300_000, 6)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    expected = wave.mean(axis=1, dtype=np.float64).astype(np.float32)
    assert np.array_equal(read_audio(tmp_path / "a.wav", RATE), expected)


@pytest.mark.parametrize("channels", [2, 8, 9, 16, 24])
def test_many_channels_are_mixed_by_either_reader(tmp_path, channels):
    wave = np.random.default_rng(0).normal(0, 0.1, (RATE, channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT", format="WAVEX")
    expected = read_audio(tmp_path / "a.wav", RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = bytes(4)  # written to a pipe: FFmpeg reads it
    (tmp_path / "a.wav").write_bytes(data)
    found = read_audio(tmp_path / "a.wav", RATE)
    assert np.allclose(found, expected, atol=1e-7)
    assert len(found) == RATE


def test_refuses_an_absurd_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 2_000_000)
    with pytest.raises(A2IBenchError, match="2000000 samples a second"):
        read_audio(tmp_path / "a.wav", RATE)


# -------------------------------------------------------------------------------------------------- images


def test_an_image_that_is_a_program_is_not_run(tmp_path, monkeypatch):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png", "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    with pytest.raises(A2IBenchError, match="is a program"):
        read_image(tmp_path / "a.png")
