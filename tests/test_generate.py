"""Making images: the same ones in one go, in two halves, in any order, after a kill; never two runs in one folder."""

import json
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from a2ibench.baselines import methods
from a2ibench.baselines.base import Method, image_seed, images_of
from a2ibench.clips import ClipSet, load_clips
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.files import sha256_file
from a2ibench.runs.folder import check_folder
from a2ibench.runs.generate import generate
from a2ibench.runs.prepare import prepare
from a2ibench.suites import Suite, load_suite
from a2ibench.suites.file import SuiteFile

CALLS = []


def _load(parts, options, device):
    def draw(clips, seeds):
        CALLS.append([clip.clip_id for clip in clips])
        time.sleep(float(os.environ.get("SLOW_METHOD", 0)))
        images = []
        for clip, seed in zip(clips, seeds, strict=True):
            rng = np.random.default_rng([seed, int(sha256_file(clip.file("audio"))[:8], 16), options["shade"]])
            images.append(Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)))
        return images

    return draw


FAKE = Method("fake", "Noise by seed and sound.", "audio", _load, options={"shade": 1, "word": "x", "scale": 2.0})


def register():
    """Make the method known; also called in the process that is to be killed."""
    methods()["fake"] = FAKE


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    monkeypatch.setitem(methods(), "fake", FAKE)
    CALLS.clear()


@pytest.fixture(scope="module")
def clips(clip_folder):
    return load_clips(clip_folder)


def bare_suite(folder, name="bare"):
    return Suite(SuiteFile(name=name, version=1), folder, built_in=True)


@pytest.fixture
def make(tmp_path, clips):
    """Run the method into a folder of the test's; gives the bytes of its images."""

    def make(out="run", which=clips, batch_size=3, fresh=False, suite="bare", method="fake", **settings):
        run = prepare(bare_suite(tmp_path, suite), method, **settings)
        files = generate(run, which, tmp_path / out, batch_size=batch_size, fresh=fresh).files
        assert list(files) == list(which.ids)
        return {clip_id: file.read_bytes() for clip_id, file in files.items()}

    return make


# ------------------------------------------------------------------------------------------- the same images


def test_in_two_halves(make, clips):
    whole = make("whole")
    assert len(set(whole.values())) == len(clips) == 8
    first = make("halves", clips.spread(3))
    CALLS.clear()
    assert make("halves") == whole
    assert first.items() <= whole.items()
    assert {clip_id for call in CALLS for clip_id in call} == set(clips.ids) - first.keys()


def test_in_another_order_and_other_batches(make, clips):
    whole = make("whole")
    assert make("reversed", ClipSet(list(clips)[::-1], "x")) == whole
    assert make("one by one", batch_size=1) == whole
    assert make("at once", batch_size=64) == whole


def test_after_some_were_deleted(make, tmp_path):
    whole = make()
    for clip_id in ("bell-1", "rain-0"):
        (tmp_path / f"run/images/{clip_id}.png").unlink()
    CALLS.clear()
    assert make() == whole
    (call,) = CALLS
    assert set(call) == {"bell-1", "rain-0"}
    assert call[1] == call[2], "filled up with the last one"


def test_a_run_that_is_whole_loads_no_network(make, monkeypatch):
    whole = make()
    CALLS.clear()
    broken = Method("fake", "", "audio", lambda *_: pytest.fail("loaded"), options=FAKE.options)
    monkeypatch.setitem(methods(), "fake", broken)
    assert make() == whole
    assert CALLS == []


def test_every_batch_is_full(make, clips):
    make(batch_size=3)
    assert [len(call) for call in CALLS] == [3, 3, 3]
    assert CALLS[-1][1] == CALLS[-1][2], "filled up with the last one"
    assert {clip_id for call in CALLS for clip_id in call} == set(clips.ids)


def test_progress_adds_up(tmp_path, clips):
    run = prepare(bare_suite(tmp_path), "fake")
    for _ in range(2):
        done = []
        generate(run, clips, tmp_path / "run", batch_size=3, advance=done.append)
        assert sum(done) == len(clips)


def test_what_was_drawn_before_an_end_is_kept(make, monkeypatch, clips, tmp_path):
    class Killed(BaseException):
        pass

    def load(parts, options, device):
        draw = _load(parts, options, device)

        def dying(some, seeds):
            if len(CALLS) == 2:
                raise Killed
            return draw(some, seeds)

        return dying

    whole = make("whole")
    CALLS.clear()
    with monkeypatch.context() as patch:
        patch.setitem(methods(), "fake", Method("fake", "", "audio", load, options=FAKE.options))
        with pytest.raises(Killed):
            make()
    assert len(list((tmp_path / "run/images").glob("*.png"))) == 6
    assert make() == whole


def test_a_half_written_image_is_no_image(make, clips, tmp_path):
    whole = make("whole")
    make(which=clips[:1])
    (tmp_path / "run/images/.bell-1.png.0123abcd.part").write_bytes(b"\x89PNG half")
    assert make() == whole


def _shorter(file):
    file.write_bytes(file.read_bytes()[:-1])


def _flipped(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def _linked(file):
    copy = file.parents[2] / "elsewhere.png"
    file.rename(copy)
    file.symlink_to(copy)


@pytest.mark.parametrize("damage", [_shorter, _flipped, _linked, lambda file: file.write_bytes(b"")])
def test_a_damaged_image_is_made_anew(make, tmp_path, damage):
    whole = make()
    damage(tmp_path / "run/images/bell-1.png")
    CALLS.clear()
    assert make() == whole
    assert CALLS == [["bell-1"] * 3]
    assert not (tmp_path / "run/images/bell-1.png").is_symlink()
    damage(tmp_path / "run/images.sha256")
    if damage is _linked:
        with pytest.raises(A2IBenchError, match="is a link"):
            make()
    else:
        assert make() == whole


def test_the_hashes_are_what_sha256sum_reads(make, tmp_path):
    make()
    lines = [line.split("  ") for line in (tmp_path / "run/images.sha256").read_text().splitlines()]
    assert {tmp_path / "run" / name for _, name in lines} == set((tmp_path / "run/images").iterdir())
    assert all(sha256_file(tmp_path / "run" / name) == digest for digest, name in lines)


def test_images_behind_a_link_are_left_alone(make, tmp_path):
    make()
    (tmp_path / "run/images").rename(tmp_path / "elsewhere")
    (tmp_path / "run/images").symlink_to("../elsewhere")
    for fresh in (False, True):
        with pytest.raises(A2IBenchError, match="is a link"):
            make(fresh=fresh)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 8


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "5", "{}", '{"retried": 5}', '{"retried": [], "failed": ["bell-0"]}']
)
def test_broken_failures_are_refused(make, tmp_path, text):
    make()
    (tmp_path / "run/failures.json").write_text(text)
    with pytest.raises(A2IBenchError, match=r"failures\.json is broken; give --fresh"):
        make()
    make(fresh=True)


def test_a_disk_too_full_for_the_images_is_told_before_the_first_one(make, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=8 * 4096 - 1))
    with pytest.raises(A2IBenchError, match="a run of 8 images at least needs"):
        make()
    assert CALLS == []


def test_a_folder_is_checked_before_any_work_and_nothing_is_written(make, tmp_path):
    run = prepare(bare_suite(tmp_path), "fake")
    assert check_folder(run, tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    make()
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert len(check_folder(run, tmp_path / "run")) == 8
    other = prepare(bare_suite(tmp_path), "fake", seed=1)
    with pytest.raises(A2IBenchError, match=r"another configuration \(seed\)"):
        check_folder(other, tmp_path / "run")
    assert check_folder(other, tmp_path / "run", fresh=True) == {}
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", ["run.json", "failures.json", "images.sha256", "images/bell-0.png"])
def test_a_pipe_in_place_of_a_file_does_not_hang(make, tmp_path, name):
    make()
    (tmp_path / "run" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(A2IBenchError, match=r"plain file|not a file"):
        make()


def test_image_seed_depends_on_each_of_its_arguments():
    seeds = {image_seed(s, c, i) for s in (0, 1) for c in ("a", "b", "1") for i in (0, 1)}
    assert len(seeds) == 12
    assert image_seed(0, "a") == image_seed(0, "a", 0)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # Written down: another derivation would change every published image.
    assert image_seed(0, "bell-00") == 606_573_361_697_939_072


def test_the_seed_and_the_sound_change_the_images(make, own_clips):
    whole = make()
    assert not set(make("other", seed=1).values()) & set(whole.values())
    (own_clips / "audio/bell-0.wav").write_bytes((own_clips / "audio/dog-0.wav").read_bytes())
    changed = make("third", load_clips(own_clips))
    assert [clip_id for clip_id in whole if changed[clip_id] != whole[clip_id]] == ["bell-0"]


# ------------------------------------------------------------------------------------------- never two runs in one


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"options": {"shade": 2}}, "options"),
        ({"suite": "other"}, "suite"),
        ({"method": "reference"}, "method"),
    ],
)
def test_another_configuration_is_refused_by_name(make, change, named):
    whole = make()
    with pytest.raises(A2IBenchError, match=rf"\(.*\b{named}\b.*\).*--out.*--fresh"):
        make(**change)
    assert make() == whole, "the refusal changed nothing"
    assert len(make(**change, fresh=True)) == 8


def test_changed_clips_are_refused(make, own_clips):
    make(which=load_clips(own_clips))
    (own_clips / "audio/dog-1.wav").write_bytes((own_clips / "audio/dog-0.wav").read_bytes())
    with pytest.raises(A2IBenchError, match="'dog-1' has other contents"):
        make(which=load_clips(own_clips))


def test_fresh_makes_every_image_anew(make, tmp_path):
    make(seed=1)
    (tmp_path / "run/images/stale.png").write_bytes(b"of the old run")
    whole = make("whole")
    CALLS.clear()
    assert make(fresh=True) == whole
    assert len(CALLS) == 3
    assert not (tmp_path / "run/images/stale.png").exists()
    assert make() == whole


def test_images_of_unknown_origin_are_refused(make, tmp_path):
    (tmp_path / "run/images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "run/images/bell-0.png")
    with pytest.raises(A2IBenchError, match=r"run\.json.*--fresh"):
        make()
    assert make(fresh=True) == make("whole")


@pytest.mark.parametrize("text", ["{", "[]", "{}", "null"])
def test_a_broken_record_is_refused(make, tmp_path, text):
    make()
    (tmp_path / "run/run.json").write_text(text)
    with pytest.raises(A2IBenchError, match="broken"):
        make()
    make(fresh=True)


def test_the_record_says_what_the_images_depend_on(make, tmp_path, clips):
    make(options={"shade": 5}, seed=7)
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["clips"].keys() == set(clips.ids)
    assert (record["method"], record["suite"], record["seed"]) == ("fake", "bare@1", 7)
    assert record["options"] == {"shade": 5, "word": "x", "scale": 2.0}


# ------------------------------------------------------------------------------------------- options


def test_unknown_names_get_the_nearest(make):
    with pytest.raises(A2IBenchError, match="did you mean 'fake'"):
        make(method="fakr")
    with pytest.raises(A2IBenchError, match="did you mean 'shade'"):
        make(options={"shde": 2})


@pytest.mark.parametrize(
    ("option", "value"),
    [("shade", "two"), ("shade", 0), ("shade", 1.5), ("shade", True), ("scale", float("nan")), ("scale", "1"),
     ("scale", -1.0), ("word", 5)],
)  # fmt: skip
def test_an_option_of_another_kind_is_refused(make, option, value):
    with pytest.raises(A2IBenchError, match=f"'{option}'"):
        make(options={option: value})
    assert CALLS == []


def test_a_whole_number_will_do_for_a_number(make):
    make(options={"scale": 3})


# ------------------------------------------------------------------------------------------- for real


@pytest.mark.slow
def test_kill_dash_nine_then_the_same_command(start_cli, run_cli, clip_folder, tmp_path):
    suite = tmp_path / "bare.toml"
    suite.write_text('name = "bare"\nversion = 1\n')

    def command(out):
        return "generate", "--method", "fake", "--suite", suite, "--data", clip_folder, "--batch-size", 1, "--out", out

    before = f"import os, sys; os.environ['SLOW_METHOD'] = '0.4'; sys.path.insert(0, {os.path.dirname(__file__)!r}); "
    process = start_cli(*command("killed"), before=before + "import test_generate; test_generate.register()")
    images = tmp_path / "killed/images"
    until = time.monotonic() + 300
    while len(list(images.glob("*.png"))) < 2:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    made = {file.name: file.read_bytes() for file in images.glob("*.png")}
    assert 2 <= len(made) < 8
    CALLS.clear()
    assert run_cli(*command("killed")).code == 0
    # The hashes are written after each batch: an image that was killed before its hash was may be made again.
    assert 0 <= len(CALLS) - (8 - len(made)) <= 1, "what was whole is kept"
    assert run_cli(*command("undisturbed")).code == 0
    undisturbed = {file.name: file.read_bytes() for file in (tmp_path / "undisturbed/images").glob("*.png")}
    assert {file.name: file.read_bytes() for file in images.glob("*.png")} == undisturbed
    assert made.items() <= undisturbed.items()


@pytest.mark.parametrize("method", ["audiotoken", "sd-text"])
def test_real_methods_give_the_same_images_to_the_bit(tiny_suite, tmp_path, method):
    suite = load_suite(str(tiny_suite))
    clips, run = suite.clips(), prepare(suite, method)

    def images(out, which=clips, batch_size=4):
        files = generate(run, which, tmp_path / out, batch_size=batch_size).files
        return {clip_id: file.read_bytes() for clip_id, file in files.items()}

    whole = images("whole")
    assert len(set(whole.values())) == 8
    images("halves", clips.spread(3))
    assert images("halves") == whole
    (tmp_path / "halves/images/dog-1.png").unlink()
    assert images("halves") == whole
    pixels = {clip_id: np.asarray(Image.open(tmp_path / f"whole/images/{clip_id}.png"), int) for clip_id in whole}
    images("one by one", batch_size=1)
    for clip_id, expected in pixels.items():
        found = np.asarray(Image.open(tmp_path / f"one by one/images/{clip_id}.png"), int)
        assert np.abs(found - expected).max() <= 1, "other batch shapes may round otherwise, and no more"


def test_audiotoken_hears_and_sd_text_does_not(tiny_suite, own_clips, tmp_path):
    suite = load_suite(str(tiny_suite))
    (own_clips / "audio/bell-0.wav").write_bytes((own_clips / "audio/dog-2.wav").read_bytes())
    before, after = suite.clips()[:1], load_clips(own_clips)[:1]
    for method, hears in (("audiotoken", True), ("sd-text", False)):
        run = prepare(suite, method, options={"guidance": 30.0})
        found = [
            generate(run, clips, tmp_path / f"{method}{number}", batch_size=1).files["bell-0"].read_bytes()
            for number, clips in enumerate((before, after))
        ]
        assert (found[0] != found[1]) == hears


# ------------------------------------------------------------------------------------ what is none, or too much


def _with(monkeypatch, spoil):
    """The fake method, with what `spoil(full batch, seeds, images)` makes of its images."""

    def load(parts, options, device):
        draw = _load(parts, options, device)
        return lambda clips, seeds: spoil(clips, seeds, draw(clips, seeds))

    monkeypatch.setitem(methods(), "fake", Method("fake", "Spoilt.", "audio", load, options=FAKE.options))


def test_an_image_that_is_none_is_drawn_again_with_another_seed(make, monkeypatch, clips, tmp_path):
    whole = make("whole")
    first = {clip_id: image_seed(0, clip_id) for clip_id in ("bell-0", "dog-1")}

    def spoil(some, seeds, images):
        bad = [c.clip_id == "dog-1" or seed in first.values() for c, seed in zip(some, seeds, strict=True)]
        return [None if each else image for each, image in zip(bad, images, strict=True)]

    _with(monkeypatch, spoil)
    run = prepare(bare_suite(tmp_path), "fake")
    made = generate(run, clips, tmp_path / "run", batch_size=3)
    assert (made.retried, made.failed) == (("bell-0",), ("dog-1",))
    assert "dog-1" not in made.files
    assert not (tmp_path / "run/images/dog-1.png").exists()
    for clip_id, file in made.files.items():
        assert (file.read_bytes() == whole[clip_id]) == (clip_id != "bell-0")
    assert [note.partition(":")[2].strip() for note in made.notes()] == ["'bell-0'.", "'dog-1'."]
    CALLS.clear()
    assert generate(run, clips, tmp_path / "run", batch_size=3) == made, "what failed twice is not tried again"
    assert CALLS == []
    monkeypatch.setitem(methods(), "fake", FAKE)
    healed = generate(prepare(bare_suite(tmp_path), "fake"), clips, tmp_path / "run", batch_size=3, fresh=True)
    assert healed.retried == healed.failed == ()
    assert {clip_id: file.read_bytes() for clip_id, file in healed.files.items()} == whole


def test_the_batch_is_halved_where_the_memory_does_not_hold_it(make, monkeypatch, clips, tmp_path):
    whole = make("whole")

    def spoil(some, seeds, images):
        if len(some) > 2:
            raise torch.OutOfMemoryError
        return images

    _with(monkeypatch, spoil)
    with pytest.warns(A2IBenchWarning, match="going on with 2 images at once") as said:
        assert make("halved", batch_size=8) == whole
    assert len(said) == 2, "8, 4, 2"
    assert {len(call) for call in CALLS[-4:]} == {2}

    def never(some, seeds, images):
        raise torch.OutOfMemoryError

    _with(monkeypatch, never)
    with pytest.warns(A2IBenchWarning), pytest.raises(A2IBenchError, match="more memory for one image"):
        make("never", batch_size=2)


def test_images_of_pixels():
    pixels = np.zeros((3, 2, 2, 3), np.float32)
    pixels[0] = 1
    pixels[1, 0, 1, 2] = np.nan
    pixels[2, 1, 1, 0] = 0.5
    white, none, dark = images_of(pixels)
    assert none is None
    assert np.asarray(white).min() == 255
    assert np.asarray(dark)[1, 1].tolist() == [128, 0, 0]


def test_a_pipeline_that_returns_nan(tiny_suite, tmp_path, monkeypatch):
    """The published class itself, with weights that give no number for one clip."""
    suite = load_suite(str(tiny_suite))
    clips = suite.clips().spread(3)
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    embed = StableDiffusion.embed_prompts

    def spoilt(self, prompts, tokens=None):
        states = embed(self, prompts, tokens)
        return states * torch.tensor([float("nan") if "dog" in prompt else 1.0 for prompt in prompts])[:, None, None]

    monkeypatch.setattr(StableDiffusion, "embed_prompts", spoilt)
    made = generate(prepare(suite, "sd-text", options={"steps": 1}), clips, tmp_path / "run", batch_size=3)
    dogs = [clip.clip_id for clip in clips if "dog" in clip.label]
    assert dogs
    assert made.failed == tuple(dogs)
    assert len(made.files) == len(clips) - len(dogs)
