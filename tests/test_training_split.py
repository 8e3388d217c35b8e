"""Outputs that copy clips of the training split: counted, noted, named by `verify`; and nothing is drawn or fetched."""

import csv
import json
import shutil
import sqlite3

import numpy as np
import pytest
from test_alike import picture

from a2ibench.board.card import MethodCard
from a2ibench.board.outputs import read_outputs
from a2ibench.board.submit import submit
from a2ibench.board.verify import verify
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.progress import silent
from a2ibench.results import Result
from a2ibench.scoring import training_split
from a2ibench.scoring.alike import look, seen
from a2ibench.scoring.scorer import Scorer
from a2ibench.scoring.training_split import TrainingSplit, of_folder, row_of, shipped
from a2ibench.show.board import write_board
from a2ibench.suites import load_suite
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.training_pictures import rows
from a2ibench.tasks import get as get_task

TASK = get_task("audio-to-image")


@pytest.fixture(scope="module")
def tiny(tiny_suite):
    return load_suite(str(tiny_suite))


@pytest.fixture
def folder(tmp_path, clip_folder):
    """Training clips: twelve pictures."""
    folder = tmp_path / "träin set"
    sound = next(path for path in sorted(clip_folder.rglob("*")) if path.suffix in (".wav", ".ogg"))
    folder.mkdir()
    shutil.copy(sound, folder / f"a{sound.suffix}")
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "audio", "image", "label"])
        for seed in range(12):
            picture(100 + seed).save(folder / f"{seed}.png")
            table.writerow([f"t{seed}", f"a{sound.suffix}", f"{seed}.png", "dog"])
    return folder


@pytest.fixture
def copying(tmp_path, tiny, folder):
    """Outputs for the tiny suite's clips: every second one is a training picture, stored as JPEG."""
    outputs = tmp_path / "fetched"
    outputs.mkdir()
    for index, clip_id in enumerate(tiny.clips().ids):
        if index % 2:
            picture(500 + index).save(outputs / f"{clip_id}.png")
        else:
            picture(100 + index).save(outputs / f"{clip_id}.jpg", quality=75)
    return outputs


# ----------------------------------------------------------------------------------------------- the mini suite


def test_the_shipped_index_is_that_of_the_training_clips():
    suite = load_suite("mini")
    split = shipped(suite)
    assert split.id.startswith(f"mini-train, n={suite.file.training['clips']}, ")
    assert np.abs(split.rows[:40].astype(int) - rows(40)).max() <= 1, "as drawn on this machine"


def test_training_pictures_are_known_and_test_references_are_none(tmp_path):
    suite = load_suite("mini")
    split, references = shipped(suite), [look(clip.file("image"), "image") for clip in suite.clips()]
    assert not split.copied(references).any()
    assert not training_split.is_near(
        training_split._levels(np.stack([row_of(each) for each in references])),
        training_split._levels(split.rows), 4.5, 0.18,
    ).any(), "with room to spare"  # fmt: skip
    stored = []
    for number, index in enumerate((0, 77, 4999)):
        image = world.render(world.draw_scene("train", index)).convert("RGB")
        image.resize((256, 256)).save(tmp_path / f"{number}.jpg", quality=75)
        stored.append(look(tmp_path / f"{number}.jpg", "image"))
    assert split.copied(stored).all()


def test_an_index_that_is_damaged_or_gone_is_said(tiny_suite, tmp_path):
    shutil.copytree(tiny_suite.parent, tmp_path / "suite")
    file = tmp_path / "suite" / tiny_suite.name
    before = load_suite(str(file))
    file.write_text('training_pictures = "train.safetensors"\n' + file.read_text())
    suite = load_suite(str(file))
    assert suite.id == before.id, "no number depends on it"
    for data in (None, b"", b"\0" * 50, b"\xff" * 50):
        if data is not None:
            (tmp_path / "suite/train.safetensors").write_bytes(data)
        with pytest.raises(A2IBenchError, match="can't be read"):
            shipped(suite)
    file.write_text(file.read_text().replace("train.safetensors", "../train.safetensors"))
    with pytest.raises(A2IBenchError, match="leaves the suite's folder"):
        load_suite(str(file))


# ------------------------------------------------------------------------------------------- a folder of one's own


def test_a_folder_is_looked_at_once(tiny, folder, fresh_cache, monkeypatch):
    first = of_folder(folder, tiny)
    assert first.rows.shape == (12, 192)
    with monkeypatch.context() as patched:
        patched.setattr(training_split, "look", lambda *_: pytest.fail("it was decoded again"))
        assert of_folder(folder, tiny).id == first.id
    picture(999).save(folder / "3.png")
    again = of_folder(folder, tiny)
    assert np.flatnonzero((again.rows != first.rows).any(axis=1)).tolist() == sorted(
        [load_clips(folder, task=TASK).ids.index("t3")]
    )


def test_a_damaged_row_of_the_cache_is_made_again(tiny, folder, fresh_cache):
    first = of_folder(folder, tiny)
    (file,) = fresh_cache.glob("features/looks*.sqlite")
    with sqlite3.connect(file) as database:
        key, row = database.execute("SELECT key, row FROM rows LIMIT 1").fetchone()
        database.execute("UPDATE rows SET row = ? WHERE key = ?", (row[:-1] + bytes([row[-1] ^ 64]), key))
    assert of_folder(folder, tiny).id == first.id


def test_copies_are_counted_and_noted(tiny, folder, copying, fresh_cache):
    split, clips = of_folder(folder, tiny), tiny.clips()
    given = {path.stem: [path] for path in copying.iterdir()}
    found, notes = seen(given, clips, TASK, split)
    assert (found.training_copies, found.training) == (-(-len(clips) // 2), split.id)
    assert [note for note in notes if "training split" in note and "fetched, not made" in note]
    assert split.copied([look(folder / "0.png", "image")]).tolist() == [True]
    unknown, notes = seen(given, clips, TASK)
    assert (unknown.training_copies, unknown.training) == (0, "")
    assert not [note for note in notes if "training" in note]


def test_many_training_clips_are_compared_in_parts(monkeypatch):
    from a2ibench.scoring import alike

    rng = np.random.default_rng(0)
    split = TrainingSplit("x", rng.integers(0, 256, (50, 192), dtype=np.uint8))
    whole = alike.is_near(training_split._levels(split.rows), None, 90.0, 9.0)
    monkeypatch.setattr(alike, "_OTHERS", 7)
    monkeypatch.setattr(alike, "_BLOCK", 11)
    assert np.array_equal(alike.is_near(training_split._levels(split.rows), None, 90.0, 9.0), whole)
    looks = [alike.Look("0" * 64, thumb=training_split._levels(row)) for row in split.rows[[3, 41]]]
    assert split.copied(looks).all()


def test_other_media_are_known_by_their_content(tmp_path):
    digests = [f"{index:064x}" for index in range(5)]
    from a2ibench.scoring.alike import Look

    split = TrainingSplit("x", np.stack([row_of(Look(digest)) for digest in digests[:3]]))
    assert split.copied([Look(digest) for digest in digests]).tolist() == [True] * 3 + [False] * 2
    image = tmp_path / "a.png"
    picture(1).save(image)
    assert split.copied([look(image, "image")]).tolist() == [False]
    assert split.copied([]).tolist() == []


# -------------------------------------------------------------------------------------- results, boards, verify


def test_board_and_verify_name_them(tiny, folder, copying, fresh_cache, tmp_path):
    clips, board = tiny.clips(), tmp_path / "board"
    scorer = Scorer(tiny, clips, training=folder)
    with read_outputs(copying, clips) as given:
        done = submit(given, MethodCard(name="fetcher"), scorer, board)
    count = done.result.outputs.training_copies
    assert count == -(-len(clips) // 2)
    write_board(board, clips=clips)
    mark = f"{count} of {len(clips)} images are equal, or all but equal, to one of the training split"
    assert mark in (board / "README.md").read_text()
    assert mark in (board / "index.html").read_text()
    same = verify(done.folder, tiny, clips, outputs=copying, training=folder, stage=silent)
    assert not same.problems
    assert any("training split" in note for note in same.notes)
    other = verify(done.folder, tiny, clips, outputs=copying, stage=silent)
    assert not other.problems, "who does not have the training clips can verify all the rest"
    told = json.loads((done.folder / "result.json").read_text())
    told["outputs"]["training_copies"] = 0
    Result.model_validate(told).save(done.folder / "result.json")
    assert verify(done.folder, tiny, clips, outputs=copying, training=folder, stage=silent).problems


def test_the_command(run_cli, tiny_suite, folder, copying, fresh_cache, tmp_path):
    base = ("eval", "--outputs", copying, "--suite", tiny_suite, "--metric", "IIS", "--out", tmp_path / "out")
    assert "training split (träin set, n=12, " in run_cli(*base, "--training", folder).out
    assert "a data folder needs a clips.csv" in run_cli(*base, "--training", tmp_path).sentence
    assert "training" not in run_cli(*base).out


def test_a_result_cant_have_more_copies_than_outputs():
    from pydantic import ValidationError

    from a2ibench.results import Seen

    assert Seen(n=2, distinct=1, copies=0).training_copies == 0
    with pytest.raises(ValidationError):
        Seen(n=2, distinct=1, copies=0, training_copies=3)
