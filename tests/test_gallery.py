import json
import os
from io import BytesIO

import numpy as np
import pytest
from made import renamed
from PIL import Image

from a2ibench.clips import ClipSet, load_clips
from a2ibench.media.audio import TILE_SIZE, spectrogram
from a2ibench.pictures.gallery import (
    MOST_CLIPS,
    TILE,
    Sheet,
    Sprite,
    clip_sprites,
    sample,
    sprite_of,
    write_clips,
    write_gallery,
)


def _pictures(folder, colours, size=(120, 100)):
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, colour in colours.items():
        files[name] = folder / f"{name}.png"
        Image.new("RGB", size, colour).save(files[name])
    return files


def _tile(sprite, clip_id):
    place = sprite.sheet.clips.index(clip_id)
    with Image.open(BytesIO(sprite.webp)) as image:
        width = image.width // sprite.sheet.columns
        x, y = place % sprite.sheet.columns * width, place // sprite.sheet.columns * sprite.sheet.tile
        return image.convert("RGB").crop((x, y, x + width, y + sprite.sheet.tile))


def test_every_tile_shows_its_clip(tmp_path):
    colours = {f"clip-{n:02}": (8 * n, 255 - 8 * n, 40 + (n % 5) * 40) for n in range(30)}
    sprite = sprite_of(_pictures(tmp_path, colours), "image")
    assert sprite.sheet.clips == list(colours)
    assert (sprite.sheet.tile, sprite.sheet.columns, sprite.sheet.rows) == (TILE, 16, 2)
    for clip_id, colour in colours.items():
        middle = np.asarray(_tile(sprite, clip_id))[20:-20, 20:-20].reshape(-1, 3).mean(axis=0)
        assert np.abs(middle - colour).max() < 6, clip_id


@pytest.mark.parametrize(
    ("size", "tile"), [((64, 64), 64), ((20, 300), 20), ((96, 96), 96), ((1000, 700), 96), ((16, 16), 16)]
)
def test_tiles_are_never_larger_than_the_images(tmp_path, size, tile):
    sprite = sprite_of(_pictures(tmp_path, {"a": "red", "b": "blue"}, size), "image")
    assert sprite.sheet.tile == tile
    assert Image.open(BytesIO(sprite.webp)).size == (2 * tile, tile)


def test_a_gallery_is_written_and_read(tmp_path, clip_folder):
    clips = load_clips(clip_folder)
    images = {
        clip.clip_id: [clip.file("image"), clip.file("audio")] for clip in clips
    }  # only the first of them is read
    gone = clips.ids[2]
    write_gallery(tmp_path, clips, {**images, gone: []})
    listing = json.loads((tmp_path / "gallery.json").read_text())
    assert listing.keys() == {"tile", "columns", "clips"}
    assert sorted(listing["clips"]) == sorted(set(clips.ids) - {gone})
    assert Sprite.load(tmp_path).sheet == Sheet(**listing)
    before = (tmp_path / "gallery.webp").read_bytes()
    write_gallery(tmp_path, clips, {**images, gone: []})
    assert (tmp_path / "gallery.webp").read_bytes() == before
    write_gallery(tmp_path, clips, {})  # no image at all: no old gallery may stay
    assert not list(tmp_path.iterdir())


def _many(clip_folder, count):
    few = list(load_clips(clip_folder))
    return ClipSet(
        [renamed(few[n % 8], f"c{n:04}", f"label {n % 7}") for n in range(count)],
        "many",
    )


def test_a_large_set_is_sampled_evenly_and_always_the_same(clip_folder):
    clips = _many(clip_folder, 700)
    chosen = sample(clips)
    assert len(chosen) == MOST_CLIPS
    assert chosen.ids == sample(ClipSet(list(clips)[::-1], "turned")).ids
    counts = [chosen.labels.count(label) for label in set(clips.labels)]
    assert max(counts) - min(counts) <= 1


def test_sheets_of_sounds_and_references(tmp_path, clip_folder):
    clips = load_clips(clip_folder)
    references, sounds = clip_sprites(clips)
    assert references.sheet.clips == sounds.sheet.clips == list(clips.ids)
    clip = clips[3]
    expected = spectrogram(clip.file("audio")).resize(TILE_SIZE)
    found = np.asarray(_tile(sounds, clip.clip_id), dtype=float)
    assert np.abs(found - np.asarray(expected, dtype=float)).mean() < 12
    write_clips(tmp_path, clips)
    assert Sprite.load(tmp_path, "reference").webp == references.webp
    assert Sprite.load(tmp_path, "condition").sheet == sounds.sheet


def _webp(size, kind="WEBP"):
    buffer = BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


GOOD = {"tile": 8, "columns": 2, "clips": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("listing", "picture"),
    [
        (GOOD, None),
        (None, _webp((16, 16))),
        (GOOD, b""),
        (GOOD, b"<svg onload=alert(1)>"),
        (GOOD, _webp((16, 16), "PNG")),
        (GOOD, _webp((16, 8))),
        (GOOD, _webp((17, 16))),
        (GOOD, _webp((2000, 16))),
        (GOOD, _webp((16, 16)) + bytes(5_000_000)),
        ("[" * 100_000, _webp((16, 16))),
        ({**GOOD, "tile": 0}, _webp((16, 16))),
        ({**GOOD, "tile": 1e9}, _webp((16, 16))),
        ({**GOOD, "columns": 0}, _webp((16, 16))),
        ({**GOOD, "clips": []}, _webp((16, 16))),
        ({**GOOD, "clips": ["a"] * 241}, _webp((16, 968))),
        ({**GOOD, "clips": ["a" * 129, "b", "c"]}, _webp((16, 16))),
        ({**GOOD, "clips": [1, 2, 3]}, _webp((16, 16))),
        ({**GOOD, "src": "https://example.org"}, _webp((16, 16))),
    ],
)
def test_a_strangers_sheet_is_taken_only_if_it_fits(tmp_path, listing, picture):
    if picture is not None:
        (tmp_path / "gallery.webp").write_bytes(picture)
    if listing is not None:
        (tmp_path / "gallery.json").write_text(listing if isinstance(listing, str) else json.dumps(listing))
    assert Sprite.load(tmp_path) is None


def test_a_good_sheet_is_taken(tmp_path):
    (tmp_path / "gallery.webp").write_bytes(_webp((16, 16)))
    (tmp_path / "gallery.json").write_text(json.dumps(GOOD))
    assert Sprite.load(tmp_path).sheet.clips == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["gallery.webp", "gallery.json"])
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_a_strangers_sheet_is_a_plain_file_or_not_read(tmp_path, name, put):
    test_a_good_sheet_is_taken(tmp_path)
    (tmp_path / name).unlink()
    put(tmp_path / name)
    assert Sprite.load(tmp_path) is None


def test_sheets_of_the_same_clips_are_not_made_again(tmp_path, clip_folder):
    clips = load_clips(clip_folder)
    write_clips(tmp_path, clips)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write_clips(tmp_path, clips)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    write_clips(tmp_path, ClipSet(list(clips)[1:], "fewer"))
    assert Sprite.load(tmp_path, "condition").sheet.clips == list(sample(ClipSet(list(clips)[1:], "fewer")).ids)
    (tmp_path / "reference.webp").write_bytes(b"")
    write_clips(tmp_path, clips)
    assert Sprite.load(tmp_path, "reference").sheet.clips == list(sample(clips).ids)
