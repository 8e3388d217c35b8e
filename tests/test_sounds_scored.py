"""All metrics of sounds, from files to scores, on small networks of the published classes with random weights."""

from dataclasses import replace

import numpy as np
import pytest
from encoders.test_clap import folder as clap_folder  # noqa: F401  a fixture
from safetensors.torch import save_file
from seeded import seeded_state
from tiny import write_sums

from a2ibench.clips import load_clips
from a2ibench.encoders.detector import Detector
from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig
from a2ibench.encoders.imagebind_video import ImageBindVideo, ImageBindVideoConfig
from a2ibench.encoders.passt import Passt
from a2ibench.encoders.vggish import VGGish
from a2ibench.metrics import metrics
from a2ibench.scoring.scorer import Scorer
from a2ibench.suites import load_suite
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.clips import write_scenes
from a2ibench.tasks import tasks
from a2ibench.tasks.base import Task

SOUNDS = Task(
    name="video-to-sound",
    summary="a sound for each video",
    columns={"video": "video", "audio": "audio"},
    optional={"onsets": "text", "events": "text"},
    condition="video",
    reference="audio",
    output="audio",
    metrics=("FAD", "KL", "IS", "IB", "ONSET", "EVENTS"),
)
CAPTIONS = replace(SOUNDS, name="text-to-sound", columns={"caption": "text", "audio": "audio"}, condition="caption")
SIZES = {
    "vggish": {"width": 4, "hidden": 16, "dim": 4},
    "passt": {"width": 16, "blocks": 1, "heads": 2, "classes": 12, "stride": 16, "seconds": 3.0},
    "imagebind": {"width": 32, "blocks": 1, "heads": 4, "mlp_width": 64, "out_dim": 16, "stride": 16},
    "imagebind-video": {"width": 32, "blocks": 1, "heads": 4, "mlp_width": 64, "patch": 16, "size": 32, "out_dim": 16},
    "detector": {"categories": [kind.name for kind in world.KINDS], "width": 4},
}
NETWORKS = {
    "vggish": VGGish(**SIZES["vggish"]),
    "passt": Passt(**SIZES["passt"]),
    "imagebind": ImageBindAudio(ImageBindConfig(**SIZES["imagebind"])),
    "imagebind-video": ImageBindVideo(ImageBindVideoConfig(**SIZES["imagebind-video"])),
    "detector": Detector(12, 4),
}


def suite_toml(task):
    lines = [f'name = "sounds"\nversion = 1\ntask = "{task}"\n[encoders.clap]\nfile = "weights/clap"']
    for name, sizes in SIZES.items():
        lines.append(f'[encoders.{name}]\nfile = "weights/{name}.safetensors"')
        lines += [f"{key} = {str(value).replace(chr(39), chr(34))}" for key, value in sizes.items()]
    lines.append(f"[encoders.events]\ntraining = {[700 if kind % 2 else 5 for kind in range(12)]}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path, clap_folder, fresh_cache, monkeypatch):  # noqa: F811
    for task in (SOUNDS, CAPTIONS):
        monkeypatch.setitem(tasks(), task.name, task)
        (tmp_path / f"{task.name}.toml").write_text(suite_toml(task.name))
    (tmp_path / "weights/clap").mkdir(parents=True)
    for file in clap_folder.iterdir():
        (tmp_path / "weights/clap" / file.name).write_bytes(file.read_bytes())
    for name, network in NETWORKS.items():
        state = {k: v.abs() + 0.5 if k.endswith("running_var") else v for k, v in seeded_state(network).items()}
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / f"weights/{name}.safetensors")
    write_sums(tmp_path / "weights")
    write_scenes(
        ((f"c{i:02}", world.draw_scene("test", i)) for i in range(10)), tmp_path / "data", "wav", ("audio", "video")
    )
    return tmp_path


def test_every_metric_from_files(folder):
    clips = load_clips(folder / "data", task=SOUNDS)
    real = {clip.clip_id: [clip.file("audio")] * 2 for clip in clips}
    scorer = Scorer(load_suite(str(folder / f"{SOUNDS.name}.toml")), clips)
    chosen = [m for name, m in metrics().items() if name.partition(".")[0] in {*SOUNDS.metrics}]
    found = scorer.score(real, chosen)
    values = {score.metric: score.value for score in found.scores}
    assert set(found.left_out) == {"EVENTS.order", "EVENTS.many", "KL.many"}  # no clip has two kinds
    assert values["FAD"] == pytest.approx(0, abs=1e-2)  # twice the same sounds: the N - 1 of the covariance
    assert values["KL"] == pytest.approx(0, abs=1e-3)
    assert values["ONSET"] > 80
    assert set(found.details) == {"onsets heard (s)", "events heard (s)"}
    assert all(np.isfinite(value) for value in values.values())
    shuffled = dict(zip(real, [*list(real.values())[1:], next(iter(real.values()))], strict=True))
    others = {score.metric: score.value for score in scorer.score(shuffled, chosen).scores}
    assert others["ONSET"] < values["ONSET"]
    assert others["KL"] > values["KL"]
    assert others["FAD"] == pytest.approx(values["FAD"], abs=1e-6)


def test_captions_and_the_tail(folder):
    clips = load_clips(folder / "data", task=CAPTIONS)
    real = {clip.clip_id: [clip.file("audio")] * 2 for clip in clips[1:]}
    scorer = Scorer(load_suite(str(folder / f"{CAPTIONS.name}.toml")), clips)
    chosen = [metrics()[name] for name in ("CLAP", "CLAP.win", "CLAP.tail")]
    found = scorer.score(real, chosen)
    tail = next(score for score in found.scores if score.metric == "CLAP.tail")
    assert found.missing == ("c00",)
    assert tail.stderr > 0
    assert tail.extra["1-9 n"] + tail.extra["500+ n"] == 10
    assert found.items["c00"]["CLAP"] == -100
    assert "edges:0,1,10,30,50,100,500" in tail.signature
