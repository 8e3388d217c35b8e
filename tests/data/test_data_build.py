"""From videos of the drawn world to a folder of clips: choice, filter, provenance, coverage, resume, processes."""

import csv
import json
import os
import shutil
import signal
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from made import assert_same_video

from a2ibench.clips import load_clips, read_audio
from a2ibench.data import build as build_module
from a2ibench.data import make
from a2ibench.data.build import build, check_space
from a2ibench.data.decode import decode
from a2ibench.data.example import FRAMES_PER_SECOND, SIZE, draw_videos, encode
from a2ibench.data.judge import Judge, Settings
from a2ibench.data.records import place
from a2ibench.data.vggsound import corpus
from a2ibench.errors import A2IBenchError
from a2ibench.suites.mini import world

MINI = Settings(suite="mini", clip_seconds=3.0, shortest=2.7)
# Beside the checkout; beside the folder of all of them for a worktree.
MEDIA = next(
    (p for up in (3, 4) if (p := Path(__file__).parents[up] / "shared/data/vggsound" / "media").exists()),
    Path("absent"),
)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Six videos that are well, and six that are not; not to be written to."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_videos(folder, 6)
    _add_broken(folder)
    return folder


def scene_of(kind, seed=5):
    return world.Scene((world.Event(kind, 1),), 0.6, 0, seed)


def pixels(kind, seed=5):
    return np.asarray(world.render(scene_of(kind, seed)).resize((SIZE, SIZE)))


def _add_broken(folder):
    fps, rate = FRAMES_PER_SECOND, world.SAMPLE_RATE
    frog, bell = [pixels(1)] * 24, world.sound(scene_of(0))
    videos = {
        "disagree___": encode(frog, fps, bell, rate),
        "short______": encode(frog[:12], fps, world.sound(scene_of(1))[: rate * 3 // 2], rate),
        "mute_______": encode(frog, fps, np.zeros(3 * rate), rate),
        "nosound____": encode(frog, fps, None, rate),
        "corrupt____": b"not a video at all",
        "missing____": None,
    }
    with (folder / "list.csv").open("a", newline="") as file:
        for name, data in videos.items():
            csv.writer(file, lineterminator="\n").writerow([f"{name}_000010.mp4", "frog croaking"])
            if data is not None:
                (folder / f"videos/{name}_000010.mp4").write_bytes(data)


def built(drawn, out, settings=MINI, **options):
    return build(corpus(drawn / "videos", drawn / "list.csv"), out, settings, **options)


@pytest.fixture(scope="session")
def clips(drawn, tmp_path_factory):
    """The folder of clips made of them; not to be written to."""
    out = tmp_path_factory.mktemp("made") / "clips"
    built(drawn, out)
    return out


def rows_of(out):
    with (out / "provenance.csv").open(newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def tree(out):
    """All that a build leaves but its lock: contents by name."""
    return {
        file.relative_to(out).as_posix(): file.read_bytes()
        for file in sorted(out.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


# ------------------------------------------------------------------------------------------------ clips


def test_every_clip_is_kept_or_dropped_for_its_own_reason(clips):
    rows = rows_of(clips)
    assert len(rows) == 12
    reasons = {row["clip_id"][:11].strip("_"): row["reason"] for row in rows.values() if row["status"] == "dropped"}
    assert reasons == {
        "disagree": "disagree",
        "short": "short",
        "mute": "mute",
        "nosound": "no sound",
        "corrupt": "corrupt",
        "missing": "missing",
    }
    disagree = rows["disagree____000010"]
    assert (disagree["image_class"], disagree["audio_class"]) == ("frog", "church bell ringing")
    assert float(disagree["agreement"]) < 0.75
    assert not disagree["audio"]
    assert rows["short_______000010"]["seconds"] == "1.5"
    assert {file.stem for file in (clips / "audio").iterdir()} == {r for r, row in rows.items() if not row["reason"]}


def test_the_folder_is_what_data_takes(clips):
    made = load_clips(clips)
    assert len(made) == 6
    for clip in made:
        assert read_audio(clip["audio"], 16_000).size == pytest.approx(3 * 16_000, abs=2100)
        assert clip["image"].stat().st_size > 0


def test_the_frame_is_the_one_that_clip_puts_nearest_to_the_label(clips, drawn):
    """Computed anew: all frames in one batch, cosines by hand; and as it was drawn: the end shows another kind."""
    judge = Judge(MINI)
    for clip_id, row in rows_of(clips).items():
        if row["status"] != "kept":
            continue
        moments = decode(drawn / "videos" / row["source"]).moments
        images = judge.suite.encoder("clip-image").encode([moment.image for moment in moments])
        text = judge.suite.encoder("clip-text").encode([row["label"], "something else"])[0]
        cosines = [float(image @ text / np.sqrt((image @ image) * (text @ text))) for image in images]
        assert row["frame_time"] == str(moments[int(np.argmax(cosines))].time)
        assert float(row["clip_score"]) == pytest.approx(max(cosines), abs=2e-5)
        assert float(row["frame_time"]) < world.SECONDS * 2 / 3, clip_id


def test_the_sound_is_that_of_the_whole_video(clips, drawn):
    row = rows_of(clips)["mini0000000_000000"]
    wave, rate = soundfile.read(clips / row["audio"], dtype="int16", always_2d=True)
    np.testing.assert_array_equal(wave, decode(drawn / "videos" / row["source"]).sound)
    assert (rate, wave.shape[1]) == (int(row["rate"]), int(row["channels"]))
    scene = world.draw_scene("afresh", 10_000)
    true = world.sound(world.Scene((world.Event(0, scene.count),), scene.size, scene.place, scene.seed))
    assert np.corrcoef(wave[: len(true), 0], true[: len(wave)])[0, 1] > 0.9


def test_hashes_in_the_provenance_are_those_of_the_files(clips, drawn):
    from a2ibench.files import sha256_file

    for row in rows_of(clips).values():
        if row["source"]:
            assert row["source_sha256"] == sha256_file(drawn / "videos" / row["source"])
        for name in ("audio", "image"):
            if row[name]:
                assert row[f"{name}_sha256"] == sha256_file(clips / row[name])


def test_coverage_counts_by_class(clips):
    report = json.loads((clips / "coverage.json").read_text())
    assert (report["list"]["clips"], report["wanted"], report["found"], report["kept"]) == (12, 12, 11, 6)
    assert sum(report["dropped"].values()) == 6
    assert report["classes"]["frog croaking"] == {"listed": 7, "wanted": 7, "found": 6, "kept": 1}
    assert report["list"]["sha256"] == corpus_digest(clips)
    assert set(report["encoders"]) == {"clip-image", "clip-text", "classifier", "audio"}
    with (clips / "coverage.csv").open(newline="") as file:
        table = {row["label"]: int(row["kept"]) for row in csv.DictReader(file)}
    assert table == {label: counts["kept"] for label, counts in report["classes"].items()}


def corpus_digest(clips):
    import hashlib

    lines = sorted(f"{clip_id}\t{row['label']}\n" for clip_id, row in rows_of(clips).items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_choices_change_what_is_kept(drawn, tmp_path):
    loose = Settings(suite="mini", clip_seconds=3.0, shortest=1.0, filter=False, side=64, prompt="a photo of {}")
    coverage = built(drawn, tmp_path / "out", loose)
    assert coverage.kept == 8  # the short one and the one that disagrees too
    assert "classifier" not in json.loads((tmp_path / "out/coverage.json").read_text())["encoders"]
    clip = load_clips(tmp_path / "out")[0]
    from PIL import Image

    assert Image.open(clip["image"]).size == (64, 64)


def test_silent_videos_and_mono_sounds_for_tasks_that_make_sound(drawn, tmp_path):
    """No network is loaded; the picture's bits stay, the sound is gone, and both begin together."""
    from a2ibench.media.video import frames, video_info

    told = Settings(suite="mini", clip_seconds=3.0, shortest=2.7, filter=False, columns=("video", "audio"), rate=16_000)
    coverage = built(drawn, tmp_path / "out", told)
    assert json.loads((tmp_path / "out/coverage.json").read_text())["encoders"] == {}
    with (tmp_path / "out/clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == coverage.kept == 7  # the one that disagrees too
    row = next(row for row in rows if row["clip_id"] == "mini0000000_000000")
    assert list(row) == ["clip_id", "video", "audio", "label"]
    source, silent = drawn / "videos/mini0000000_000000.mp4", tmp_path / "out" / row["video"]
    assert video_info(source).has_sound
    assert not video_info(silent).has_sound
    for before, after in zip(frames(source), frames(silent), strict=True):
        np.testing.assert_array_equal(before.pixels, after.pixels)
    wave, rate = soundfile.read(tmp_path / "out" / row["audio"])
    assert (rate, wave.ndim) == (16_000, 1)
    np.testing.assert_allclose(wave, read_audio(source, 16_000)[: len(wave)], atol=1e-3)
    again = tree(tmp_path / "out")
    built(drawn, tmp_path / "out", told)
    assert tree(tmp_path / "out") == again


# ----------------------------------------------------------------------------------------------- resume


def test_what_is_done_is_not_done_again(clips, drawn, tmp_path, monkeypatch):
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    monkeypatch.setattr(make, "make_clip", None)  # to call it would fail
    (out / "image/.mini0000001_000030.png.0123abcd.part").write_bytes(b"half")  # as a kill leaves it
    built(drawn, out)
    assert tree(out) == tree(clips)


@pytest.mark.parametrize("damage", ["audio", "record", "gone"])
def test_what_is_damaged_is_made_anew(clips, drawn, tmp_path, damage, monkeypatch):
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    if damage == "audio":
        (out / "audio/mini0000002_000060.flac").write_bytes(b"fLaC")
    elif damage == "record":
        place(out, "mini0000002_000060").write_text("{")
    else:
        (out / "image/mini0000002_000060.png").unlink()
    made = []
    true = make.make_clip
    monkeypatch.setattr(make, "make_clip", lambda job, *rest: made.append(job.clip_id) or true(job, *rest))
    built(drawn, out)
    assert made == ["mini0000002_000060"]
    assert tree(out) == tree(clips)


def test_other_settings_make_all_anew_and_leave_no_stale_file(clips, drawn, tmp_path):
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    strict = Settings(suite="mini", clip_seconds=3.0, shortest=2.7, agreement=0.99)
    built(drawn, out, strict)
    kept = {row["audio"] for row in rows_of(out).values() if row["status"] == "kept"}
    assert 0 < len(kept) < 6
    assert {f"audio/{file.name}" for file in (out / "audio").iterdir()} == kept
    built(drawn, out)
    assert tree(out) == tree(clips)


@pytest.mark.slow
def test_processes_and_kills_change_nothing(clips, drawn, tmp_path, start_cli):
    """Killed at several moments, then finished with two processes: byte by byte what one process makes."""
    command = ("data", "vggsound", "--suite", "mini", "--videos", drawn / "videos", "--list", drawn / "list.csv")
    process = start_cli(*command, "--out", "out", "--workers", "1")
    end = time.monotonic() + 120
    while not list((tmp_path / "out").rglob("mini*.json")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out = tmp_path / "out"
    assert not (out / "clips.csv").exists()
    built(drawn, out, workers=2)
    assert tree(out) == tree(clips)


class _Pool:
    """Stands for the processes: dies at one clip, the first time or each time."""

    deaths = 0
    deadly = ""
    most = 99
    out: Path
    judge: Judge

    def __init__(self, *_):
        self.broken = False

    def submit(self, work, job, out, settings, device):
        future = Future()
        if not self.broken and job.clip_id == _Pool.deadly and _Pool.deaths < _Pool.most:
            _Pool.deaths += 1
            self.broken = True
        if self.broken:
            future.set_exception(BrokenProcessPool("died"))
        else:
            with make._one_thread():  # as each process has
                future.set_result(make.make_clip(job, out, _Pool.judge))
        return future

    def shutdown(self, **_):
        pass


@pytest.mark.parametrize("most", [1, 99])
def test_a_clip_that_kills_its_process(clips, drawn, tmp_path, monkeypatch, most):
    """Once: made again, and nothing is lost. Each time: dropped and named after the second, and the others are made."""
    monkeypatch.setattr(make, "ProcessPoolExecutor", _Pool)
    _Pool.deaths, _Pool.deadly, _Pool.most, _Pool.judge = 0, "mini0000003_000090", most, Judge(MINI)
    coverage = built(drawn, tmp_path / "out", workers=2)
    if most == 1:
        assert tree(tmp_path / "out") == tree(clips)
    else:
        assert _Pool.deaths == 2
        assert coverage.kept == 5
        assert rows_of(tmp_path / "out")[_Pool.deadly]["reason"] == "crash"


# --------------------------------------------------------------------------------------------- refusals


def test_a_disk_too_small_is_told_first(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module.shutil, "disk_usage", lambda path: _Usage(50_000))
    monkeypatch.setattr(build_module, "Judge", None)
    with pytest.raises(A2IBenchError, match=r"11 clips take about \d+ MB and the disk of .* has 0 MB left"):
        built(drawn, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_estimate_is_near_and_not_below(clips, drawn, monkeypatch, tmp_path):
    asked = corpus(drawn / "videos", drawn / "list.csv")
    takes = sum(file.stat().st_size for file in clips.rglob("*") if file.is_file()) / 6 * len(asked.sources)
    for free, fits in ((takes * 4, True), (takes * 0.8, False)):
        monkeypatch.setattr(build_module.shutil, "disk_usage", lambda path, free=free: _Usage(free))
        if fits:
            check_space(asked, tmp_path / "new", MINI)
        else:
            with pytest.raises(A2IBenchError, match="take about"):
                check_space(asked, tmp_path / "new", MINI)


class _Usage:
    def __init__(self, free):
        self.free = free


def test_folders_of_others_are_left_alone(drawn, tmp_path):
    (tmp_path / "clips.csv").write_text("mine")
    with pytest.raises(A2IBenchError, match="was not made by this command"):
        built(drawn, tmp_path)
    assert (tmp_path / "clips.csv").read_text() == "mine"


def test_two_at_once_are_refused(clips, drawn, tmp_path):
    out = Path(shutil.copytree(clips, tmp_path / "out"))
    with FileLock(out / ".lock"), pytest.raises(A2IBenchError, match="is being built by another process"):
        built(drawn, out)


def test_no_clip_left(drawn, tmp_path):
    only = tmp_path / "only.txt"
    only.write_text("mute________000010\nmissing_____000010\ncorrupt_____000010\n")
    asked = corpus(drawn / "videos", drawn / "list.csv", clips=[only])
    with pytest.raises(A2IBenchError, match=r"No clip is left \(1 corrupt, 1 missing, 1 mute\)"):
        build(asked, tmp_path / "out", MINI)
    assert len(rows_of(tmp_path / "out")) == 3
    assert not (tmp_path / "out/clips.csv").exists()


# ---------------------------------------------------------------------------------------- command line


def test_the_command(drawn, clips, run_cli, tmp_path):
    shutil.copytree(clips, tmp_path / "out")
    options = ("--suite", "mini", "--videos", drawn / "videos", "--list", drawn / "list.csv", "--out", "out")
    done = run_cli("data", "vggsound", *options, "--workers", 1, "--device", "cpu")
    assert done.code == 0, done.err
    assert "kept       6 clips of 6 classes" in done.out
    assert "a2ibench reproduce table1 --suite mini --data out" in done.err
    found = json.loads(run_cli("data", "vggsound", *options, "--workers", 1, "--json").out)
    assert found == {"folder": "out", "coverage": os.path.join("out", "coverage.json"), "kept": 6}


def test_the_command_refuses_in_a_sentence(drawn, run_cli, tmp_path):
    base = ("data", "vggsound", "--suite", "mini", "--out", "out")
    videos, listing = ("--videos", drawn / "videos"), ("--list", drawn / "list.csv")
    assert "has no {}" in run_cli(*base, *videos, *listing, "--prompt", "a photo").sentence
    assert "There is no folder nowhere" in run_cli(*base, "--videos", "nowhere", *listing).sentence
    assert "There is no file absent.csv" in run_cli(*base, *videos, "--list", "absent.csv").sentence
    assert "is not a clip" in run_cli(*base, *videos, "--list", make.__file__).sentence
    assert (
        "did you mean 'mini'"
        in run_cli("data", "vggsound", *videos, *listing, "--out", "o", "--suite", "mimi").sentence
    )
    published = run_cli("data", "vggsound", *videos, *listing, "--out", "out")
    assert "clip-vit-b-32" in published.sentence or "open_clip_model" in published.sentence
    assert not (tmp_path / "out").exists()


def test_example_videos_are_the_same_each_time(tmp_path, drawn, run_cli):
    assert run_cli("data", "example", "--out", "again", "--clips", 2).code == 0
    for file in (tmp_path / "again/videos").iterdir():
        assert_same_video(file, drawn / "videos" / file.name)


@pytest.mark.real_data
@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs shared/data/vggsound")
def test_real_videos(tmp_path):
    """Two of VGGSound's, against the sounds that the authors' repository has beside them."""
    listing = tmp_path / "vggsound.csv"
    listing.write_text("-_gaZzFfzDQ,517,playing drum,test\n3YOH4c9HXpo,290,dog barking,test\n")
    settings = Settings(suite="mini", filter=False)
    coverage = build(corpus(MEDIA, listing), tmp_path / "out", settings)
    assert coverage.kept == 2
    for clip in load_clips(tmp_path / "out"):
        theirs = next(MEDIA.glob(f"{clip.clip_id[:11]}*.wav"))
        ours, other = read_audio(clip["audio"], 16_000), soundfile.read(theirs, dtype="float32")[0]
        size = min(len(ours), len(other))
        assert size > 9.9 * 16_000
        assert max(_correlation(ours, other, shift) for shift in range(-40, 41)) > 0.98


def _correlation(a, b, shift):
    a, b = (a[shift:], b) if shift >= 0 else (a, b[-shift:])
    size = min(len(a), len(b), 100_000)
    return np.corrcoef(a[:size], b[:size])[0, 1]


def test_labels_are_no_formulas_in_the_tables(tmp_path):
    from a2ibench.data.records import Record
    from a2ibench.data.report import _row

    row = _row(Record("-aaaaaaaaaa_000001", "=HYPERLINK(1)", "dropped", "missing"))
    assert row[:2] == ["-aaaaaaaaaa_000001", "'=HYPERLINK(1)"]
