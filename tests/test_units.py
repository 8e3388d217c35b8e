"""Units: the same bytes whoever makes them and whoever is killed; shards; the one clip that kills; nothing mixed."""

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.runs.executors import Event, perform
from a2ibench.runs.features import UnitFeatures, unit_size
from a2ibench.runs.generate import generate
from a2ibench.runs.local import LocalWorkers
from a2ibench.runs.prepare import prepare
from a2ibench.runs.units import Ledger, Shard, chunks, in_hash_order, shard_of
from a2ibench.scoring.units import FeatureFiles
from a2ibench.suites import load_suite
from a2ibench.suites.portable import clip_of, clip_spec, located, portable, suite_of, suite_spec

STOPPED = "Stopped; the same command goes on from what is whole."


@pytest.fixture
def suite(hum):
    return load_suite(hum)


@pytest.fixture
def make(suite, tmp_path):
    """Run the method into a folder of the test's; gives the bytes of its images."""

    def make(out="run", batch_size=3, **settings):
        options = settings.pop("options", {})
        run = prepare(suite, "hum", options=options)
        made = generate(run, suite.clips(), tmp_path / out, batch_size=batch_size, **settings)
        return {clip_id: file.read_bytes() for clip_id, file in made.files.items()}

    return make


# ---------------------------------------------------------------------------------------------------- shards


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 20])
def test_shards_are_a_partition_that_depends_on_ids_alone(suite, count):
    clips = suite.clips()
    parts = [Shard(number, count).of(clips, 2) for number in range(1, count + 1)]
    assert sorted(clip.clip_id for part in parts for clip in part) == list(clips.ids)
    assert parts == [Shard(number, count).of(list(clips)[::-1], 2) for number in range(1, count + 1)]
    units = {tuple(clip.clip_id for clip in unit) for unit in chunks(in_hash_order(clips), 2)}
    found = {tuple(clip.clip_id for clip in unit) for part in parts for unit in chunks(part, 2)}
    assert found == units, "the units are the same ones, however many shards there are"


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("1/1", {}, (1, 1)),
        ("3/16", {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "9"}, (3, 16)),
        ("none", {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "9"}, None),
        (None, {}, None),
        (None, {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, (1, 4)),
        (None, {"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, (4, 4)),
        (None, {"SLURM_ARRAY_TASK_ID": "10", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0",
                "SLURM_ARRAY_TASK_STEP": "5"}, (3, 3)),
        (None, {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "5"}, None),
    ],
)  # fmt: skip
def test_which_shard_this_is(text, environ, expected):
    found = shard_of(text, environ)
    assert (found and (found.number, found.count)) == expected


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "0/0"])
def test_a_shard_out_of_range_is_refused(text):
    with pytest.raises(A2IBenchError, match=f"no shard {text}; shards are counted from 1"):
        shard_of(text, {})


@pytest.mark.parametrize("text", ["", "1", "/", "a/b", "1/2/3", "-1/4", "1.5/2", "1/2\x1b[2J"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(A2IBenchError, match="is not I/N") as raised:
        shard_of(text, {})
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("place", ["3", "x", "-1"])
def test_an_array_with_gaps_is_refused(place):
    environ = {"SLURM_ARRAY_TASK_ID": place, "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0"}
    with pytest.raises(A2IBenchError, match="give --shard I/N"):
        shard_of(None, environ)


def test_a_loop_over_shards_is_the_whole(make, tmp_path):
    whole = make("whole")
    found = {}
    for number in (3, 1, 2):
        found |= make("shards", shard=Shard(number, 3))
        assert not (tmp_path / "shards/images.sha256").exists(), "that is for the merge"
    assert found == whole
    marks = {json.loads((tmp_path / "shards/run.json").read_text())["suite"]}
    assert make("shards") == whole
    for name in ("run.json", "images.sha256"):
        assert (tmp_path / "shards" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(marks) == 1


def test_the_merge_says_what_is_missing_and_makes_it(make, tmp_path):
    whole = make("whole")
    make("shards", shard=Shard(1, 3))
    with pytest.warns(A2IBenchWarning, match="Of 8 clips 5 are missing, of the shards 2/3, 3/3; they are made here"):
        assert make("shards") == whole


@pytest.mark.parametrize(
    ("change", "named"), [({"batch_size": 2}, "batch size: 3 there, 2 here"), ({"device": "mps"}, "device: cpu")]
)
def test_shards_of_other_settings_are_refused(make, change, named):
    make(shard=Shard(1, 2))
    with pytest.raises(A2IBenchError, match=named):
        make(shard=Shard(1, 2), **change)
    with pytest.raises(A2IBenchError, match=named):
        make(**change)


def test_a_shard_of_other_clips_is_refused(make, suite, tmp_path):
    make(shard=Shard(1, 2))
    run = prepare(suite, "hum")
    with pytest.raises(A2IBenchError, match="give the same --data and --limit"):
        generate(run, suite.clips().spread(4), tmp_path / "run", batch_size=3, shard=Shard(1, 2))


def test_a_run_of_before_there_were_units_goes_on(make, tmp_path):
    whole = make("whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "old")
    shutil.rmtree(tmp_path / "old/units")
    kept = tmp_path / "old/images/bell-0.png"
    before = kept.stat().st_mtime_ns
    (tmp_path / "old/images/dog-1.png").unlink()
    assert make("old") == whole
    assert kept.stat().st_mtime_ns == before
    assert len(list((tmp_path / "old/units").glob("*.json"))) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"made": 5}', '{"made": {"bell-0": "0"}, "sha256": "0"}'])
def test_a_broken_manifest_is_no_manifest(make, tmp_path, text):
    whole = make()
    (tmp_path / "run/images.sha256").unlink()
    for file in (tmp_path / "run/units").glob("*.json"):
        file.write_text(text)
    assert make() == whole
    assert Ledger(tmp_path / "run", tmp_path / "none").made.keys() == whole.keys()


def test_units_behind_a_link_are_refused(make, tmp_path):
    make()
    (tmp_path / "run/units").rename(tmp_path / "elsewhere")
    (tmp_path / "run/units").symlink_to("../elsewhere")
    with pytest.raises(A2IBenchError, match="is a link"):
        make(fresh=True)
    assert list((tmp_path / "elsewhere").iterdir())


# ------------------------------------------------------------------------------------------ who dies, by hand


class Pool:
    """Workers that die at the sight of some items, in the order of a seed; no processes."""

    def __init__(self, workers=3, kills=(), chance=0.0, loading=0.0, seed=0):
        self.workers, self.kills, self.chance, self.loading = workers, set(kills), chance, loading
        self.random, self.given, self.deaths, self.made = random.Random(seed), deque(), [], []  # noqa: S311

    def idle(self):
        return self.workers - len(self.given)

    def give(self, token, work, items):
        self.given.append((token, items))

    def events(self):
        self.random.shuffle(self.given)
        token, items = self.given.popleft()
        if self.random.random() < self.loading:
            return [Event(token, "SIGKILL", loading=True)]
        if self.kills & set(items) or (self.chance and self.random.random() < self.chance and len(self.deaths) < 2):
            self.deaths.append(list(items))
            return [Event(token, "SIGKILL")]
        self.made += items
        return [Event(token)]


class Letters:
    def __init__(self):
        self.failed = {}

    def spec(self):
        return {}

    def pack(self, items):
        return list(items)

    def fail(self, item, reason):
        self.failed[item] = reason


@pytest.mark.parametrize("seed", range(20))
def test_whoever_dies_all_is_made_once(seed):
    pool, work, moved = Pool(chance=0.5, seed=seed), Letters(), []
    perform(pool, work, "abcdefghijklmnop", 4, moved.append)
    assert sorted(pool.made) == list("abcdefghijklmnop")
    assert not work.failed
    assert sum(moved) == 16


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bad", ["a", "g", "hi", "ap"])
def test_what_kills_is_found_and_named(seed, bad):
    pool, work, moved = Pool(kills=bad, seed=seed), Letters(), []
    perform(pool, work, "abcdefghijklmnop", 8, moved.append)
    assert sorted(pool.made) == sorted(set("abcdefghijklmnop") - set(bad))
    assert work.failed == dict.fromkeys(bad, "it ended every worker that tried: SIGKILL")
    assert sum(moved) == 16
    # A unit of eight: twice; a half and a quarter: once more each; alone: twice.
    assert len(pool.deaths) <= 6 * len(bad)
    assert all(pool.deaths.count([item]) == 2 for item in bad), "nothing is blamed for one death"


def test_when_all_die_it_is_not_the_clips():
    work = Letters()
    with pytest.raises(A2IBenchError, match="Workers die whatever they are given"):
        perform(Pool(kills="abcdefghijkl"), work, "abcdefghijkl", 2)
    assert len(work.failed) <= 3


def test_workers_that_die_while_they_load_are_told():
    with pytest.raises(A2IBenchError, match="fewer --workers"):
        perform(Pool(loading=1.0), Letters(), "abcd", 2)
    pool = Pool(loading=0.3, seed=3)
    perform(pool, Letters(), "abcdefgh", 2)
    assert sorted(pool.made) == list("abcdefgh")


# ------------------------------------------------------------------------------------------ who dies, for real


def killer(workers, seed, most=2):
    """Kill up to `most` of the workers, at times that a seed gives; gives what stops it and says whom it killed."""
    chance, killed, over = random.Random(seed), [], threading.Event()  # noqa: S311

    def go():
        while len(killed) < most and not over.wait(0.3 + chance.random()):
            pids = workers.pids()
            if pids:
                killed.append(chance.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=go)
    thread.start()

    def stop():
        over.set()
        thread.join()
        return killed

    return stop


@pytest.mark.slow
def test_workers_make_the_same_bytes_and_so_do_those_that_are_killed(make, suite, tmp_path):
    whole = make("whole", batch_size=1)
    seen = tmp_path / "seen"
    seen.mkdir()
    with LocalWorkers(2, "cpu") as workers:
        moved = []
        stop = killer(workers, seed=0)
        options = {"seen": str(seen), "slow": 0.3}
        assert make("killed", options=options, batch_size=1, executor=workers, advance=moved.append) == whole
        assert stop()
        assert sum(moved) == 8
        run = prepare(suite, "hum")
        assert generate(run, suite.clips(), tmp_path / "calm", batch_size=1, executor=workers).failed == ()
        rows = _features(suite, tmp_path / "calm", workers)
    assert len({file.name.split("-")[0] for file in seen.iterdir()}) >= 2
    for name in ("images.sha256", *(f"images/{clip_id}.png" for clip_id in whole)):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "calm" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = {file.name for file in (tmp_path / "calm/units").glob("*.json")}
    assert names == {file.name for file in (tmp_path / "whole/units").glob("*.json")}
    alone = _features(suite, tmp_path / "whole", None)
    assert np.array_equal(rows, alone)
    files = {file.name: file.read_bytes() for file in (tmp_path / "calm/units/features").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "whole/units/features").iterdir()}


def _features(suite, folder, executor):
    encoder = suite.encoder("hum-shade")
    source = UnitFeatures(suite, folder, "cpu", executor)
    paths = sorted((folder / "images").iterdir())
    return np.stack(source.files([encoder], paths, 4, lambda n: None)["hum-shade"])


@pytest.mark.slow
def test_the_clip_that_kills_is_named_and_not_tried_again(make, suite, tmp_path):
    whole = make("whole", batch_size=2)
    options = {"kills": "dog-1"}
    with LocalWorkers(2, "cpu") as workers:
        assert make("run", options=options, batch_size=2, executor=workers).items() == (
            whole.items() - {("dog-1", whole["dog-1"])}
        )
    run = prepare(suite, "hum", options=options)
    again = generate(run, suite.clips(), tmp_path / "run", batch_size=2)  # in this process: it would die
    assert again.failed == ("dog-1",)
    (note,) = again.notes()
    assert note.startswith("Failed (it ended every worker that tried: SIGKILL")
    assert "'dog-1'" in note
    state = json.loads((tmp_path / "run/failures.json").read_text())
    assert state["failed"] == ["dog-1"]
    assert "SIGKILL" in state["reasons"]["dog-1"]
    assert "dog-1" not in (tmp_path / "run/images.sha256").read_text()


@pytest.mark.slow
def test_an_error_in_a_worker_is_told_and_ends_all(make, own_clips):
    with LocalWorkers(1, "cpu") as workers:
        with pytest.raises(RuntimeError, match="ZeroDivisionError: at this clip"):
            make(options={"breaks": "dog-1"}, executor=workers)
        with pytest.raises(A2IBenchError, match="is another one on this machine"):
            perform(workers, _Elsewhere(), ["x"], 1)
        (pid,) = workers.pids()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class _Elsewhere(Letters):
    def spec(self):
        return {"work": "encode", "suite": {"name": "mini", "digest": "0"}, "encoders": {}, "folder": "", "device": ""}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_all_in_one_line(start_cli, hum, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    words = ("generate", "--method", "hum", "--suite", "hum", "--batch-size", 1, "--workers", 2, "--out", "out")
    process = start_cli(*words, "--set", f"seen={seen}", "--set", "slow=2")
    until = time.monotonic() + 300
    while len(list(seen.iterdir())) < 2:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == STOPPED
    assert "Traceback" not in said
    for pid in {int(file.name.split("-")[0]) for file in seen.iterdir()}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# ------------------------------------------------------------------------------------------------- features


def test_features_of_units(suite, tmp_path):
    encoder = suite.encoder("hum-shade")
    paths = [clip.file("image") for clip in suite.clips()]
    source, moved = UnitFeatures(suite, tmp_path, "cpu"), []
    rows = source.files([encoder], paths, 3, moved.append)["hum-shade"]
    assert sum(moved) == 8
    assert np.array_equal(np.stack(rows)[:, 0], [encoder.encode([_image(path)])[0, 0] for path in paths])
    folder = tmp_path / "units/features"
    assert len(list(folder.glob("*.json"))) == len(list(folder.glob("*.safetensors"))) == 3
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = UnitFeatures(suite, tmp_path, "cpu").files([encoder], paths[::-1], 3, moved.append)["hum-shade"]
    assert np.array_equal(np.stack(again), np.stack(rows)[::-1])
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before, "nothing was computed"


def _image(path):
    from a2ibench.clips import read_image

    return read_image(path)


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"null", bytes(1000), None])
def test_damaged_features_are_computed_again(suite, tmp_path, suffix, damage):
    encoder = suite.encoder("hum-shade")
    paths = [clip.file("image") for clip in suite.clips()]
    rows = UnitFeatures(suite, tmp_path, "cpu").files([encoder], paths, 3, lambda n: None)
    file = next((tmp_path / "units/features").glob(f"*.{suffix}"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    again = UnitFeatures(suite, tmp_path, "cpu").files([encoder], paths, 3, lambda n: None)
    assert np.array_equal(np.stack(again["hum-shade"]), np.stack(rows["hum-shade"]))


def test_rows_of_any_shape_are_kept(tmp_path):
    store = FeatureFiles(tmp_path)
    rows = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 3), np.float32), "c": np.float32([7])}
    store.write({"one": rows, "two": {"a": rows["c"]}})
    found = store.read("one").get(["a", "b", "c", "d"])
    assert found.keys() == rows.keys()
    assert all(np.array_equal(found[key], rows[key]) and found[key].shape == rows[key].shape for key in rows)
    assert np.array_equal(store.read("two").get(["a"])["a"], [7])
    assert store.read("three").get(["a"]) == {}


def test_units_grow_with_the_number_of_clips_alone():
    assert [unit_size(n, 32) for n in (1, 240, 2048, 4096, 15_446, 200_000)] == [32, 32, 32, 64, 224, 256]


# ------------------------------------------------------------------------------------------- the whole command


def test_eval_by_shards_is_eval(hum, run_cli, monkeypatch):
    words = ("eval", "--method", "hum", "--suite", "hum", "--metric", "HUM", "--batch-size", 3)
    assert run_cli(*words, "--out", "whole").code == 0
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    for place in "01":
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", place)
        outcome = run_cli(*words, "--out", "shards")
        assert outcome.code == 0, outcome.err
        assert f"Shard {int(place) + 1}/2 of the SLURM array" in outcome.err
        assert not Path("shards/result.json").exists()
    assert len(list(Path("shards/units").glob("*.json"))) == 3
    monkeypatch.setattr("a2ibench.runs.features.perform", lambda *_: pytest.fail("features were computed again"))
    outcome = run_cli(*words, "--out", "shards", "--shard", "none")
    assert outcome.code == 0, outcome.err
    for name in ("run.json", "items.csv", "images.sha256", "contact.png"):
        assert Path("shards", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--shard", "3/2"), "no shard 3/2"),
        (("--shard", "x"), "is not I/N"),
        (("--workers", "0"), "0 workers can do nothing"),
        (("--workers", "-2"), "-2 workers can do nothing"),
        (("--shard", "1/2", "--fresh"), "--fresh would delete what other shards make"),
        (("--shard", "1/2", "--ray", "auto"), "give one of them"),
    ],
)
@pytest.mark.parametrize("command", ["eval", "generate", "reproduce"])
def test_what_can_not_be_is_refused_before_any_work(hum, run_cli, command, words, sentence):
    first = ("reproduce", "table1") if command == "reproduce" else (command, "--method", "hum", "--suite", "hum")
    assert sentence in run_cli(*first, *words, "--out", "out").sentence
    assert not Path("out").exists()


@pytest.mark.slow
def test_from_python_with_workers(hum, tmp_path):
    import a2ibench as a2i

    settings = {"metrics": ["HUM"], "batch_size": 4}
    alone = a2i.evaluate("hum", "hum", out=tmp_path / "alone", **settings)
    ours = a2i.evaluate("hum", "hum", out=tmp_path / "ours", workers=1, **settings)
    assert ours.scores == alone.scores
    assert (tmp_path / "ours/items.csv").read_bytes() == (tmp_path / "alone/items.csv").read_bytes()
    assert list((tmp_path / "ours/units/features").glob("*.safetensors"))
    with pytest.raises(A2IBenchError, match="0 workers"):
        a2i.evaluate("hum", "hum", workers=0)


def test_gpus_are_dealt_out_in_turn(monkeypatch):
    from a2ibench.runs import local

    class Process:
        def __init__(self, told, gpu, *_):
            self.gpu, self.token = gpu, None
            started.append(gpu)

        def give(self, token, unit):
            self.token = token

        def stop(self):
            pass

        def close(self):
            return ""

    started = []
    monkeypatch.setattr(local, "_Process", Process)
    monkeypatch.setattr(local, "device_of", lambda name: "cuda" if name == "auto" else name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    for device, expected in (("auto", ["2", "5", "2"]), ("cpu", [None] * 3), ("cuda:1", [None] * 3)):
        started.clear()
        with LocalWorkers(3, device) as workers:
            for token in range(3):
                assert workers.idle() == 3 - token
                workers.give(token, {}, [])
        assert started == expected


# ----------------------------------------------------------------------------------------- as plain data


def test_suites_clips_and_paths_come_back(hum, tiny_suite, clip_folder, tmp_path):
    for suite in (load_suite("mini"), load_suite(hum), load_suite(str(tiny_suite))):
        spec = json.loads(json.dumps(suite_spec(suite)))
        assert suite_of(spec) == suite
    assert suite_spec(load_suite("mini")).keys() == {"name", "digest"}
    for clip in (load_suite("mini").clips()[0], load_suite(hum).clips()[0]):
        assert clip_of(json.loads(json.dumps(clip_spec(clip)))) == clip
    inside = load_suite("mini").clips()[0].file("image")
    assert portable(inside).startswith("a2ibench://suites/mini/")
    assert located(portable(inside)) == inside
    assert located(portable(tmp_path)) == tmp_path
