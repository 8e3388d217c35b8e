"""Verifying a row: what holds lifts its state, and any changed digit, image or clip list is named."""

import json
import os
import shutil
from hashlib import sha256

import pytest
from noise import draw_noise
from PIL import Image

from a2ibench.board.load import load_board
from a2ibench.board.rows import read_hashes, write_hashes
from a2ibench.board.submit import write_pictures
from a2ibench.board.verify import STATES, is_of_own_data, state_of, verify
from a2ibench.errors import A2IBenchError
from a2ibench.progress import silent
from a2ibench.results import Result
from a2ibench.suites import load_suite
from a2ibench.tasks import get as get_task

TASK = get_task("audio-to-image")


@pytest.fixture(scope="module")
def suite(tiny_suite):
    return load_suite(str(tiny_suite))


@pytest.fixture
def row(own_boards):
    return own_boards / "tiny/noise"


@pytest.fixture
def check(run_cli, tiny_suite, row):
    """Verify the row; gives the outcome."""
    return lambda *arguments: run_cli("verify", row, "--suite", tiny_suite, *arguments)


@pytest.fixture
def own_noise(noise, tmp_path):
    return shutil.copytree(noise, tmp_path / "own-noise")


def edit(file, change):
    """Change a JSON file in place."""
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def swap(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


# ---------------------------------------------------------------------------------------------- what holds


def test_states_rise_with_what_is_at_hand(check, row, noise):
    assert state_of(row) == "self-reported"
    outcome = check()
    assert outcome.code == 0, outcome.err
    assert "give --outputs" in outcome.out
    assert "is self-reported" in outcome.out
    outcome = check("--outputs", noise)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("\n") == 1
    assert "Everything that was checked holds; the row" in outcome.out
    assert "is re-scored." in outcome.out
    assert state_of(row) == load_board(row.parent).entries[0].state == "re-scored"
    assert "re-scored" in (row.parent / "README.md").read_text()
    told = json.loads((row / "verified.json").read_text())
    assert told["problems"] == told["notes"] == []
    assert told["figures"]["AIS"][0] == told["figures"]["AIS"][1]
    before = (row / "verified.json").read_bytes()
    outcome = check()
    assert outcome.code == 0
    assert "(re-scored); that was not done again" in outcome.out
    assert "is self-reported by what was checked now." in outcome.out
    assert (row / "verified.json").read_bytes() == before, "nothing is confirmed that was not looked at"
    assert state_of(row) == "re-scored"


def test_human_ratings_are_left_out_and_said(check, row, noise):
    """`rate aggregate --write-results` puts them there; nobody can recompute them from the images."""
    human = {"metric": "human", "value": 4.0, "low": 3.5, "high": 4.5, "n": 255, "higher_is_better": True, "unit": ""}
    edit(row / "result.json", lambda r: r["scores"].append({**human, "signature": "human|v:1|design:likert"}))
    outcome = check("--outputs", noise)
    assert outcome.code == 0, outcome.out
    assert "human ratings can't be recomputed" in outcome.out
    assert state_of(row) == "re-scored"


def test_a_zip_is_as_good_as_a_folder(check, row, noise, tmp_path):
    shutil.make_archive(str(tmp_path / "noise"), "zip", noise)
    outcome = check("--outputs", "noise.zip", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["state"] == "re-scored"
    assert json.loads(outcome.out) == json.loads((row / "verified.json").read_text())


def test_own_clips_are_needed_for_the_scores(run_cli, tiny_suite, noise, clip_folder, tmp_path):
    run_cli("submit", noise, "--suite", tiny_suite, "--name", "x", "--data", clip_folder)
    command = ("verify", "leaderboards/tiny-sounds/x", "--suite", tiny_suite, "--outputs", noise)
    outcome = run_cli(*command)
    assert outcome.code == 0, outcome.err
    assert "give --data" in outcome.out
    assert "is hash-checked" in outcome.out
    outcome = run_cli(*command, "--data", clip_folder)
    assert outcome.code == 0, outcome.out
    assert "is re-scored" in outcome.out


@pytest.fixture(scope="module")
def drawn_boards(tmp_path_factory, tiny_suite, suite):
    """A board with a run of one of our methods."""
    from a2ibench.board.card import MethodCard
    from a2ibench.board.outputs import read_outputs
    from a2ibench.board.submit import submit
    from a2ibench.runs.generate import generate
    from a2ibench.runs.prepare import prepare
    from a2ibench.scoring.scorer import Scorer

    folder, clips = tmp_path_factory.mktemp("drawn"), suite.clips()
    generate(prepare(suite, "sd-text", seed=5), clips, folder / "run")
    with read_outputs(folder / "run", clips) as found:
        submit(found, MethodCard(name="drawn"), Scorer(suite, clips), folder / "leaderboards/tiny")
    return folder


@pytest.fixture
def drawn(drawn_boards, tmp_path):
    return shutil.copytree(drawn_boards, tmp_path / "drawn") / "leaderboards/tiny/drawn"


def test_our_methods_are_made_again(run_cli, tiny_suite, drawn, tmp_path):
    outcome = run_cli("verify", drawn, "--suite", tiny_suite)
    assert outcome.code == 0, outcome.out + outcome.err
    assert state_of(drawn) == "re-generated"
    (drawn / "verified.json").unlink()
    outcome = run_cli("verify", drawn, "--suite", tiny_suite, "--outputs", "drawn/run")
    assert "is re-generated" in outcome.out
    (drawn / "verified.json").unlink()
    outcome = run_cli("verify", drawn, "--suite", tiny_suite, "--outputs", "drawn/run", "--no-regenerate")
    assert "is re-scored" in outcome.out


def test_images_that_were_not_made_by_the_method(drawn, suite, noise, tmp_path):
    """A forger's run.json: hashes and scores hold, but the method draws other images."""
    from a2ibench.board.card import MethodCard
    from a2ibench.board.outputs import read_outputs
    from a2ibench.scoring.scorer import Scorer, chosen_metrics, result_of

    told = Result.load(drawn / "result.json")
    clips = suite.clips()
    with read_outputs(noise, clips) as found:
        write_hashes(drawn / "hashes.csv", found.hashes)
        ceilings = {score.metric: score.ceiling for score in told.scores}
        forged = result_of(
            Scorer(suite, clips), found.images, chosen_metrics(None, TASK), method="drawn", ceilings=ceilings,
            seed=told.seed, options=told.options, weights=told.weights,
        )  # fmt: skip
        write_pictures(drawn, found, MethodCard(name="drawn"), told.suite, clips)
    forged.save(drawn / "result.json")
    forged.write_items(drawn / "items.csv")
    found = verify(drawn, suite, clips, outputs=noise, stage=silent)
    assert (found.state, found.problems) == ("re-scored", [])
    assert "8 of 8 images differ from those made again here" in found.notes[0]
    found = verify(drawn, suite, clips, stage=silent)
    assert found.state == "self-reported"
    assert "'bell-0.png' (image 0 of the clip 'bell-0') is another image" in found.problems[0]
    assert "And 3 more images differ." in found.problems


def test_another_machine_is_said_and_is_no_failure(drawn, suite):
    hashes = read_hashes(drawn / "hashes.csv")
    changed = [type(each)(each.clip_id, each.index, each.file, "0" * 64) for each in hashes[:3]]
    write_hashes(drawn / "hashes.csv", [*changed, *hashes[3:]])
    edit(drawn / "result.json", lambda told: told["provenance"].update(device="A faster one"))
    found = verify(drawn, suite, suite.clips(), stage=silent)
    assert found.problems == []
    assert found.state == "self-reported"
    assert "3 of 8 images differ from those made again here; they were made on A faster one" in found.notes[0]


def test_other_weights_are_named(drawn, suite):
    for file in ("run.json", "result.json"):
        edit(drawn / file, lambda told: told["weights"].update(stable_diffusion="0" * 64))
    found = verify(drawn, suite, suite.clips(), stage=silent)
    assert found.problems == []
    assert "made with other weights of stable_diffusion; give them with --weights" in found.notes[0]


# ------------------------------------------------------------------------------------------ what does not hold


def _score(name, **fields):
    def change(told):
        next(score for score in told["scores"] if score["metric"] == name).update(fields)

    return lambda row: edit(row / "result.json", change)


def _item(row):
    edit(row / "result.json", lambda told: told["items"]["dog-0"].update(AIS=12.5))


def _forged_item(row):
    """A value is changed everywhere where it stands, and the mean with it: only the images tell."""
    from a2ibench.scoring.scorer import interval_of

    result = Result.load(row / "result.json")
    items = {clip_id: dict(item) for clip_id, item in result.items.items()}
    items["dog-0"]["AIS"] = 100.0 if items["dog-0"]["AIS"] < 100 else 50.0
    import numpy as np

    values = np.array([item["AIS"] for item in items.values()])
    interval = interval_of(values, "%")
    scores = [
        score.model_copy(update={"value": float(values.mean()), "low": interval.low, "high": interval.high})
        if score.metric == "AIS"
        else score
        for score in result.scores
    ]
    forged = result.model_copy(update={"items": items, "scores": scores})
    forged.save(row / "result.json")
    forged.write_items(row / "items.csv")


def _cell(row):
    lines = (row / "items.csv").read_text().splitlines()
    cells = lines[3].split(",")
    cells[2] = "1.5"
    lines[3] = ",".join(cells)
    (row / "items.csv").write_text("\n".join(lines) + "\n")


def _without_line(file, number):
    def change(row):
        lines = (row / file).read_text().splitlines()
        del lines[number]
        (row / file).write_text("\n".join(lines) + "\n")

    return change


def _relabel(row):
    edit(row / "result.json", lambda told: told["labels"].update({"dog-0": "bell ringing"}))
    swap(row / "items.csv", "dog-0,dog barking", "dog-0,bell ringing")


def _rename_clip(row):
    """The same values under another clip's name, in all files."""
    for file in ("result.json", "items.csv", "hashes.csv"):
        text = (row / file).read_text()
        (row / file).write_text(text.replace("dog-0", "dog-9"))


def _hash(row):
    hashes = read_hashes(row / "hashes.csv")
    first = hashes[3]
    digit = "0" if first.sha256[0] != "0" else "1"
    hashes[3] = type(first)(first.clip_id, first.index, first.file, digit + first.sha256[1:])
    write_hashes(row / "hashes.csv", hashes)


def _drop_clip(row):
    """A clip is left out of everything, with its bad value."""

    def change(told):
        del told["items"]["dog-0"], told["labels"]["dog-0"]
        told["details"]["category"].pop("dog-0", None)
        told["clips"]["n"] = 7
        for score in told["scores"]:
            held = [i[score["metric"]] for i in told["items"].values() if i.get(score["metric"]) is not None]
            if held:
                score["value"] = sum(held) / len(held)
                score.update(low=min(held), high=max(held), n=len(held))

    edit(row / "result.json", change)
    for file in ("items.csv", "hashes.csv"):
        lines = [line for line in (row / file).read_text().splitlines() if not line.startswith("dog-0,")]
        (row / file).write_text("\n".join(lines) + "\n")


ALONE = {  # found from the row's files and the clips alone
    "a score": (_score("AIS", value=99.5), "AIS is 99.5, but the mean of its clips is"),
    "an interval": (_score("IIS", low=0.25), "IIS's low is 0.25 in result.json, and"),
    "a number of clips": (_score("IIS", n=9), "IIS's n is 9 in result.json, and 8"),
    "a value": (_item, "AIS of the clip 'dog-0' is 12.5 in result.json and"),
    "a cell": (_cell, "AIS of the clip 'bell-2' is"),
    "a line of items.csv": (_without_line("items.csv", 2), "The clip 'bell-1' is in result.json alone."),
    "a label": (lambda row: swap(row / "items.csv", "dog barking", "cat"), "label of 'dog-0' is 'dog barking' in"),
    "all labels of a clip": (_relabel, "'dog-0' is labelled 'bell ringing' in the result and 'dog barking' here"),
    "a clip's name": (_rename_clip, "'dog-9' is in the result alone; 'dog-0' is not in the result"),
    "a clip left out": (_drop_clip, "'dog-0' is not in the result"),
    "the clips' digest": (
        lambda row: edit(row / "result.json", lambda told: told["clips"].update(digest="0" * 64)),
        "of another clip list (tiny, n=8, digest 00000000)",
    ),
    "the suite": (
        lambda row: edit(row / "result.json", lambda told: told.update(suite="tiny@7")),
        "of the suite tiny@7, and here is tiny@1",
    ),
    "a line of hashes.csv": (_without_line("hashes.csv", 2), "hashes.csv lacks image 0 of the clip 'bell-1'."),
    "a line too many": (
        lambda row: (row / "hashes.csv").open("a").write("cat,0,cat.png," + "0" * 64 + "\n"),
        "an image 0 of 'cat', which the result is not of",
    ),
    "a line twice": (
        lambda row: (row / "hashes.csv").open("a").write("dog-0,0,dog-0.png," + "0" * 64 + "\n"),
        "hashes.csv has image 0 of 'dog-0' twice",
    ),
    "hashes that are none": (lambda row: (row / "hashes.csv").write_text("a,b\n"), "not a table of hashes"),
    "the card": (lambda row: (row / "method.toml").write_text("rank = 1"), "no field 'rank'"),
    "half a result": (
        lambda row: (row / "result.json").write_bytes((row / "result.json").read_bytes()[:500]),
        "is not a result file",
    ),
}


@pytest.mark.parametrize("how", ALONE)
def test_changes_that_show_without_the_images(check, row, how):
    spoil, words = ALONE[how]
    spoil(row)
    outcome = check()
    assert outcome.code == 1, outcome.out
    assert words in outcome.out
    assert "Something differs" in outcome.out
    assert json.loads((row / "verified.json").read_text())["problems"]
    assert state_of(row) == "self-reported"


SCORED = {  # found by scoring the images again
    "a forged value": (_forged_item, "AIS of the clip 'dog-0' is"),
    "FID": (_score("FID", value=0.001), "FID is 0.001 in result.json, and"),
    "FID's error": (_score("FID", stderr=0.0), "FID's stderr is 0.0 in result.json, and"),
    "a chance level": (_score("AIS", chance=20.0), "AIS's chance is 20.0 in result.json, and 50.0"),
    "a ceiling": (_score("IIS", ceiling=60.0), "IIS's ceiling is 60.0 in result.json, and 100.0"),
    "a direction": (_score("FID", higher_is_better=True), "FID's higher_is_better is True"),
    "a signature": (_score("AIS", signature="AIS|v:1|suite:tiny@1"), "AIS has the signature 'AIS|v:1|suite:tiny@1'"),
    "what was seen": (
        lambda row: edit(
            row / "result.json", lambda told: told["details"]["category"].update({"dog-0": ["dog", "dog"]})
        ),
        "'details' in result.json",
    ),
    "the sanity rows": (
        lambda row: edit(row.parent / "sanity.json", lambda told: told[0]["scores"][-1].update(value=7.5)),
        "sanity.json, real images",
    ),
}


@pytest.mark.parametrize("how", SCORED)
def test_changes_that_show_when_scored_again(row, suite, noise, how):
    spoil, words = SCORED[how]
    spoil(row)
    assert verify(row, suite, suite.clips(), stage=silent).problems == [], "without the images nobody could know"
    found = verify(row, suite, suite.clips(), outputs=noise, stage=silent)
    assert [problem for problem in found.problems if words in problem], found.problems
    assert found.state == state_of(row) == "self-reported", "whatever held before it"


def _pixel(folder):
    with Image.open(folder / "dog-0.png") as image:
        red, green, blue = image.getpixel((3, 3))
        image.putpixel((3, 3), (red ^ 1, green, blue))
        image.save(folder / "dog-0.png")


def _swap_images(folder):
    (folder / "dog-0.png").rename(folder / "x")
    (folder / "dog-1.png").rename(folder / "dog-0.png")
    (folder / "x").rename(folder / "dog-1.png")


def _resave(folder):
    """Equal pixels in another file: the hash is of the file."""
    Image.open(folder / "dog-0.png").save(folder / "dog-0.png", compress_level=0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_pixel, ["'dog-0.png' (image 0 of the clip 'dog-0') is another image: sha256"]),
        (_resave, ["'dog-0.png' (image 0 of the clip 'dog-0') is another image: sha256"]),
        (_swap_images, ["'dog-0.png' (image 0", "'dog-1.png' (image 0"]),
        (lambda f: (f / "dog-0.png").unlink(), ["'dog-0.png' (image 0 of the clip 'dog-0') is not in"]),
        (lambda f: (f / "dog-0.png").write_bytes(b""), ["dog-0.png is empty"]),
        (lambda f: draw_noise(f, ["cat"], seed=7), ["belong to no clip", "'cat'"]),
    ],
)
def test_changed_images_are_named(check, row, own_noise, spoil, words):
    assert check("--outputs", own_noise).code == 0
    spoil(own_noise)
    outcome = check("--outputs", own_noise)
    assert outcome.code == 1
    for each in words:
        assert each in outcome.out
    assert outcome.out.count("another image") == sum("another image" in each for each in words) or len(words) > 1
    assert state_of(row) == "self-reported"
    assert "self-reported" in (row.parent / "README.md").read_text()


def test_somebody_elses_images_say_nothing_of_the_row(check, row, noise, tmp_path):
    assert check("--outputs", noise).code == 0
    draw_noise(tmp_path / "strangers", ["cat", "cow"])
    assert "belong to no clip" in check("--outputs", "strangers").sentence
    assert state_of(row) == "re-scored"


def test_a_changed_hash_is_named(check, row, noise):
    _hash(row)
    outcome = check("--outputs", noise)
    assert outcome.code == 1
    assert "'dog-0.png' (image 0 of the clip 'dog-0') is another image" in outcome.out


def test_clips_that_changed_are_named(run_cli, tiny_suite, noise, clip_folder, own_clips, tmp_path):
    run_cli("submit", noise, "--suite", tiny_suite, "--name", "x", "--data", clip_folder)
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/dog-1.wav").read_bytes())
    outcome = run_cli("verify", "leaderboards/tiny-sounds/x", "--suite", tiny_suite, "--data", own_clips)
    assert outcome.code == 1
    assert "sounds or references do not" in outcome.out


def test_run_json_and_result_must_tell_the_same(drawn, suite):
    edit(drawn / "run.json", lambda told: told.update(seed=6))
    found = verify(drawn, suite, suite.clips(), stage=silent)
    assert found.problems == ["result.json and run.json tell of different seed."]


def test_a_state_is_of_these_files_alone(check, row, noise):
    """Who changes a digit after the verification has a self-reported row again, verified or not."""
    assert check("--outputs", noise).code == 0
    assert state_of(row) == "re-scored"
    for name in ("result.json", "items.csv", "method.toml", "hashes.csv"):
        text = (row / name).read_text()
        (row / name).write_text(text + " ")
        assert state_of(row) == "self-reported"
        (row / name).write_text(text)
    assert state_of(row) == "re-scored"
    (row / "verified.json").write_text('{"state": "re-generated"}')
    assert state_of(row) == "self-reported"
    assert STATES == ("self-reported", "hash-checked", "re-scored", "re-generated")


def _forge(row, state, **fields):
    """Write a verified.json as a stranger would."""
    names = [path.name for path in row.iterdir() if path.name != "verified.json"]
    files = {name: sha256((row / name).read_bytes()).hexdigest() for name in names}
    told = {"state": state, "when": "2026-01-01T00:00:00Z", "a2ibench": "9", "files": files} | fields
    (row / "verified.json").write_text(json.dumps(told))


def test_a_forged_state_is_never_confirmed(check, row, noise, own_noise):
    _forge(row, "re-generated")
    assert state_of(row) == "re-scored", "nobody can make the images of this method again"
    assert json.loads(check("--json").out)["state"] == "self-reported"
    assert check("--outputs", noise).code == 0
    assert json.loads((row / "verified.json").read_text())["a2ibench"] != "9"
    _forge(row, "re-generated", problems=["AIS is another."])
    assert state_of(row) == "self-reported"
    _forge(row, "re-generated")
    _pixel(own_noise)
    assert check("--outputs", own_noise).code == 1
    assert state_of(row) == "self-reported"


TOLD = {  # what stands beside the numbers: change(result) → words, and whether it takes the images to see it
    "notes": (lambda told: told["notes"].append("Checked by the authors of a2ibench."), "'notes' in", True),
    "weights": (lambda told: told["weights"].update(secret="0" * 64), "'weights' in", True),
    "licences": (lambda told: told["licences"].append("free for all"), "'licences' in", False),
    "options": (lambda told: told["options"].update(steps=3), "'options' in", False),
    "a seed": (lambda told: told.update(seed=0), "'seed' in", False),
    "a method": (lambda told: told.update(method="reference"), "of 'reference', and method.toml of 'noise'", False),
}


@pytest.mark.parametrize("how", TOLD)
def test_what_stands_beside_the_numbers_is_checked(row, suite, noise, how):
    change, words, needs_images = TOLD[how]
    edit(row / "result.json", change)
    assert bool(verify(row, suite, suite.clips(), stage=silent).problems) != needs_images
    found = verify(row, suite, suite.clips(), outputs=noise, stage=silent)
    assert [problem for problem in found.problems if words in problem], found.problems


@pytest.mark.parametrize("name", ["gallery.webp", "contact.png"])
def test_other_pictures_are_named_and_put_right(check, row, noise, name):
    """A page shows them: they must be of the images that were scored."""
    good = (row / name).read_bytes()
    Image.new("RGB", (96, 96), "red").save(row / name)
    assert state_of(row) == "self-reported"
    outcome = check("--outputs", noise)
    assert outcome.code == 1
    assert f"{name} is not what these images give; it was made again." in outcome.out
    assert (row / name).read_bytes() == good
    assert check("--outputs", noise).code == 0
    assert state_of(row) == "re-scored"
    (row / name).write_bytes(b"another")
    assert state_of(row) == "self-reported"


def test_pictures_of_another_machine_are_drawn_anew(check, row, noise):
    edit(row / "result.json", lambda told: told["provenance"].update(device="A faster one"))
    (row / "gallery.json").unlink()
    (row / "gallery.webp").write_bytes(b"of another libwebp")
    outcome = check("--outputs", noise)
    assert outcome.code == 0, outcome.out
    assert "gallery.webp is not to the bit" in outcome.out
    assert "gallery.json was missing" in outcome.out
    assert state_of(row) == "re-scored"


def test_a_run_that_would_take_a_year_is_not_made_again(drawn, suite):
    for file in ("run.json", "result.json"):
        edit(drawn / file, lambda told: told["options"].update(steps=10**9))
    found = verify(drawn, suite, suite.clips(), stage=silent)
    assert (found.state, found.problems) == ("self-reported", [])
    assert "their steps is 1000000000, more than 20 times the suite's 2" in found.notes[0]


# ------------------------------------------------------------------------------------------ a stranger's files


def _text(text):
    return lambda file: file.write_text(text)


def _fifo(file):
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def _link_to(target):
    def spoil(file):
        file.unlink(missing_ok=True)
        file.symlink_to(target)

    return spoil


def _huge_number(file):
    edit(file, lambda told: told["items"]["dog-0"].update(AIS=10**400))


def _many_images(file):
    edit(file, lambda told: told.update(outputs_per_clip=10_000))


HOSTILE = {
    "deep": _text('{"schema_version": 1, "items": ' + "[" * 200_000),
    "deep and whole": _text("[" * 100_000 + "]" * 100_000),
    "a FIFO": _fifo,
    "an endless file": _link_to("/dev/zero"),
    "a link": _link_to("/etc/hostname"),
    "a link to itself": lambda file: _link_to(file.name)(file),
    "bytes": lambda file: file.write_bytes(b"\xff\xfe\0"),
}
FILES = ("result.json", "items.csv", "hashes.csv", "method.toml", "run.json", "gallery.webp")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_files_of_a_row(row, suite, noise, how, name):
    HOSTILE[how](row / name)
    found = verify(row, suite, suite.clips(), outputs=noise, stage=silent)
    assert found.problems
    assert all(each.isprintable() and len(each) < 600 for each in found.problems)
    assert found.state == state_of(row) == "self-reported"


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_result_is_one_sentence_or_a_problem(check, row, how):
    HOSTILE[how](row / "result.json")
    outcome = check()
    assert outcome.code in (1, 2)
    assert outcome.code == 1 or outcome.sentence.isprintable()
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("how", HOSTILE)
@pytest.mark.parametrize("name", ["verified.json", "../sanity.json"])
def test_hostile_files_beside_a_row(row, suite, noise, how, name):
    HOSTILE[how](row / name)
    assert state_of(row) == "self-reported"
    if name != "verified.json":
        assert verify(row, suite, suite.clips(), outputs=noise, stage=silent).state == "re-scored"


@pytest.mark.parametrize("spoil", [_huge_number, _many_images])
def test_huge_numbers(row, suite, noise, spoil):
    spoil(row / "result.json")
    found = verify(row, suite, suite.clips(), outputs=noise, stage=silent)
    assert found.problems
    assert all(len(each) < 600 for each in found.problems)


def test_terminal_codes_in_a_row_are_escaped(row, suite, noise):
    edit(row / "result.json", lambda told: told["labels"].update({"dog-0": "\x1b[2J\u202e"}))
    found = verify(row, suite, suite.clips(), stage=silent)
    assert found.problems
    assert all(each.isprintable() for each in found.problems)


def test_only_signatures_say_whose_the_clips_are(row, suite):
    assert not is_of_own_data(row, suite)
    edit(row / "result.json", lambda told: told["scores"][0].update(unit="|suite:a+b"))
    assert not is_of_own_data(row, suite)
    for name in ("AIS", "AIS.same-class", "IIS", "IIS.same-class", "AIC", "FID", "KID"):
        _score(name, signature="AIS|v:1|suite:tiny@1+0123456789ab")(row)
    assert is_of_own_data(row, suite)


# ------------------------------------------------------------------------------------------------- wrong use


def test_nothing_is_written_where_no_board_is(run_cli, tiny_suite, row, noise, tmp_path):
    run_cli("eval", "--outputs", noise, "--suite", tiny_suite, "--out", "runs/x")
    (tmp_path / "runs/x/images").mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    assert "put it onto one with 'a2ibench submit'" in run_cli("verify", "runs/x", "--suite", tiny_suite).sentence
    assert sorted(tmp_path.rglob("*")) == before
    shutil.copytree(row, tmp_path / "mail/row")
    assert run_cli("verify", "mail/row", "--suite", tiny_suite, "--outputs", noise).code == 0
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["row"], "a folder with a row in it is no board"
    for name in ("hashes.csv", "method.toml"):
        shutil.copytree(row, tmp_path / f"without-{name}")
        (tmp_path / f"without-{name}" / name).unlink()
        sentence = run_cli("verify", f"without-{name}", "--suite", tiny_suite).sentence
        assert f"not a row of a board (it has no {name})" in sentence


def test_a_row_by_another_way(run_cli, tiny_suite, row, noise, tmp_path, monkeypatch):
    """``.`` and links: the board is where the row is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/link").symlink_to(row)
    command = ("--suite", tiny_suite, "--outputs", noise)
    assert run_cli("verify", "elsewhere/link", *command).code == 0
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["link"]
    assert "re-scored" in (row.parent / "README.md").read_text()
    (row / "verified.json").unlink()
    monkeypatch.chdir(row)
    assert run_cli("verify", ".", *command).code == 0
    assert state_of(row) == "re-scored"


def test_a_page_keeps_its_sounds(run_cli, tiny_suite, noise, clip_folder, tmp_path):
    run_cli("submit", noise, "--suite", tiny_suite, "--name", "x", "--data", clip_folder)
    board = tmp_path / "leaderboards/tiny-sounds"
    before = (board / "index.html").read_bytes()
    outcome = run_cli("verify", board / "x", "--suite", tiny_suite, "--outputs", noise)
    assert outcome.code == 0, outcome.err
    assert "'a2ibench leaderboard --data DIR'" in outcome.err
    assert (board / "index.html").read_bytes() == before


def test_what_is_no_row(run_cli, tiny_suite, own_boards, tmp_path):
    assert "not a row of a board" in run_cli("verify", "absent").sentence
    assert "not a row of a board" in run_cli("verify", own_boards / "tiny").sentence
    sentence = run_cli("verify", own_boards / "tiny/noise").sentence
    assert "the suite 'tiny', which is not built in; give its file with --suite" in sentence
    command = ("verify", own_boards / "tiny/noise", "--suite", tiny_suite, "--outputs", "absent")
    assert "no folder absent" in run_cli(*command).sentence
    with pytest.raises(A2IBenchError, match="not a row"):
        verify(tmp_path, load_suite(str(tiny_suite)), None, stage=silent)


# ------------------------------------------------------------------------------------------------- report


def test_report_of_a_run(run_cli, tiny_suite, tmp_path):
    run_cli("eval", "--method", "reference", "--suite", tiny_suite, "--out", "run")
    outcome = run_cli("report", "run", "--suite", tiny_suite)
    assert (outcome.code, outcome.out) == (0, "run/report.html\n")
    page = (tmp_path / "run/report.html").read_text()
    assert "reference" in page
    assert "dog barking" in page
    assert run_cli("report", "run", "--suite", tiny_suite, "--out", "elsewhere.html").code == 0
    assert (tmp_path / "elsewhere.html").is_file()


def test_report_of_a_limited_run_and_of_a_row(run_cli, tiny_suite, row, noise, tmp_path):
    run_cli("eval", "--outputs", noise, "--suite", tiny_suite, "--limit", 3, "--out", "part")
    outcome = run_cli("report", "part", "--suite", tiny_suite, "--outputs", noise)
    assert outcome.code == 0, outcome.err
    outcome = run_cli("report", row, "--suite", tiny_suite, "--out", "row.html")
    assert outcome.code == 0, outcome.err


def test_report_of_other_clips_is_refused(run_cli, tiny_suite, row, own_clips):
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/dog-1.wav").read_bytes())
    assert "is of other clips (tiny, n=8" in run_cli("report", row, "--suite", tiny_suite, "--data", own_clips).sentence
    assert "There is no absent/result.json" in run_cli("report", "absent").sentence
