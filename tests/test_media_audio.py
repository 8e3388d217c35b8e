"""Sounds in the containers that corpora bring: read by content, in their time, whole or not at all."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from a2ibench.errors import A2IBenchError
from a2ibench.media import get
from a2ibench.media.audio import inspect_audio, read_audio, write_audio
from a2ibench.media.containers import demuxer

RATE = 16_000


def tone(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encode(path, form, codec="aac", wave=None, rate=48_000, at=0, gap=(), picture=False, sample="fltp", **options):
    """Write a mono sound by FFmpeg; `at` shifts it, `gap` is (first block behind it, samples)."""
    wave = tone(2, rate) if wave is None else wave
    with av.open(str(path), "w", format=form, options=options) as container:
        packets = []
        if picture:
            video = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
            shown = [av.VideoFrame.from_ndarray(np.full((32, 32, 3), 8 * i, np.uint8), "rgb24") for i in range(30)]
            packets += [packet for each in (*shown, None) for packet in video.encode(each)]
        stream = container.add_stream(codec, rate=rate, layout="mono", format=sample)
        size = stream.codec_context.frame_size or 1024
        for number, start in enumerate(range(0, len(wave) - size + 1, size)):
            block = wave[None, start : start + size]
            if sample == "s16":
                block = np.round(block * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), sample, "mono")
            later = gap[1] if gap and number >= gap[0] else 0
            frame.sample_rate, frame.pts, frame.time_base = rate, start + at + later, Fraction(1, rate)
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            container.mux(packet)
    return path


def onset(wave):
    return int(np.argmax(np.abs(wave) > 0.1)) / RATE


# ---------------------------------------------------------------------------------------- content decides


@pytest.mark.parametrize(
    ("name", "form", "codec"),
    [
        ("a.m4a", "ipod", "aac"),
        ("a.aac", "adts", "aac"),
        ("a.mka", "matroska", "aac"),
        ("a.wav", "ipod", "aac"),
        ("a.png", "mp4", "aac"),
        ("a", "mov", "aac"),
        ("a.opus", "ogg", "libopus"),
        ("a.webm", "webm", "libopus"),
        ("a.mp4", "wav", "pcm_s16le"),
        ("a.gsm", "wav", "pcm_s16le"),
        ("a.raw", "wav", "pcm_s16le"),
        ("a.ts", "mpegts", "aac"),
        ("a.avi", "avi", "pcm_s16le"),
    ],
)
def test_content_decides_how_a_sound_is_read(tmp_path, name, form, codec):
    sample = "s16" if codec in ("pcm_s16le", "libopus") else "fltp"
    found = read_audio(encode(tmp_path / name, form, codec, sample=sample), RATE)
    assert found.dtype == np.float32
    assert abs(len(found) - 2 * RATE) < 0.1 * RATE
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    assert abs(spectrum.argmax() * RATE / len(found) - 440) < 2


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXTINF:1,\nother.wav\n",
        b"ffconcat version 1.0\nfile other.wav\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
    ],
)
def test_a_file_that_names_others_is_no_sound(tmp_path, data):
    soundfile.write(tmp_path / "other.wav", tone(), RATE)
    (tmp_path / "a.wav").write_bytes(data)
    assert demuxer(tmp_path / "a.wav") is None
    with pytest.raises(A2IBenchError, match="can't be read as audio"):
        read_audio(tmp_path / "a.wav", RATE)


# ------------------------------------------------------------------------------------------ time is honoured


@pytest.mark.parametrize(("name", "form"), [("a.mp4", "mp4"), ("a.mkv", "matroska"), ("a.mov", "mov")])
@pytest.mark.parametrize("late", [0.0, 0.5, 1.25])
def test_a_sound_that_starts_late_has_silence_in_front(tmp_path, name, form, late):
    path = encode(tmp_path / name, form, at=round(late * 48_000), picture=True)
    found = read_audio(path, RATE)
    assert abs(onset(found) - late) < 0.003
    assert abs(len(found) / RATE - late - 2) < 0.06
    assert not np.abs(found[: round((late - 0.03) * RATE)] if late else found[:0]).max(initial=0.0) > 0.05


def test_the_delay_of_an_encoder_is_taken_off(tmp_path):
    wave = np.zeros(48_000, np.float32)
    wave[24_000:24_200] = 0.9  # a click at half a second
    for name, form in (("a.m4a", "ipod"), ("a.mkv", "matroska")):
        found = read_audio(encode(tmp_path / name, form, wave=wave), RATE)
        assert abs(int(np.abs(found).argmax()) - 8_033) < 50, name


def test_a_gap_inside_is_silence(tmp_path):
    path = encode(tmp_path / "a.mkv", "matroska", "pcm_s16le", sample="s16", gap=(20, 48_000))
    found = read_audio(path, RATE)
    first = 20 * 1024 / 48_000
    assert abs(len(found) / RATE - 3) < 0.03
    assert np.abs(found[round((first + 0.05) * RATE) : round((first + 0.95) * RATE)]).max() == 0
    assert np.abs(found[round((first + 1.05) * RATE) :]).max() > 0.3


def test_a_sound_that_starts_after_hours_is_too_long(tmp_path):
    path = encode(tmp_path / "a.mkv", "matroska", at=5_000 * 48_000, picture=True)
    with pytest.raises(A2IBenchError, match="more than 600 s"):
        read_audio(path, RATE)


def test_a_broadcast_counts_from_its_own_beginning(tmp_path):
    found = read_audio(encode(tmp_path / "a.ts", "mpegts", at=90 * 48_000), RATE)
    assert abs(len(found) / RATE - 2) < 0.1


# --------------------------------------------------------------------------------------------- whole or not


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "AIFF", "AU", "W64", "CAF", "FLAC", "OGG"])
@pytest.mark.parametrize("left", [0.99, 0.5, 0.1])
def test_what_states_its_length_is_held_to_it(tmp_path, form, left):
    noise = tone(2) + np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    path = tmp_path / f"a.{form.lower()}"
    soundfile.write(path, noise, RATE, format=form)
    whole = path.read_bytes()
    assert len(read_audio(path, RATE)) == 2 * RATE
    path.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(A2IBenchError, match=r"a\."):
        read_audio(path, RATE)


@pytest.mark.parametrize(
    ("form", "codec", "options"),
    [
        ("mp4", "aac", {}),
        ("mp4", "aac", {"movflags": "faststart"}),
        ("matroska", "aac", {}),
        ("avi", "pcm_s16le", {}),
        ("asf", "libmp3lame", {}),
        ("ogg", "libopus", {}),
    ],
)
@pytest.mark.parametrize("left", [0.97, 0.5])
def test_containers_are_held_to_their_length(tmp_path, form, codec, options, left):
    sample = "s16" if codec in ("pcm_s16le", "libopus") else "fltp"
    path = encode(tmp_path / "a", form, codec, sample=sample, picture=form != "ogg", **options)
    whole = path.read_bytes()
    read_audio(path, RATE)
    path.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(A2IBenchError, match=r"truncated|can't be read"):
        read_audio(path, RATE)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_written_to_a_pipe_goes_to_the_end_of_its_file(tmp_path, length, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE, subtype=subtype)
    expected = read_audio(path, RATE)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = length.to_bytes(4, "little")
    path.write_bytes(data)
    assert np.array_equal(read_audio(path, RATE), expected)


def test_a_wav_without_a_sample_stays_empty(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone()[:0], RATE)
    with path.open("ab") as file:
        file.write(b"LIST\4\0\0\0abcd")
    with pytest.raises(A2IBenchError, match=r"lasts 0\.000 s"):
        read_audio(path, RATE)


def test_only_plain_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for name in ("audio", "image", "video", "text"):
        with pytest.raises(A2IBenchError, match="not a plain file"):
            get(name).inspect(tmp_path / "a.wav")


def test_no_message_holds_what_a_terminal_acts_upon(tmp_path):
    path = tmp_path / "a\x1b[31m\u202e.wav"
    for data in (b"", b"\x1b]0;x\x07" * 50, b"\0" * 100, b"ID3\x1b[2J" * 30):
        path.write_bytes(data)
        for name in ("audio", "image", "video"):
            with pytest.raises(A2IBenchError) as caught:
                get(name).inspect(path)
            assert str(caught.value).isprintable()


# ------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize(("name", "close"), [("a.wav", 2e-5), ("a.flac", 2e-5), ("a.ogg", 0.05)])
def test_what_is_written_is_read_again(tmp_path, name, close):
    write_audio(tmp_path / name, tone(3), RATE)
    found = read_audio(tmp_path / name, RATE)
    assert len(found) == 3 * RATE
    assert np.abs(found - tone(3)).max() < close
    assert os.listdir(tmp_path) == [name]


def test_equal_sounds_are_equal_in_any_lossless_format(tmp_path):
    for name in ("a.wav", "a.flac"):
        write_audio(tmp_path / name, tone(), RATE)
    write_audio(tmp_path / "b.wav", tone(hertz=441), RATE)
    assert inspect_audio(tmp_path / "a.wav") == inspect_audio(tmp_path / "a.flac") != inspect_audio(tmp_path / "b.wav")


@pytest.mark.parametrize("wave", [np.zeros(0), np.full(9, np.nan), np.zeros((2, 2, 2))])
def test_refuses_to_write_what_is_no_sound(tmp_path, wave):
    with pytest.raises(A2IBenchError, match="can't be written"):
        write_audio(tmp_path / "a.wav", wave, RATE)
    with pytest.raises(A2IBenchError, match="end in"):
        write_audio(tmp_path / "a.xyz", tone(), RATE)
