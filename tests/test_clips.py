"""Clips: every bad input is refused with its file and its line; every good one is read alike."""

import io
import os
import shutil
import struct
import warnings
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from made import clip_of
from PIL import Image

from a2ibench.clips import ClipSet, check_media, load_clips, read_audio, read_image, to_rgb
from a2ibench.errors import A2IBenchError

RATE = 16_000
HEADER = "clip_id,audio,image,label\n"
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real-a2i"


def tone(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def manifest(tmp_path):
    def write(text, **how):
        (tmp_path / "clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_clips(tmp_path, **how)

    return write


@pytest.fixture
def sound(tmp_path):
    def write(samples, name="a.wav", rate=RATE, **how):
        soundfile.write(tmp_path / name, samples, rate, **how)
        return tmp_path / name

    return write


@pytest.fixture
def picture(tmp_path):
    def write(image, name="a.png", **how):
        image.save(tmp_path / name, **how)
        return tmp_path / name

    return write


# ------------------------------------------------------------------------------------------------ manifests


def test_reads_a_manifest_in_the_order_of_the_ids(manifest, tmp_path):
    clips = manifest(HEADER + 'b,s/b.wav,i/b.png,"bird chirping, tweeting"\na,s/a.wav,i/a.png, dog \n')
    assert clips.ids == ("a", "b")
    assert clips.labels == ("dog", "bird chirping, tweeting")
    assert clips[1] == clip_of("b", tmp_path / "s/b.wav", tmp_path / "i/b.png", "bird chirping, tweeting")
    assert clips.name == tmp_path.name
    assert clips[:1].ids == ("a",)
    assert isinstance(clips[:1], ClipSet)
    assert [clip.clip_id for clip in clips] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + HEADER.encode() + b"a,x.wav,x.png,dog\n",
        b"clip_id,audio,image,label\r\na,x.wav,x.png,dog\r\n",
        b"clip_id,audio,image,label\ra,x.wav,x.png,dog",
        b"\xef\xbb\xbfclip_id,audio,image,label\r\n\r\na,x.wav,x.png,dog\r\n\r\n",
        b"label,note,clip_id,image,audio\ndog,anything,a,x.png,x.wav\n",
        b" clip_id , audio, image, label\na, x.wav, x.png, dog\n",
        b"\xef\xbb\xbfclip_id;audio;image;label\r\na;x.wav;x.png;dog\r\n",
        b"clip_id\taudio\timage\tlabel\na\tx.wav\tx.png\tdog\n",
        b"sep=;\r\nclip_id;audio;image;label\r\na;x.wav;x.png;dog\r\n",
        b"Clip_ID,Audio,IMAGE,Label\na,x.wav,x.png,dog\n",
        b"Clip ID;audio;image;label\na;x.wav;x.png;dog\n",
        b'"ClipId","audio","image","label"\n"a","x.wav","x.png","dog"\n',
        b"clip_id,audio,image,label,,\na,x.wav,x.png,dog,,\n,,,,,\n",
        b"clip_id,audio,image,label,Label\na,x.wav,x.png,dog,another\n",
        b"clip_id,audio,image,label\na,s\\x.wav,i\\x.png,dog\n",
        b"clip_id,audio,image,label\na,.\\s\\x.wav,./i/x.png,dog\n",
        "clip_id;audio;image;label\na;x.wav;x.png;dog\n".encode("utf-16"),
    ],
)
def test_reads_what_spreadsheets_write(manifest, text):
    clip = manifest(text, name="mine")[0]
    assert (clip.clip_id, clip.file("audio").name, clip.file("image").name, clip.label) == (
        "a",
        "x.wav",
        "x.png",
        "dog",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("name\n1\n", "lacks the columns clip_id, audio, image, label; found: name"),
        ("clip_id,audio,image\na,b,c\n", "lacks the column label; found: clip_id, audio, image"),
        ("clip_id;audio;image\na;b;c\n", "lacks the column label; found: clip_id, audio, image"),
        ("clip_id,audio,image,label,label\na,b,c,d,e\n", "column label twice"),
        ("clip_id,audio,image,Label,LABEL\na,b,c,d,e\n", "column label twice"),
        (HEADER, "has a header and no rows"),
        (HEADER + "\n\n", "has a header and no rows"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "has a header and no rows"),
        (HEADER.encode() + b"a,b,c,caf\xe9\n", "no text in UTF-8"),
        (HEADER + 'a,b,c,"open', "line 2: this is no CSV"),
        (HEADER + "a,b,c," + "x" * 200_000, "line 2: this is no CSV"),
        (HEADER + "a,b,c,bird chirping, tweeting\n", "line 2: the row has 5 fields and the header 4"),
        (HEADER + "a,b,c\n", "line 2: the row has 3 fields and the header 4"),
        (HEADER + 'a,b,c,"dog\nb,b,c,cat"\n', "line break"),
        (HEADER + "a,b,c, \n", "line 2: the label is empty"),
        (HEADER + "a,b,c,d\n\n\na,b,c,d\n", "line 5: the clip id 'a' stands in line 2 already"),
        (HEADER + "Dog,b,c,d\ndog,b,c,d\n", "line 3: the clip id 'dog' stands in line 2 already"),
    ],
)
def test_refuses_a_bad_manifest(manifest, text, says):
    with pytest.raises(A2IBenchError, match=says) as caught:
        manifest(text)
    assert "clips.csv" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "header",
    ["clip_id,audio,image,\x1b[31mlabel", "a\0b,c", "\x1b]0;title\x07", "clip_id,\u202eaudio,image", "a\x9b2J,b"],
)
def test_no_message_holds_what_a_terminal_acts_upon(tmp_path, header):
    folder = tmp_path / "\x1b[2J"
    folder.mkdir()
    with pytest.raises(A2IBenchError) as caught:
        load_clips(folder)
    assert str(caught.value).isprintable()
    for row in ("a,b,c,d", "\x1b[31m,b,c,d", "a,b,c,\x1b[31m", "a,\x1b[31m,c,d", "a,/\x1b[31m,c,d"):
        for first in (header, HEADER.strip()):
            (folder / "clips.csv").write_text(f"{first}\n{row}\n\x07{row},e\n")
            with pytest.raises(A2IBenchError) as caught:
                load_clips(folder)
            assert str(caught.value).isprintable()


@pytest.mark.parametrize("clip_id", ["../x", "a/b", "a\\b", ".hidden", "..", "", " ", "x" * 129, "a b", "ä", "a\x1bb"])
def test_refuses_unsafe_ids(manifest, clip_id):
    with pytest.raises(A2IBenchError, match=r"line 2: the clip id .* is not safe"):
        manifest(f"{HEADER}{clip_id},b,c,d\n")


def test_takes_the_ids_of_common_data_sets(manifest):
    ids = ("-0jeONf82dE_21", "1-13572-A-46", "a.b", "x" * 128, "007", "7", "1e5", "--", "-", "_")
    for delimiter in ",;\t":
        text = HEADER.replace(",", delimiter)
        text += "".join(f'{clip_id},b.wav,c.png,"bird chirping, tweeting"\n'.replace(",", delimiter) for clip_id in ids)
        clips = manifest(text if delimiter == "," else text.replace(f"chirping{delimiter}", "chirping,"))
        assert set(clips.ids) == set(ids)
        assert set(clips.labels) == {"bird chirping, tweeting"}


def test_labels_with_commas_need_no_quotes_between_semicolons(manifest):
    clips = manifest("clip_id;audio;image;label\n007;s/a.wav;i/a.png;bird chirping, tweeting\n8;b;c;dog\n")
    assert clips.ids == ("007", "8")
    assert clips.labels == ("bird chirping, tweeting", "dog")


def test_a_backslash_that_can_be_read_in_two_ways_is_refused(manifest, tmp_path):
    text = HEADER + "a,s\\x.wav,x.png,dog\n"
    assert manifest(text)[0].file("audio") == tmp_path / "s" / "x.wav"
    if os.sep == "/":
        (tmp_path / "s\\x.wav").touch()
        with pytest.raises(A2IBenchError, match=r"line 2: the audio path .* may name a file with a backslash"):
            manifest(text)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x.wav", "a/../../x", "", "C:/x.wav", "C:x", "C:\\x.wav", "..\\x.wav", "\\\\host\\x", "\\x"],
)
@pytest.mark.parametrize("column", ["audio", "image"])
def test_refuses_paths_that_leave_the_folder(manifest, path, column):
    row = {"audio": "a.wav", "image": "a.png", column: path}
    with pytest.raises(A2IBenchError, match=f"line 2: the {column} path .* leaves the folder"):
        manifest(f"{HEADER}a,{row['audio']},{row['image']},d\n")


def test_missing_or_unreadable_manifest(tmp_path, monkeypatch):
    with pytest.raises(A2IBenchError, match=r"There is no .*clips\.csv"):
        load_clips(tmp_path)
    (tmp_path / "clips.csv").mkdir()
    with pytest.raises(A2IBenchError, match=r"There is no .*clips\.csv"):
        load_clips(tmp_path)
    (tmp_path / "clips.csv").rmdir()
    (tmp_path / "clips.csv").write_text(HEADER)

    def refused(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(A2IBenchError, match=r"can't be read \(Permission denied\)"):
        load_clips(tmp_path)


# -------------------------------------------------------------------------------------------- digest, spread


def test_digest_knows_contents_and_nothing_else(tmp_path):
    def clips(order, folder, suffix, frog=b"frog"):
        folder.mkdir()
        made = []
        for name in order:
            (folder / f"{name}{suffix}").write_bytes(frog if name == "frog" else name.encode())
            made.append(clip_of(name, folder / f"{name}{suffix}", folder / f"{name}{suffix}", f"{name} calling"))
        return made

    one = clips(["dog", "frog", "owl"], tmp_path / "1", ".wav")
    two = clips(["owl", "dog", "frog"], tmp_path / "2", ".flac")
    digest = ClipSet(one, "one").digest
    assert digest == ClipSet(two, "two").digest
    assert len(digest) == 64
    other = clips(["dog", "frog", "owl"], tmp_path / "3", ".wav", frog=b"toad")
    assert ClipSet(other, "one").digest != digest
    assert ClipSet(one[:2], "one").digest != digest
    swapped = [clip_of(one[0].clip_id, one[0].file("audio"), one[1].file("image"), one[0].label), *one[1:]]
    assert ClipSet(swapped, "one").digest != digest
    renamed = [clip_of(one[0].clip_id, one[0].file("audio"), one[0].file("image"), "other"), *one[1:]]
    assert ClipSet(renamed, "one").digest != digest


def test_spread_takes_all_labels_in_turn():
    at = Path("x")
    labels = {"a": "dog", "b": "dog", "c": "dog", "d": "dog", "e": "frog", "f": "frog", "g": "owl"}
    clips = ClipSet([clip_of(name, at, at, label) for name, label in labels.items()], "x")
    assert clips.spread(3).ids == ("a", "e", "g")
    assert clips.spread(5).ids == ("a", "b", "e", "f", "g")
    assert clips.spread(99).ids == clips.ids
    assert clips.spread(0).ids == ()
    backwards = ClipSet(list(clips)[::-1], "x")
    assert backwards.spread(4).ids == clips.spread(4).ids
    assert ClipSet([], "x").spread(3).ids == ()


# ---------------------------------------------------------------------------------------------------- audio


@pytest.mark.parametrize(
    ("name", "subtype", "close"),
    [
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "PCM_U8", 0.01),
        ("a.flac", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.05),
        ("a.mp3", None, 0.05),
        ("a.aiff", "PCM_16", 1e-4),
    ],
)
def test_reads_the_usual_formats(sound, name, subtype, close):
    wave = tone()
    found = read_audio(sound(wave, name, subtype=subtype), RATE)
    assert found.dtype == np.float32
    assert found.shape == wave.shape
    assert np.abs(found - wave)[200:-200].max() <= close


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resamples(sound, rate):
    found = read_audio(sound(tone(1.0, rate), rate=rate), RATE)
    assert abs(len(found) - RATE) <= 1
    middle = slice(2000, 14_000)
    assert np.abs(found[middle] - tone()[middle]).max() < 0.01


def test_mixes_down(sound):
    one, two = tone(), tone(hertz=1000.0)
    found = read_audio(sound(np.stack([one, two], axis=1), subtype="FLOAT"), RATE)
    np.testing.assert_allclose(found, (one + two) / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("wave", "says"),
    [
        (tone(0.09), r"lasts 0\.090 s; at least 0\.1 s"),
        (tone(0), r"lasts 0\.000 s"),
        (np.zeros(RATE, np.float32), "is silent"),
        (np.stack([tone(), -tone()], axis=1), "is silent"),
        (np.where(np.arange(RATE) == 9, np.nan, tone()).astype(np.float32), "not numbers"),
        (np.where(np.arange(RATE) == 9, np.inf, tone()).astype(np.float32), "not numbers"),
    ],
)
def test_refuses_bad_sounds(sound, wave, says):
    with pytest.raises(A2IBenchError, match=says) as caught:
        read_audio(sound(wave, subtype="FLOAT"), RATE)
    assert "a.wav" in str(caught.value)


def test_a_tenth_of_a_second_is_enough(sound):
    assert len(read_audio(sound(tone(0.1)), RATE)) == 1600


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("left", [0.9, 0.5, 0.1])
def test_refuses_truncated_sounds(sound, name, left):
    wave = tone(3) + np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    path = sound(wave, name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(A2IBenchError, match=name):
        read_audio(path, RATE)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.raw", "a.txt", "a", "a.mp4", "a.webm"])
@pytest.mark.parametrize("data", [b"", b"x", b"not audio at all " * 40, b"RIFF\0\0\0\0WAVE", b"OggS\0\2", b"\0" * 500])
def test_refuses_what_is_no_audio(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(A2IBenchError) as caught:
        read_audio(tmp_path / name, RATE)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_missing_files_folders_and_endless_names(tmp_path):
    for path in (tmp_path / "no.wav", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(A2IBenchError, match="does not exist"):
            read_audio(path, RATE)
        with pytest.raises(A2IBenchError, match="does not exist"):
            read_image(path)
    with pytest.raises(A2IBenchError, match="can't be read"):
        read_audio(tmp_path / ("x" * 300), RATE)


def test_reads_a_wav_that_was_written_to_a_pipe(sound):
    # ffmpeg and sox can't go back to write the length, and leave the largest number.
    path = sound(tone())
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = b"\xff" * 4
    path.write_bytes(data)
    assert len(read_audio(path, RATE)) == RATE


def test_reads_a_wav_with_chunks_around_its_data(sound):
    path = sound(tone())
    data = path.read_bytes()
    odd = b"junk" + struct.pack("<I", 3) + b"abc\0"
    body = data[:36] + odd + data[36:] + odd
    path.write_bytes(body[:4] + struct.pack("<I", len(body) - 8) + body[8:])
    assert len(read_audio(path, RATE)) == RATE


def test_reads_an_mp3_without_a_table_of_contents(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        for packet in encode_sound(container, "libmp3lame", tone(3, 44_100), 44_100, "s16p"):
            container.mux(packet)
    assert abs(len(read_audio(path, RATE)) - 3 * RATE) < 0.2 * RATE


def test_refuses_sounds_of_more_than_ten_minutes(sound):
    wave = np.tile(tone(1, 1000, 100.0), 601)
    with pytest.raises(A2IBenchError, match="more than 600 s"):
        read_audio(sound(wave, "a.flac", rate=1000, subtype="PCM_16"), RATE)


def test_a_header_that_claims_hours_costs_no_memory(sound):
    path = sound(tone(), "a.flac")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # STREAMINFO: the 36 bits of the number of samples
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(A2IBenchError, match=r"a\.flac"):
        read_audio(path, RATE)


# --------------------------------------------------------------------------------------------------- videos


def encode_sound(container, codec, wave, rate, form):
    stream = container.add_stream(codec, rate=rate, layout="mono", format=form)
    resampler = av.AudioResampler(format=form, layout="mono", rate=rate, frame_size=stream.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    # Packets are held back: nothing may be written before the last stream is declared.
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for each in (*frames, None) for packet in stream.encode(each)]


def encode_pictures(container, colours):
    stream = container.add_stream("mpeg4", rate=5, width=32, height=16, pix_fmt="yuv420p")
    frames = [av.VideoFrame.from_image(Image.new("RGB", (32, 16), colour)) for colour in colours]
    return [packet for each in (*frames, None) for packet in stream.encode(each)]


def video(path, colours=("red", "lime", "blue"), wave=None):
    with av.open(str(path), "w") as container:
        packets = encode_pictures(container, colours) if colours else []
        packets += encode_sound(container, "aac", wave, 44_100, "fltp") if wave is not None else []
        for packet in packets:
            container.mux(packet)
    return path


def test_reads_the_sound_and_the_middle_frame_of_a_video(tmp_path):
    path = video(tmp_path / "a.mp4", wave=tone(0.6, 44_100))
    found = read_audio(path, RATE)
    assert found.dtype == np.float32
    assert abs(len(found) - 0.6 * RATE) < 0.1 * RATE
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    assert abs(spectrum.argmax() * RATE / len(found) - 440) < 5
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (32, 16))
    assert np.abs(np.asarray(image).astype(int) - (0, 255, 0)).max() < 12
    check_media(clip_of("a", path, path, "x"))


def test_refuses_videos_without_sound_or_picture_and_broken_ones(tmp_path):
    with pytest.raises(A2IBenchError, match="has no sound"):
        read_audio(video(tmp_path / "dumb.mp4"), RATE)
    with pytest.raises(A2IBenchError, match="has no picture"):
        read_image(video(tmp_path / "dark.mp4", (), tone(0.6, 44_100)))
    whole = video(tmp_path / "a.mp4", wave=tone(0.6, 44_100))
    whole.write_bytes(whole.read_bytes()[:-200])
    for read in (lambda path: read_audio(path, RATE), read_image):
        with pytest.raises(A2IBenchError, match=r"a\.mp4 (can't be read|is truncated)"):
            read(whole)


# --------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (100, 0), (255, 255, 255)),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
    ],
)
def test_reads_modes(picture, mode, colour, expected):
    image = read_image(picture(Image.new(mode, (3, 2), colour)))
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((1, 1)) == expected


def test_reads_palettes_with_and_without_transparency(picture):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert read_image(picture(image)).getpixel((0, 0)) == (10, 20, 30)
    assert read_image(picture(image, transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(picture(image, transparency=0)).getpixel((0, 0)) == (10, 20, 30)


def test_reads_cmyk(picture):
    image = read_image(picture(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "a.jpg"))
    assert image.mode == "RGB"
    assert max(image.getpixel((4, 4))) < 60


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("a.png", np.array([[0, 65535, 32768]], np.uint16), [0, 255, 128]),
        ("a.png", np.array([[0, 200, 257]], np.uint16), [0, 1, 1]),  # a dark image stays dark
        ("a.tiff", np.array([[0, 65535, 32768]], np.uint16), [0, 255, 128]),
        ("a.tiff", np.array([[0, 200, 255]], np.int32), [0, 200, 255]),
        ("a.tiff", np.array([[-5, 70000, 32768]], np.int32), [0, 255, 128]),
        ("a.tiff", np.array([[0, 1, 0.5]], np.float32), [0, 255, 128]),
        ("a.tiff", np.array([[0, 255, 100]], np.float32), [0, 255, 100]),
        ("a.tiff", np.array([[0, 65535, 32768]], np.float32), [0, 255, 128]),
    ],
)
def test_scales_wide_pixels_to_eight_bits(picture, name, values, expected):
    image = read_image(picture(Image.fromarray(values), name))
    assert image.mode == "RGB"
    assert np.asarray(image)[0].tolist() == [[value] * 3 for value in expected]


def test_refuses_pixels_that_are_not_numbers(picture):
    with pytest.raises(A2IBenchError, match="not numbers"):
        read_image(picture(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "a.tiff"))
    with pytest.raises(ValueError, match="not numbers"):
        to_rgb(Image.fromarray(np.full((2, 2), np.inf, np.float32)))


def test_turns_images_upright(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    image = Image.new("RGB", (16, 8), "blue")
    image.paste("red", (0, 0, 8, 8))
    found = read_image(picture(image, "a.jpg", exif=exif, quality=95))
    assert found.size == (8, 16)
    assert found.getpixel((4, 2))[0] > 200  # the left half is on top now
    assert found.getpixel((4, 13))[2] > 200


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_takes_the_first_picture_of_an_animation(picture, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    how = {"lossless": True} if name == "a.webp" else {}
    found = read_image(picture(frames[0], name, save_all=True, append_images=frames[1:], **how))
    assert found.getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tiff"])
@pytest.mark.parametrize("left", [0.9, 0.5, 0.02])
def test_refuses_truncated_images(picture, name, left):
    path = picture(Image.fromarray(noise((64, 64, 3))), name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(A2IBenchError, match=name):
        read_image(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.txt", "a", "a.mp4"])
@pytest.mark.parametrize("data", [b"", b"x", b"not an image " * 40, b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a"])
def test_refuses_what_is_no_image(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(A2IBenchError) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def png_of_size(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (12_000, 12_000), (8_001, 8_000), (2**31 - 1, 1)])
@pytest.mark.parametrize("strict", [False, True])
def test_refuses_huge_images_by_their_header(tmp_path, size, strict):
    (tmp_path / "a.png").write_bytes(png_of_size(*size))
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        with pytest.raises(A2IBenchError, match=r"too large|at most 64 million"):
            read_image(tmp_path / "a.png")


def test_reads_an_image_whatever_its_name(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(buffer, "PNG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "a.jpg").getpixel((0, 0)) == (255, 0, 0)


# ----------------------------------------------------------------------------------------------- real clips


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_reads_real_clips(tmp_path):
    clips = load_clips(REAL)
    assert len(clips) == 13
    assert len(set(clips.labels)) == 9
    for clip in clips:
        check_media(clip)
        assert read_image(REAL / "generated" / f"{clip.clip_id}.png").mode == "RGB"
    copied = shutil.copytree(REAL, tmp_path / "copy")
    assert load_clips(copied).digest == clips.digest
