"""Videos: frames in their time, written and read again, a sound put to them; and what is no video."""

import io
from contextlib import suppress

import av
import numpy as np
import pytest
from made import assert_same_video
from PIL import Image, features

from a2ibench.errors import A2IBenchError
from a2ibench.media import MEDIA, get
from a2ibench.media.audio import read_audio
from a2ibench.media.image import inspect_image, read_image, save_image
from a2ibench.media.video import frames, inspect_video, middle_frame, mux, video_info, write_video

RATE = 16_000


def tone(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def film(count=24, side=32):
    """Grey frames, each brighter than the one before, with a darker left half."""
    pixels = np.empty((count, side, side, 3), np.uint8)
    pixels[:] = (np.arange(count) * 8 + 40)[:, None, None, None]
    pixels[:, :, : side // 2] //= 2
    return pixels


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "a.mp4", film(), 8, tone(3), RATE)
    return tmp_path / "a.mp4"


def test_frames_come_back_in_their_order_and_time(clip):
    found = list(frames(clip))
    assert [frame.time for frame in found] == pytest.approx(np.arange(24) / 8, abs=1e-3)
    assert np.abs(np.stack([frame.pixels for frame in found]).astype(int) - film()).max() < 14
    means = [frame.pixels.mean() for frame in found]
    assert means == sorted(means)


def test_frames_are_decoded_one_after_another(clip, monkeypatch):
    opened = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda *args, **options: opened.append(args) or real(*args, **options))
    reading = frames(clip)
    assert next(reading).time == 0
    reading.close()
    assert len(list(frames(clip))) == 24
    assert len(opened) == 2


def test_what_the_header_says(clip, tmp_path):
    info = video_info(clip)
    assert (info.width, info.height, info.fps, info.has_sound) == (32, 32, 8, True)
    assert info.duration == pytest.approx(3, abs=0.01)
    write_video(tmp_path / "dumb.mp4", film(), 8)
    assert not video_info(tmp_path / "dumb.mp4").has_sound


def test_sound_and_picture_stay_together(tmp_path):
    wave = np.zeros(3 * RATE, np.float32)
    wave[RATE : RATE + 100] = 0.9
    write_video(tmp_path / "a.mp4", film(), 8, wave, RATE)
    found = read_audio(tmp_path / "a.mp4", RATE)
    assert abs(int(np.abs(found).argmax()) - RATE - 50) < 60
    assert abs(len(found) - 3 * RATE) < 2  # not the encoder's last block


def test_a_sound_is_put_to_a_video_whose_picture_stays(clip, tmp_path):
    wave = np.zeros(3 * RATE, np.float32)
    wave[2 * RATE : 2 * RATE + 100] = 0.9
    mux(clip, wave, RATE, tmp_path / "b.mp4")
    for before, after in zip(frames(clip), frames(tmp_path / "b.mp4"), strict=True):
        assert before.time == pytest.approx(after.time, abs=1e-3)
        assert np.array_equal(before.pixels, after.pixels)
    assert abs(int(np.abs(read_audio(tmp_path / "b.mp4", RATE)).argmax()) - 2 * RATE - 50) < 60
    assert inspect_video(clip) == inspect_video(tmp_path / "b.mp4")


def test_equal_input_gives_an_equal_video(tmp_path):
    random = np.random.default_rng(0)
    for name, noise in (("a.mp4", 0), ("b.mp4", 0), ("c.mp4", 1e-7)):
        write_video(tmp_path / name, film(), 8, tone(3) + noise * random.standard_normal(3 * RATE), RATE)
    assert_same_video(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert_same_video(tmp_path / "a.mp4", tmp_path / "c.mp4")


def test_the_middle_frame_stands_for_a_video(clip):
    assert abs(int(np.asarray(middle_frame(clip))[0, -1, 0]) - (12 * 8 + 40)) < 12
    assert np.array_equal(np.asarray(read_image(clip)), np.asarray(middle_frame(clip)))
    assert get("video").tile(clip).size == (96, 96)


def test_content_decides_what_a_picture_is(clip, tmp_path):
    (tmp_path / "a.png").write_bytes(clip.read_bytes())
    assert read_image(tmp_path / "a.png").size == (32, 32)
    save_image(tmp_path / "b.png", Image.new("RGB", (20, 10), "red"))
    (tmp_path / "b.png").rename(tmp_path / "b.mp4")
    assert read_image(tmp_path / "b.mp4").getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(A2IBenchError, match="is not a video"):
        next(frames(tmp_path / "b.mp4"))


@pytest.mark.parametrize("left", [0.95, 0.5, 0.1])
@pytest.mark.parametrize("form", ["mp4", "matroska", "avi"])
def test_refuses_what_is_cut_short(tmp_path, form, left):
    with av.open(str(tmp_path / "a"), "w", format=form) as container:
        stream = container.add_stream("mpeg4", rate=8, width=32, height=32, pix_fmt="yuv420p")
        shown = [av.VideoFrame.from_ndarray(each, "rgb24") for each in film()]
        for packet in [packet for each in (*shown, None) for packet in stream.encode(each)]:
            container.mux(packet)
    data = (tmp_path / "a").read_bytes()
    assert len(list(frames(tmp_path / "a"))) == 24
    (tmp_path / "a").write_bytes(data[: int(len(data) * left)])
    for read in (get("video").check, read_image, inspect_video, video_info):
        with pytest.raises(A2IBenchError, match=r"truncated|can't be read"):
            read(tmp_path / "a")


def test_a_name_that_is_no_utf8_keeps_nobody_from_reading(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w", format="matroska") as container:
        container.metadata["title"] = "a title of a video"
        stream = container.add_stream("mpeg4", rate=8, width=32, height=32, pix_fmt="yuv420p")
        shown = [av.VideoFrame.from_ndarray(each, "rgb24") for each in film()]
        for packet in [packet for each in (*shown, None) for packet in stream.encode(each)]:
            container.mux(packet)
    data = (tmp_path / "a.mkv").read_bytes()
    assert b"a title of a video" in data
    (tmp_path / "a.mkv").write_bytes(data.replace(b"a title of a video", b"\xff\xfe\xe9 \x1b[31m\xc3 a video!!"[:18]))
    assert len(list(frames(tmp_path / "a.mkv"))) == 24


@pytest.mark.parametrize("name", ["audio", "image", "video"])
def test_a_codec_that_nobody_knows_is_said(clip, name):
    data = clip.read_bytes()
    for known in (b"mp4a", b"esds", b"avc1", b"mp4v"):
        data = data.replace(known, b"zzzz")
    clip.write_bytes(data)
    with pytest.raises(A2IBenchError, match=r"no decoder|can't be read|has no"):
        get(name).check(clip)


def test_refuses_blank_videos(tmp_path):
    write_video(tmp_path / "a.mp4", np.full((8, 32, 32, 3), 128, np.uint8), 8)
    with pytest.raises(A2IBenchError, match="blank"):
        inspect_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((2, 9, 8, 3), np.uint8), np.zeros(5, np.uint8)],
)
def test_refuses_to_write_what_is_no_video(tmp_path, pixels):
    with pytest.raises(A2IBenchError, match="can't be written"):
        write_video(tmp_path / "a.mp4", pixels, 8)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------- pictures that are damaged


def noise(form, **options):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_outputs_cut_short_anywhere_are_refused_in_a_sentence(tmp_path, form):
    data = noise(form)
    for length in {*range(1, 64), *range(64, len(data) - 16, 97)}:
        (tmp_path / "a").write_bytes(data[:length])
        for read in (inspect_image, read_image):
            with pytest.raises(A2IBenchError):
                read(tmp_path / "a")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_damaged_pictures_are_read_or_refused_and_nothing_else(tmp_path, form):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = noise(form)
    random = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(data)
        near = min(len(data), 400 if random.random() < 0.7 else len(data))
        one, two = random.integers(0, near, 2)
        damaged[one], damaged[two] = damaged[two], damaged[one]
        damaged[int(random.integers(0, near))] = int(random.integers(0, 256))
        (tmp_path / "a").write_bytes(damaged)
        with suppress(A2IBenchError):
            read_image(tmp_path / "a")


# --------------------------------------------------------------------------------------------------- media


def test_every_medium_says_what_it_is():
    assert list(MEDIA) == ["image", "audio", "video", "text"]
    for name, medium in MEDIA.items():
        assert medium.name == name
        assert medium.noun.split()[0] in ("a", "an")
        assert all(suffix.startswith(".") for suffix in medium.suffixes)
        assert "<script" not in medium.element('"><script>', '"><script>')
        assert "&quot;" in medium.element('"', "x")
    with pytest.raises(A2IBenchError, match="did you mean 'video'"):
        get("vidio")


def test_texts_are_read_checked_and_drawn(tmp_path):
    text = get("text")
    text.write(tmp_path / "a.txt", "\ufeffTwo frogs croak,\nthen a bell rings. ")
    assert text.read(tmp_path / "a.txt") == "Two frogs croak,\nthen a bell rings."
    (tmp_path / "b.txt").write_text("Two frogs  croak, then a bell rings.")
    assert text.inspect(tmp_path / "a.txt") == text.inspect(tmp_path / "b.txt")
    assert text.tile(tmp_path / "a.txt").getcolors(1) is None
    for data in (b"", b" \n", b"\xff\xfe", b"\x1b[31m", b"x" * 70_000):
        (tmp_path / "c.txt").write_bytes(data)
        with pytest.raises(A2IBenchError, match=r"c\.txt"):
            text.check(tmp_path / "c.txt")
