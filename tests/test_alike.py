"""Outputs that repeat, copy references or are stored otherwise, and clips alike: counted, noted, never refused."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from made import clip_of
from PIL import Image
from pydantic import ValidationError

from a2ibench.board.card import MethodCard
from a2ibench.board.outputs import read_outputs
from a2ibench.board.submit import submit
from a2ibench.board.verify import verify
from a2ibench.clips import ClipSet, load_clips
from a2ibench.progress import silent
from a2ibench.results import Result, Seen
from a2ibench.scoring.alike import alike, clip_notes, look, seen
from a2ibench.scoring.scorer import Scorer
from a2ibench.show.board import write_board
from a2ibench.suites import load_suite
from a2ibench.tasks import get as get_task

TASK = get_task("audio-to-image")


def picture(seed, side=64):
    """A smooth picture with structure, as a photo has."""
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path):
    """Ten pictures, each of its own."""
    files = [tmp_path / f"{seed}.png" for seed in range(10)]
    for seed, file in enumerate(files):
        picture(seed).save(file)
    return files


@pytest.fixture(scope="module")
def suite(tiny_suite):
    return load_suite(str(tiny_suite))


def looks(*files):
    return [look(file, "image") for file in files]


# ------------------------------------------------------------------------------------------------ alike


def _changed(image, how, folder):
    file = folder / f"{how}.img"
    if how == "JPEG":
        image.save(file, "JPEG", quality=60)
    elif how == "small":
        image.resize((33, 47)).save(file, "PNG")
    elif how == "one pixel":
        image = image.copy()
        image.putpixel((3, 4), (0, 0, 0))
        image.save(file, "PNG")
    elif how == "a level brighter":
        image.point(lambda level: min(255, level + 1)).save(file, "PNG")
    else:
        image.save(file, "WEBP", lossless=True)
    return file


@pytest.mark.parametrize("how", ["JPEG", "small", "one pixel", "a level brighter", "WebP"])
def test_a_copy_is_known_however_it_is_stored(pictures, tmp_path, how):
    copy = _changed(picture(3), how, tmp_path)
    assert alike(looks(copy), looks(*pictures)).tolist() == [True]
    assert alike(looks(copy), looks(*pictures[:3], *pictures[4:])).tolist() == [False]
    found = alike(looks(*pictures, copy))
    assert np.flatnonzero(found).tolist() == [3, 10], "both of the pair, and no other"


def test_different_pictures_are_not_alike(pictures, tmp_path):
    assert not alike(looks(*pictures)).any()
    for seed in range(6):  # noise, whose thumbnails are all nearly grey; and pictures that are nearly black
        noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"noise{seed}.png")
        picture(seed).point(lambda level: level // 40).save(tmp_path / f"dark{seed}.png")
    for name in ("noise", "dark"):
        assert not alike(looks(*(tmp_path / f"{name}{seed}.png" for seed in range(6)))).any(), name


def test_blocks_change_nothing(pictures, monkeypatch):
    pairs = looks(*pictures, *pictures[2:5])
    whole = alike(pairs), alike(pairs, pairs[:4])
    monkeypatch.setattr("a2ibench.scoring.alike._BLOCK", 3)
    assert (alike(pairs) == whole[0]).all()
    assert (alike(pairs, pairs[:4]) == whole[1]).all()
    assert alike([]).tolist() == []
    assert alike(pairs[:2], []).tolist() == [False, False]


def test_no_two_references_of_mini_are_alike():
    from a2ibench.suites import load_suite

    assert clip_notes(load_suite("mini").clips(), TASK) == []


def test_clips_that_share_a_sound_or_a_picture_are_noted(own_clips):
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/bell-1.wav").read_bytes())
    Image.open(own_clips / "image/rain-0.png").save(own_clips / "image/dog-1.png", compress_level=0)
    sounds, images = clip_notes(load_clips(own_clips), TASK)
    assert "2 of 8 clips have the same audio as another clip" in sounds
    assert "('bell-1', 'dog-0')" in sounds
    assert "2 of 8 clips have the same image" in images
    assert "('dog-1', 'rain-0')" in images


# ------------------------------------------------------------------------------------------------ counted


def outputs_of(folder, files):
    """Clips whose references are apart from these outputs."""
    clips = ClipSet([clip_of(f"c{i}", folder, folder / f"{9 - i}.png", "x") for i in range(len(files))], "made")
    return {f"c{i}": [file] for i, file in enumerate(files)}, clips


def test_distinct_outputs_are_counted_and_noted(pictures, tmp_path):
    outputs, clips = outputs_of(tmp_path, [pictures[0], pictures[1], pictures[0], pictures[0]])
    found, notes = seen(outputs, clips, TASK)
    assert found == Seen(n=4, distinct=2, copies=0, formats={"PNG": 4}, sizes={"64 x 64": 4})
    (note,) = notes
    assert note.startswith("Only 2 of 4 images are distinct, the others are the same again")
    outputs, clips = outputs_of(tmp_path, pictures[:4])
    assert seen(outputs, clips, TASK)[1] == []


def test_copies_are_counted_and_noted(pictures, tmp_path):
    outputs, clips = outputs_of(tmp_path, [pictures[0], pictures[9], pictures[8]])
    found, notes = seen(outputs, clips, TASK)
    assert (found.distinct, found.copies) == (3, 2)
    assert notes[0].startswith("2 of 3 images are equal, or all but equal, to a reference of these clips")


def test_formats_sizes_and_shapes_are_compared(pictures, tmp_path):
    picture(0).save(tmp_path / "a.jpg")
    picture(1, 32).resize((64, 32)).save(tmp_path / "b.png")
    outputs, clips = outputs_of(tmp_path, [tmp_path / "a.jpg", tmp_path / "b.png"])
    found, notes = seen(outputs, clips, TASK)
    assert found.formats == {"JPEG": 1, "PNG": 1}
    assert found.sizes == {"64 x 32": 1, "64 x 64": 1}
    assert notes == [
        "The outputs are stored as JPEG (1), PNG (1), the references as PNG: FID and KID measure the compression too.",
        "The outputs have 64 x 32 (1), 64 x 64 (1) pixels, the references 64 x 64: FID and KID measure the scaling and "
        "the other shapes too.",
    ]


def test_many_sizes_are_counted_together(tmp_path):
    files = []
    for side in range(40):
        picture(side, 20 + side).save(tmp_path / f"s{side}.png")
        files.append(tmp_path / f"s{side}.png")
    clips = ClipSet([clip_of(f"c{i:02}", tmp_path, files[0], "x") for i in range(40)], "made")
    found, _ = seen({f"c{i:02}": [file] for i, file in enumerate(files)}, clips, TASK)
    assert len(found.sizes) == 21
    assert found.sizes["others"] == 20
    assert sum(found.sizes.values()) == 40


@pytest.mark.parametrize(
    "fields",
    [
        {"distinct": 5},
        {"copies": 5},
        {"distinct": 0},
        {"formats": {"PNG": 9}},
        {"formats": {"PNG": 0}},
        {"sizes": {"x" * 51: 1}},
        {"sizes": {str(i): 1 for i in range(22)}},
        {"n": 0},
        {"more": 1},
    ],
    ids=str,
)
def test_counts_that_are_none(fields):
    with pytest.raises(ValidationError):
        Seen(**({"n": 4, "distinct": 4, "copies": 0} | fields))


# ------------------------------------------------------------------------------------- on a board, and verified


def one_per_class(folder, clips):
    """What a method makes that hears only the class: the same picture for all clips of a label."""
    folder.mkdir()
    for clip in clips:
        picture(sorted(set(clips.labels)).index(clip.label)).save(folder / f"{clip.clip_id}.png")
    return folder


def put(suite, folder, board, name):
    clips = suite.clips()
    with read_outputs(folder, clips) as given:
        return submit(given, MethodCard(name=name), Scorer(suite, clips), board)


def test_an_honest_method_of_one_picture_per_class(run_cli, tiny_suite, suite, tmp_path):
    folder = one_per_class(tmp_path / "per-class", suite.clips())
    outcome = run_cli("submit", folder, "--suite", tiny_suite, "--name", "per class")
    assert outcome.code == 0, outcome.err
    row = tmp_path / "leaderboards/tiny/per-class"
    result = Result.load(row / "result.json")
    assert (result.outputs.n, result.outputs.distinct, result.outputs.copies) == (8, 3, 0)
    assert {score.metric for score in result.scores} >= {"AIS", "IIS", "FID"}
    for page in ("README.md", "index.html"):
        assert "Only 3 of 8 images are distinct" in (row.parent / page).read_text(), page
    outcome = run_cli("verify", row, "--suite", tiny_suite, "--outputs", folder)
    assert outcome.code == 0, outcome.out
    assert "is re-scored" in outcome.out


def test_a_method_that_has_collapsed(run_cli, tiny_suite, suite, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    for clip_id in suite.clips().ids:
        picture(1).save(folder / f"{clip_id}.png")
    outcome = run_cli("eval", "--outputs", folder, "--suite", tiny_suite, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    scores = {score["metric"]: score["value"] for score in told["scores"]}
    assert told["outputs"]["distinct"] == 1
    assert np.isfinite(list(scores.values())).all()
    assert 0 <= scores["AIS"] <= 100
    assert scores["FID"] > 0


def test_a_submission_that_copies_the_references(suite, clip_folder, tmp_path):
    copied = tmp_path / "copied"
    copied.mkdir()
    for clip in suite.clips():
        Image.open(clip.file("image")).save(copied / f"{clip.clip_id}.jpg", quality=90)
    board = tmp_path / "board"
    done = put(suite, copied, board, "too good")
    assert done.result.outputs.copies == 8
    write_board(board)
    for page in ("README.md", "index.html"):
        assert "8 of 8 images are equal, or all but equal, to a reference" in (board / page).read_text(), page
    found = verify(done.folder, suite, suite.clips(), outputs=copied, stage=silent)
    assert found.state == "re-scored"
    assert any("8 of 8 outputs are equal, or all but equal, to a reference" in note for note in found.notes)


@pytest.mark.parametrize("field", ["notes", "outputs"])
def test_what_was_counted_can_not_be_left_out(suite, tmp_path, field):
    folder = one_per_class(tmp_path / "per-class", suite.clips())
    done = put(suite, folder, tmp_path / "board", "per class")
    file = done.folder / "result.json"
    told = json.loads(file.read_text())
    told[field] = None if field == "outputs" else [note for note in told["notes"] if "distinct" not in note]
    file.write_text(json.dumps(told))
    found = verify(done.folder, suite, suite.clips(), outputs=folder, stage=silent)
    assert f"'{field}' in result.json is not what the images give." in found.problems


def test_one_name_twice_in_an_archive_is_refused(run_cli, tiny_suite, noise, tmp_path):
    shutil.make_archive(str(tmp_path / "twice"), "zip", noise)
    content = io.BytesIO((noise / "dog-0.png").read_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "twice.zip", "a") as archive:
        archive.writestr("dog-0.png", content.getvalue())
    sentence = run_cli("submit", "twice.zip", "--suite", tiny_suite, "--name", "x").sentence
    assert "holds the entry 'dog-0.png' twice; keep one" in sentence
