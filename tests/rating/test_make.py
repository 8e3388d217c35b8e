"""A study is blind, fair to every method, the same from call to call, and never written over."""

import io
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest
from made import clip_of
from PIL import Image

from a2ibench.clips import ClipSet, load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.media.image import as_webp
from a2ibench.rating.make import Run, draw_clips, make_study, read_runs
from a2ibench.rating.orders import orders
from a2ibench.rating.render import media, write_page
from a2ibench.rating.study import Study
from a2ibench.tasks import get

DESIGNS = ("likert", "pairwise")
METHODS = ("alphadraw", "betapaint", "gammanet")


def tree(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# ---------------------------------------------------------------------------------------------- blindness


@pytest.mark.parametrize("design", DESIGNS)
def test_nothing_that_a_rater_gets_tells_a_method_a_clip_or_a_kind(tiny_study, design):
    folder = tiny_study(design=design)
    study = Study.load(folder)
    sent = {name: data for name, data in tree(folder).items() if name.startswith(("page/", "media/"))}
    assert len(sent) == 1 + len(media(study))
    secrets = [*METHODS, "clipid", "prompt", "real images", "shuffled", "repeat_of", "runs", "control"]
    for digest in {digest for item in study.items for digest in item.digests}:
        secrets.append(digest[:12])  # whoever has the images could look them up
    page = sent["page/index.html"].decode()
    data = json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page)[1])
    for name, content in sent.items():
        told = [secret for secret in secrets if secret.encode() in content or secret in name]
        # The stylesheet and the script are the same in every study, and so tell nothing.
        if name == "page/index.html":
            told = [secret for secret in told if secret in json.dumps(data)]
        assert not told, (name, told)
    keys = {key for item in data["items"] for key in item}
    assert keys == ({"item", "shown", "label"} if design == "likert" else {"item", "shown", "given"})


@pytest.mark.parametrize("design", DESIGNS)
def test_all_images_have_one_size_one_format_and_no_metadata(tiny_study, design):
    folder = tiny_study(design=design)
    images = sorted((folder / "media").glob("*.webp"))
    assert images
    for file in images:
        assert re.fullmatch(r"[0-9a-f]{12}\.webp", file.name)
        with Image.open(file) as image:
            assert (image.format, image.mode, image.size) == ("WEBP", "RGB", (64, 64))
            assert not set(image.info) - {"loop", "background", "timestamp", "duration"}, image.info
            assert not image.getexif()


def test_metadata_of_the_file_is_dropped_and_the_middle_is_kept(tmp_path):
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 50:150] = (200, 40, 40)  # the square in the middle
    exif = Image.Exif()
    exif[0x010E] = "drawn by alphadraw"
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, icc_profile=b"alphadraw" * 20, quality=95)
    data = as_webp(tmp_path / "a.jpg")
    assert b"alphadraw" not in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (512, 512)
        assert np.abs(np.asarray(image).astype(int)[20:-20, 20:-20] - (200, 40, 40)).max() < 25


def test_every_study_has_its_own_names(rating_data, tmp_path, monkeypatch):
    monkeypatch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)
    a, b = (remake(None, rating_data, tmp_path / name, salt=None) for name in "ab")
    assert {(item.clip_id) for item in a.items} == {(item.clip_id) for item in b.items}
    assert not {item.item for item in a.items} & {item.item for item in b.items}
    assert not set(media(a)) & set(media(b))
    for study, name in ((a, "a"), (b, "b")):
        sent = tree(tmp_path / name / "page") | tree(tmp_path / name / "media")
        assert not any(study.salt.encode() in data for data in sent.values())


def test_the_time_of_a_file_tells_nothing(rating_data, tmp_path, monkeypatch):
    monkeypatch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)
    remake(None, rating_data, tmp_path / "study")
    assert len({file.stat().st_mtime_ns for file in (tmp_path / "study" / "media").iterdir()}) == 1


def test_a_page_for_one_rater_holds_one_order(tiny_study, run_cli):
    folder = tiny_study(design="pairwise")
    study = Study.load(folder)
    done = run_cli("rate", "page", folder, "--rater", "R07", "--rater", "Zoë", "--json")
    pages = json.loads(done.out)["pages"]
    assert pages == [str(folder / "page" / "rater-R07.html"), str(folder / "page" / "rater-Zoë.html")]
    data = json.loads(re.search(r'id="study">(.*?)</script>', (folder / "page" / "rater-R07.html").read_text())[1])
    assert (data["code"], data["rater"]) == ("R07", None)
    assert (data["orders"], data["mirrored"]) == ([orders(study)[7]], [True])
    assert "can't be a rater's name" in run_cli("rate", "page", folder, "--rater", "../x").sentence


# ------------------------------------------------------------------------------------------------ fairness


def test_every_method_is_rated_on_the_same_clips(tiny_study):
    study = Study.load(tiny_study(clips=4))
    by_method = {}
    for item in study.items:
        if item.kind == "main":
            by_method.setdefault(item.methods[0], []).append(item.clip_id)
    assert set(by_method) == set(METHODS)
    assert len({tuple(sorted(clips)) for clips in by_method.values()}) == 1
    assert all(len(clips) == len(set(clips)) == 4 for clips in by_method.values())


def test_the_key_says_truly_which_image_is_whose(tiny_study, rating_data):
    for design in DESIGNS:
        folder = tiny_study(design=design)
        study = Study.load(folder)
        for item in study.items:
            for method, digest, name in zip(item.methods, item.digests, item.shown, strict=True):
                if method in METHODS:
                    file = rating_data / "runs" / method / "images" / f"{item.clip_id}.png"
                    assert sha256_file(file) == digest
                else:
                    digests = {c.clip_id: sha256_file(c.file("image")) for c in load_clips(rating_data / "clips")}
                    own = digests[item.clip_id]
                    assert (digest == own) == (method == "real images")
                    assert digest in digests.values()
                    file = next(
                        c.file("image") for c in load_clips(rating_data / "clips") if digests[c.clip_id] == digest
                    )
                # Shown is what the key says: nearer to its own file than a random other picture could be.
                with Image.open(folder / "media" / name) as shown, Image.open(file) as source:
                    side = min(source.size)
                    left, top = (source.width - side) // 2, (source.height - side) // 2
                    middle = source.crop((left, top, left + side, top + side)).resize((16, 16))
                    off = np.abs(np.asarray(shown.resize((16, 16)), float) - np.asarray(middle, float)).mean()
                assert off < 12, (item, method)


def test_kinds_are_as_many_as_wanted_and_repeats_spread_over_methods(tiny_study):
    study = Study.load(tiny_study(repeats=3, controls=3))
    assert Counter(item.kind for item in study.items) == {"main": 12, "repeat": 3, "control": 3}
    repeats = [item for item in study.items if item.kind == "repeat"]
    assert sorted(item.methods[0] for item in repeats) == sorted(METHODS)
    assert len({item.clip_id for item in repeats}) == 3
    for item in repeats:
        first = study.by_id[item.repeat_of]
        assert (first.kind, first.clip_id, first.digests) == ("main", item.clip_id, item.digests)
        assert not {item.item, *item.shown} & {first.item, *first.shown}


def test_pairs_cover_all_methods_and_balance_the_sides(tiny_study):
    study = Study.load(tiny_study(design="pairwise", clips=6))
    main = [item for item in study.items if item.kind == "main"]
    assert len(main) == 6 * 3
    sides = Counter(tuple(item.methods) for item in main)
    assert set(sides.values()) == {3}, "each pair stands half of the time the one way, half the other"
    for item in study.items:
        assert item.given is not None
        if item.kind == "repeat":
            first = study.by_id[item.repeat_of]
            assert (item.methods, item.digests) == (first.methods[::-1], first.digests[::-1])
        if item.kind == "control":
            assert sorted(item.methods) == ["real images", "shuffled images"]
    firsts = Counter(item.methods[0] for item in study.items if item.kind == "control")
    assert set(firsts.values()) == {1}
    assert len({item.given for item in study.items}) == 6


def test_the_sound_is_that_of_the_clip(tiny_study, rating_data):
    import soundfile

    folder = tiny_study(design="pairwise")
    for item in Study.load(folder).items:
        samples, rate = soundfile.read(folder / "media" / item.given)
        assert samples.ndim == 1
        spectrum = np.abs(np.fft.rfft(samples))
        heard = spectrum.argmax() * rate / len(samples)
        assert heard == pytest.approx(300 + 90 * int(item.clip_id[-1]), abs=5)


def clip_set(counts):
    return ClipSet(
        [clip_of(f"{label}-{i:02d}", None, None, label) for label, count in counts.items() for i in range(count)],
        "test",
    )


@pytest.mark.parametrize(
    ("counts", "wanted", "per_label"),
    [
        ({"a": 20, "b": 20, "c": 20}, 15, [5, 5, 5]),
        ({"a": 20, "b": 20, "c": 2}, 15, [2, 6, 7]),
        ({"a": 20, "b": 20, "c": 20}, 2, [1, 1]),
        ({"a": 3}, 3, [3]),
    ],
)
def test_clips_are_drawn_evenly_over_labels_and_by_the_seed(counts, wanted, per_label):
    clips = clip_set(counts)
    drawn = draw_clips(clips, wanted, 0)
    assert len({clip.clip_id for clip in drawn}) == wanted
    assert sorted(Counter(clip.label for clip in drawn).values()) == per_label
    assert draw_clips(clips, wanted, 0) == drawn
    if wanted < len(clips):
        assert any(set(draw_clips(clips, wanted, seed)) != set(drawn) for seed in range(1, 5))


# -------------------------------------------------------------------------------------------- determinism


def remake(study, rating_data, out, **options):
    runs = read_runs([str(rating_data / "runs" / method) for method in METHODS], "tiny@1")
    chosen = {"count": 4, "repeats": 2, "controls": 2, **options}
    return make_study(runs, load_clips(rating_data / "clips"), out, suite="tiny@1", **{"salt": "5a17" * 8, **chosen})


def test_equal_arguments_and_an_equal_salt_make_equal_files(tiny_study, rating_data, tmp_path, monkeypatch):
    monkeypatch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)
    old = tree(tiny_study())
    remake(None, rating_data, tmp_path / "again")
    new = tree(tmp_path / "again")
    assert old.keys() == new.keys()
    differing = [name for name in old if name != "items.json" and old[name] != new[name]]
    assert not differing
    assert json.loads(old["items.json"])["items"] == json.loads(new["items.json"])["items"]
    other = remake(None, rating_data, tmp_path / "other", seed=1)
    assert not {item.item for item in other.items} & {item["item"] for item in json.loads(old["items.json"])["items"]}


def test_the_page_follows_an_edited_text(tiny_study):
    folder = tiny_study()
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('title = "How relevant', 'title = "</title><script>x & @data@'))
    study = Study.load(folder)
    page = write_page(study, folder).read_text()
    assert "&lt;/title&gt;&lt;script&gt;x &amp; @data@" in page
    assert page.count("</script>") == 2
    assert page.count("<script>") == 1
    assert study.digest in page


# ------------------------------------------------------------------------------------------------ refusals


def test_an_existing_study_is_never_written_over(tiny_study, rating_data):
    folder = tiny_study()
    before = tree(folder)
    with pytest.raises(A2IBenchError, match="never written over"):
        remake(None, rating_data, folder)
    assert tree(folder) == before


def test_what_fails_leaves_nothing(rating_data, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)
    monkeypatch.setattr("a2ibench.rating.make.write_page", fail)
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with pytest.raises(KeyboardInterrupt):
            remake(None, rating_data, tmp_path / name)
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"count": 7}, "7 clips are wanted.* has 6"),
        ({"repeats": 13}, "13 repeated items"),
        ({"controls": 5}, "5 controls"),
    ],
)
def test_numbers_that_can_not_be_met(rating_data, tmp_path, options, pattern):
    with pytest.raises(A2IBenchError, match=pattern):
        remake(None, rating_data, tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_missing_image_is_named_before_anything_is_written(rating_data, tmp_path):
    shutil.copytree(rating_data / "runs" / "alphadraw" / "images", tmp_path / "holey")
    for number in range(6):
        (tmp_path / "holey" / f"clipid-{number}.png").unlink()
    runs = read_runs([str(tmp_path / "holey"), str(rating_data / "runs" / "betapaint")], "tiny@1")
    with pytest.raises(A2IBenchError, match=r"holey has no image of the clip 'clipid-\d'"):
        make_study(runs, load_clips(rating_data / "clips"), tmp_path / "study", suite="tiny@1", count=4)
    assert not (tmp_path / "study").exists()


def test_controls_in_pairs_need_another_label(rating_data, tmp_path):
    clips = [clip for clip in load_clips(rating_data / "clips") if clip.label == "bell ringing"]
    runs = read_runs([str(rating_data / "runs" / method) for method in METHODS], "tiny@1")
    with pytest.raises(A2IBenchError, match="--controls 0"):
        make_study(runs, ClipSet(clips, "x"), tmp_path / "s", suite="tiny@1", design="pairwise", count=2, controls=1)


def test_runs_are_folders_of_images_or_run_folders(rating_data, tmp_path):
    folder = rating_data / "runs" / "alphadraw"
    run, plain, named = read_runs([str(folder), str(folder / "images"), f"mine={folder}"], "tiny@1")
    assert (run, named.method) == (Run("alphadraw", folder, folder / "images", get("audio-to-image")), "mine")
    assert (plain.method, plain.outputs) == ("images", folder / "images")
    made = shutil.copytree(folder, tmp_path / "run-17")
    (made / "run.json").write_text(json.dumps({"method": "audiotoken", "suite": "tiny@1"}))
    assert read_runs([str(made)], "tiny@1")[0].method == "audiotoken"


def scores_only(folder):
    shutil.rmtree(folder / "images")
    (folder / "result.json").write_text(json.dumps({"method": "mine", "suite": "tiny@1"}))


@pytest.mark.parametrize(
    ("given", "spoil", "pattern"),
    [
        (["run", "run"], lambda run: None, "Two runs are called 'run'; name one otherwise"),
        (["absent"], lambda run: None, "There is no folder absent"),
        (["real images=run"], lambda run: None, "hidden controls"),
        (
            ["run"],
            lambda run: (run / "run.json").write_text('{"suite": "vggsound@1"}'),
            "suite vggsound@1, not of tiny@1",
        ),
        (["run"], lambda run: (run / "run.json").write_text("{"), "run.json is broken"),
        (["run"], lambda run: (run / "run.json").write_text("[" * 200_000), "run.json is broken"),
        (["run"], lambda run: (run / "run.json").write_text('{"method": "a\\ud800"}'), "can't be a method's name"),
        (["run"], lambda run: (run / "run.json").write_text('{"method": ""}'), "can't be a method's name"),
        ([" =run"], lambda run: None, "can't be a method's name"),
        (["a\x07=run"], lambda run: None, "can't be a method's name"),
        (["a\udcff=run"], lambda run: None, "can't be a method's name"),
        (["x" * 201 + "=run"], lambda run: None, "can't be a method's name"),
        (["x" * 300], lambda run: None, "can't be read"),
        (["run"], scores_only, "mine=FOLDER"),
    ],
)
def test_runs_that_can_not_be_used(rating_data, tmp_path, monkeypatch, given, spoil, pattern):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(rating_data / "runs" / "alphadraw", tmp_path / "run")
    spoil(tmp_path / "run")
    with pytest.raises(A2IBenchError, match=pattern):
        read_runs(given, "tiny@1")


# -------------------------------------------------------------------------------------------- command line


def test_the_command_line_makes_a_study(run_cli, rating_data, tmp_path, monkeypatch):
    monkeypatch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)
    options = ("--data", rating_data / "clips", "--clips", 4, "--out", "study")
    folders = [rating_data / "runs" / method for method in METHODS]
    done = run_cli("rate", "make", "--runs", *folders, *options, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["methods"] == list(METHODS)
    assert json.loads(done.out)["study"] == Study.load(tmp_path / "study").digest
    assert "never written over" in run_cli("rate", "make", "--runs", *folders, *options).sentence
    before = (tmp_path / "study" / "page" / "index.html").read_bytes()
    toml = tmp_path / "study" / "study.toml"
    toml.write_text(toml.read_text().replace("How relevant are these images?", "Another title"))
    assert run_cli("rate", "page", "study").code == 0
    after = (tmp_path / "study" / "page" / "index.html").read_bytes()
    assert b"Another title" in after
    assert b"Another title" not in before


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("make",), "Give the runs"),
        (("make", "--runs", "x", "--design", "likret"), "did you mean 'likert'"),
        (("make", "--runs", "x"), "There is no folder x"),
        (("page", "x"), "There is no x/study.toml"),
        (("serve", "x"), "There is no x/study.toml"),
        (("invite", "x"), "either --raters NUMBER or --rater NAME"),
        (("invite", "x", "--raters", "2", "--url", "ftp://x"), "is not an address"),
    ],
)
def test_wrong_use_is_one_sentence(run_cli, arguments, pattern):
    assert re.search(pattern, run_cli("rate", *arguments).sentence)
