"""Reading a submission: whose image is whose, the method's card, and names for folders."""

import shutil
import tarfile
import tomllib
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import clip_of
from PIL import Image
from tiny import TINY

from a2ibench.board.card import MethodCard, slug_of
from a2ibench.board.outputs import read_outputs
from a2ibench.clips import ClipSet, load_clips, read_image
from a2ibench.errors import A2IBenchError


@pytest.fixture(scope="module")
def clips(clip_folder):
    return load_clips(clip_folder)


@pytest.fixture
def own_noise(noise, tmp_path):
    return shutil.copytree(noise, tmp_path / "own-noise")


def images_of(source, *arguments, **options):
    """Read a submission that must be without problems: the names of each clip's images."""
    with read_outputs(source, *arguments, **options) as found:
        found.check()
        return {clip_id: [file.name for file in files] for clip_id, files in found.images.items()}


def problems_of(source, *arguments, **options):
    with read_outputs(source, *arguments, **options) as found:
        return list(found.problems)


# ------------------------------------------------------------------------------------------- folders of images


def test_outputs_are_found_by_id(clips, own_noise):
    (own_noise / "notes.txt").write_text("not an image")
    (own_noise / ".hidden.png").write_bytes(b"")
    (own_noise / "bell-0.png").rename(own_noise / "bell-0.PNG")
    found = images_of(own_noise, clips)
    assert list(found) == list(clips.ids)
    assert found["bell-0"] == ["bell-0.PNG"]
    few = clips.spread(3)
    assert list(images_of(own_noise, few, clips)) == list(few.ids)


def test_missing_stranger_and_duplicate_outputs_are_one_sentence_each(clips, own_noise, run_cli, tiny_suite):
    def said():
        (problem,) = problems_of(own_noise, clips)
        assert problem.isprintable()
        outcome = run_cli("eval", "--outputs", own_noise, "--suite", tiny_suite, "--out", "out")
        assert outcome.sentence == problem
        assert not list((own_noise.parent / "out").glob("*")), "nothing is written"
        return problem

    Image.open(own_noise / "dog-0.png").rotate(90).save(own_noise / "dig-0.png")
    assert "1 images that belong to no clip" in said()
    assert "'dig-0'" in said()
    (own_noise / "dig-0.png").unlink()
    Image.open(own_noise / "dog-0.png").save(own_noise / "dog-0.webp")
    assert "two images for the clip 'dog-0'" in said()
    (own_noise / "dog-0.webp").unlink()
    for clip_id in ("bell-1", "rain-0"):
        (own_noise / f"{clip_id}.png").unlink()
    assert "lacks the images of 2 of 8 clips" in said()
    assert "'bell-1', 'rain-0'" in said()
    assert list(images_of(own_noise, clips, allow_missing=True)) == sorted({*clips.ids} - {"bell-1", "rain-0"})
    for file in own_noise.iterdir():
        file.unlink()
    assert "lacks the images of 8 of 8 clips" in problems_of(own_noise, clips, allow_missing=True)[0]


def test_all_problems_at_once(clips, own_noise):
    (own_noise / "dog-0.png").write_bytes(b"")
    (own_noise / "dog-1.png").write_bytes(b"<svg/>")
    (own_noise / "bell-0.png").unlink()
    (own_noise / "x.png").write_bytes(b"")
    (own_noise / "method.toml").write_text("rank = 1")
    with read_outputs(own_noise, clips) as found:
        said = "\n".join(found.problems)
        assert len(found.problems) == 5
        for words in ("dog-0.png is empty", "dog-1.png is not an image", "lacks the images of 1", "'x'", "'rank'"):
            assert words in said
        with pytest.raises(A2IBenchError, match=r"for 5 reasons: .*--dry-run` lists them all") as error:
            found.check()
    assert str(error.value).isprintable()


def _some(folder, name, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)


@pytest.mark.parametrize("first", [0, 1])
def test_several_outputs_per_clip(tmp_path, first):
    """The exact id wins: ``a_1`` is a clip here, and its images are never taken for the second of ``a``."""
    clips = ClipSet([clip_of(name, tmp_path, tmp_path, "x") for name in ("a", "a_1", "b_x")], "few")
    for seed, clip_id in enumerate(clips.ids):
        for k in (10, 2, *range(first, 2), *range(3, 10), *([11] if first else [])):
            if clip_id == "a":
                continue
            _some(tmp_path, f"{clip_id}_{k}.png", 100 * seed + k)
    assert "lacks the images of 1 of 3 clips, among them 'a'" in problems_of(tmp_path, clips)[0]
    found = images_of(tmp_path, clips, allow_missing=True)
    assert list(found) == ["a_1", "b_x"]
    assert found["b_x"] == [f"b_x_{k}.png" for k in range(first, 11 + first)], "in the order of the numbers"
    (tmp_path / f"b_x_{10 + first}.png").unlink()
    assert "have another number of images" in problems_of(tmp_path, clips, allow_missing=True)[0]


def test_a_run_folder_of_ours(clips, run_cli, tiny_suite, tmp_path):
    outcome = run_cli("generate", "--method", "reference", "--suite", tiny_suite, "--out", "run")
    assert outcome.code == 0, outcome.err
    with read_outputs(tmp_path / "run", clips) as found:
        found.check()
        assert (found.run.method, found.run.suite, found.run.seed) == ("reference", TINY, 0)
        assert found.images["dog-0"] == [tmp_path / "run/images/dog-0.png"]


# ------------------------------------------------------------------------------------------------- archives


def _zip(folder, path, prefix):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._dog-0.png", b"left by a system")
        archive.writestr(f"{prefix}.DS_Store", b"left by a system")
        for file in folder.iterdir():
            archive.write(file, f"{prefix}{file.name}")


def _tar(folder, path, prefix):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, prefix.rstrip("/") or ".")


@pytest.mark.parametrize("prefix", ["", "outputs/", "a/b/"])
@pytest.mark.parametrize("pack", [_zip, _tar])
def test_archives_hold_what_the_folder_holds(clips, own_noise, tmp_path, pack, prefix):
    (own_noise / "method.toml").write_text('name = "x"')
    pack(own_noise, tmp_path / "packed", prefix)
    with read_outputs(own_noise, clips) as folder, read_outputs(tmp_path / "packed", clips) as archive:
        archive.check()
        assert archive.hashes == folder.hashes
        assert archive.card == folder.card == MethodCard(name="x")
        place = archive.images["dog-0"][0]
        assert place.read_bytes() == (own_noise / "dog-0.png").read_bytes()
    assert not place.exists(), "the temporary folder is gone"


def test_the_users_path_is_named_and_not_the_temporary_one(clips, own_noise, tmp_path):
    (own_noise / "dog-0.png").write_bytes(b"<svg/>")
    _zip(own_noise, tmp_path / "given.zip", "")
    (problem,) = problems_of(tmp_path / "given.zip", clips)
    assert problem.startswith(f"{tmp_path}/given.zip/dog-0.png is not an image")


# --------------------------------------------------------------------------------- images of unusual kinds


@pytest.mark.parametrize(
    ("mode", "name"),
    [("CMYK", "x.jpg"), ("L", "x.png"), ("P", "x.png"), ("RGBA", "x.webp"), ("I;16", "x.png"), ("1", "x.png")],
)
def test_unusual_images_are_read_as_rgb(tmp_path, mode, name):
    """Declared in docs/submitting.md: CMYK and 16 bits are converted, transparency lies over white."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    picture.save(tmp_path / name, quality=95)
    clips = ClipSet([clip_of("x", tmp_path, tmp_path, "x")], "one")
    assert images_of(tmp_path, clips) == {"x": [name]}
    assert read_image(tmp_path / name).mode == "RGB"


# ------------------------------------------------------------------------------------------------- the card

WHOLE = {
    "name": "My Méthode 2",
    "authors": "A. Author, B. Böthor",
    "paper": "https://arxiv.org/abs/2305.13050",
    "code": "http://example.org/~a/code?x=1#y",
    "licence": "CC BY 4.0",
    "training_data": "VGGSound's training split",
    "text_labels": False,
    "test_clips": True,
    "notes": 'First line.\nSecond "line" with \\ and 🎺.',
}


def test_a_card_survives_writing_and_reading(tmp_path):
    card = MethodCard.of(WHOLE)
    (tmp_path / "method.toml").write_text(card.toml())
    assert MethodCard.load(tmp_path / "method.toml") == card
    assert card.model_dump() == WHOLE
    assert MethodCard().toml() == ""


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "authors", "licence", "notes"), st.text(max_size=80))))
def test_any_card_that_is_taken_is_written_as_toml(fields):
    try:
        card = MethodCard.of(fields)
    except A2IBenchError:
        return
    assert MethodCard.of(tomllib.loads(card.toml())) == card
    assert all(line.isprintable() for text in (card.name, card.authors, card.notes) for line in text.split("\n"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"auhtors": "x"}, "did you mean 'authors'"),
        ({"paper": "arXiv:2305.13050"}, "'paper' can't be taken: is not a link"),
        ({"paper": "https://"}, "'paper'"),
        ({"paper": "https://user@example.org"}, "'paper'"),
        ({"paper": "https://[::1"}, "'paper'"),
        ({"code": "ftp://example.org"}, "'code'"),
        ({"text_labels": "no"}, "'text_labels'"),
        ({"text_labels": 0}, "'text_labels'"),
        ({"name": 3}, "'name'"),
        ({"name": "x" * 81}, "at most 80"),
        ({"notes": "x" * 2001}, "at most 2000"),
        ({"notes": "bell\x07"}, "'notes'"),
        ({"authors": "zero\u200bwidth"}, "'authors'"),
    ],
    ids=str,
)
def test_cards_that_are_refused(fields, words):
    with pytest.raises(A2IBenchError) as error:
        MethodCard.of(fields)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("AudioToken", "audiotoken"),
        ("My Method (v2.1)", "my-method-v2-1"),
        ("Méthode  à  nous", "methode-a-nous"),
        ("--x--", "x"),
        ("../../etc/passwd", "etc-passwd"),
        ("ｆｕｌｌ", "full"),
    ],
)
def test_slugs(name, slug):
    assert slug_of(name) == slug


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100))
def test_any_slug_is_a_safe_folder_name(name):
    try:
        slug = slug_of(name)
    except A2IBenchError:
        return
    assert 0 < len(slug) <= 64
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not slug.startswith("-")
    assert slug not in ("con", "nul", "sanity", "readme")
    assert slug_of(slug) == slug
