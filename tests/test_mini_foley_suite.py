"""The shipped suite `mini-foley`: what its file says is so, and its judges know real sounds from others."""

import numpy as np
import pytest

from a2ibench.clips import load_clips, read_audio
from a2ibench.media.audio import write_audio
from a2ibench.metrics import metrics
from a2ibench.runs.prepare import prepare
from a2ibench.runs.train import _own_clips
from a2ibench.scoring import sanity as sanity_module
from a2ibench.scoring.scorer import Scorer
from a2ibench.suites import default_suite, load_suite
from a2ibench.suites.mini import sound_of, world
from a2ibench.suites.mini.build import judges

SUITE = load_suite("mini-foley")
TRAINED = all((SUITE.folder / f"weights/{name}.safetensors").is_file() for name in judges.NAMES)


def test_the_file_says_what_was_trained():
    assert default_suite("video-to-audio") == "mini-foley"
    assert len(SUITE.clips()) == 240
    for name, settings in judges.SETTINGS.items():
        found = SUITE.encoder_part(name).config
        assert {key: found[key] for key in settings} == settings
    assert SUITE.encoder_part("imagebind").config == load_suite("mini").part("imagebind").config["config"]
    assert SUITE.encoder_part("clip").resolve() == load_suite("mini").encoder_part("clip").resolve()


def test_judges_have_heard_no_scene_of_a_generator():
    first = judges.Judges.scenes(None, "train", 2)
    assert first == [world.draw_scene("train", judges.FIRST + index) for index in range(2)]
    assert SUITE.file.training["clips"] <= judges.FIRST


def test_windows_are_named_by_what_begins_in_them():
    scene = world.Scene((world.Event(5, 2),), 0.5, 0, 1)
    object.__setattr__(scene, "onsets", (0.1, 2.5))  # the middle window has no beginning, and none rings into it
    assert judges.window_kinds(scene) == [5, judges.KINDS, 5]
    object.__setattr__(scene, "onsets", (0.5, 0.8))  # … and here one rings on
    assert judges.window_kinds(scene) == [5, -1, judges.KINDS]


@pytest.fixture(scope="module")
def scored():
    """Real and shuffled sounds of 36 clips, by the metrics that these networks serve."""
    if not TRAINED:
        pytest.skip("not all judges are trained yet: a2ibench.suites.mini.build.judges goes on")
    clips = SUITE.clips().spread(36)
    scorer = Scorer(SUITE, clips)
    wanted = [metrics()[name] for name in ("FAD", "KL", "IB", "IB.win", "ONSET", "ONSET.detector", "EVENTS.alone")]
    ids = list(clips.ids)
    real = {clip.clip_id: [clip.file("audio")] for clip in clips}
    turned = dict(zip(ids, [real[clip_id] for clip_id in [*ids[5:], *ids[:5]]], strict=True))
    return [{s.metric: s.value for s in scorer.score(each, wanted).scores} for each in (real, turned)]


def test_judges_know_real_sounds_from_others(scored):
    real, turned = scored
    assert real["KL"] < 0.01
    assert turned["KL"] > 2
    assert real["IB.win"] > 92
    assert turned["IB.win"] < 65
    assert real["ONSET"] > 90
    assert real["ONSET.detector"] > 90
    assert max(turned["ONSET"], turned["ONSET.detector"]) < 40
    assert real["EVENTS.alone"] > 90
    assert turned["EVENTS.alone"] < 30


def test_the_nearest_videos_sound_is_drawn_again():
    run = prepare(SUITE, "nearest-video")
    clips = SUITE.clips().spread(3)
    found = run.method.load(run.parts, run.options, "cpu")(list(clips), [0, 1, 2])
    rows = np.array([world.draw_scene("train", index).kind for index in range(300)])
    assert len(set(rows)) == 12
    for wave, rate in found:
        assert (wave.shape, rate) == ((world.SAMPLES,), world.SAMPLE_RATE)
    assert np.array_equal(sound_of("train", 7), world.sound(world.draw_scene("train", 7)))


def test_entries_of_the_world(tmp_path):
    clips = SUITE.clips().spread(2)
    drawn = SUITE.drawn_afresh(clips, tmp_path)
    assert list(drawn) == ["codec only", "drawn afresh: kind only"]
    for clip in clips:
        real, again = (read_audio(file, 16_000) for file in (clip.file("audio"), drawn["codec only"][clip.clip_id]))
        assert len(real) == len(again)
        loud = [np.sqrt(np.square(wave).mean()) for wave in (real, again)]
        assert loud[1] == pytest.approx(loud[0], rel=0.3)


def test_another_codec_makes_the_sanity_rows_anew(tmp_path, fresh_cache, monkeypatch):
    clips = SUITE.clips().spread(2)
    made = []

    def counted(scorer, outputs, wanted, **more):
        made.append(more["method"])
        return real(scorer, outputs, wanted, **more)

    real = sanity_module.result_of
    monkeypatch.setattr(sanity_module, "result_of", counted)
    wanted = [metrics()["ONSET"]]
    for networks in ("a", "a", "b"):
        monkeypatch.setattr(type(SUITE), "networks", property(lambda suite, name=networks: name))
        sanity_module.sanity(Scorer(SUITE, clips), wanted)
    assert made == ["real sounds", "shuffled sounds"] * 2


def test_own_training_clips_are_videos_with_sounds(fresh_cache):
    small = SUITE.file.model_copy(update={"training": {"clips": 2}})
    folder = _own_clips(type(SUITE)(small, SUITE.folder, True))
    clips = load_clips(folder, task=SUITE.task)
    assert [clip.file("video").suffix for clip in clips] == [".mp4", ".mp4"]
    assert clips[1].text("onsets") == " ".join(f"{t:.3f}" for t in world.draw_scene("train", 1).onsets)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")}
    assert _own_clips(type(SUITE)(small, SUITE.folder, True)) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")} == before


def test_reference_gives_the_real_sound(tmp_path):
    run = prepare(SUITE, "reference")
    clip = SUITE.clips()[0]
    ((wave, rate),) = run.method.load({}, {}, "cpu")([clip], [0])
    write_audio(tmp_path / "x.wav", wave, rate)
    assert run.task == "video-to-audio"
    assert np.allclose(read_audio(tmp_path / "x.wav", 16_000), read_audio(clip.file("audio"), 16_000), atol=1e-4)


def test_an_attention_that_is_not_there_is_refused_before_any_work(run_cli):
    told = run_cli("eval", "--method", "foleygen", "--set", "attention=nonsense")
    assert told.code == 2
    assert "choose one that is there (aligned" in told.sentence
    assert "reference" not in told.err


def test_sounds_for_a_suite_of_images_name_what_to_do(run_cli, tmp_path):
    (tmp_path / "bee-00.wav").write_bytes(b"")
    told = run_cli("eval", "--outputs", str(tmp_path))
    assert told.code == 2
    assert "name it with --suite" in told.sentence
