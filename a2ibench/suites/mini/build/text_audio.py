"""``python -m a2ibench.suites.mini.build.text_audio``: the networks of text to audio on the mini world, from seeds.

Stages in the order in which they need each other; each goes on where it was stopped, at any kill:

``codec``, ``clap``, ``audiomae``, ``t5``
    the frozen networks, of the balanced splits (`text_audio_networks`);
``judges``
    two networks of other seeds that tell which kinds are heard (`text_audio_measure`);
``corpus``
    the long-tailed clips to train on, and those clips with the held-out kind's, to look up in;
``index``
    the retrieval index over the latter, by the small CLAP;
``audioldm``, ``re-audioldm``
    the generators without and with retrieval, by the trainer that users have;
``measure``
    ``figures.md``: the share of named kinds that are heard, by how often a kind occurs in training.

Everything lies under ``--work``, what a suite would ship under its ``out``.
"""

import argparse
import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from a2ibench.files import write_text
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import text_audio_measure as judging
from a2ibench.suites.mini.build import text_audio_networks as networks
from a2ibench.suites.mini.build.clips import write_sound

STAGES = ("codec", "clap", "audiomae", "t5", "judges", "corpus", "index", "audioldm", "re-audioldm", "measure")
TRAINING = {"steps": 12_000, "batch_size": 16, "lr": 8e-4, "schedule": "cosine", "ema": 0.999, "k": 3, "size": "mini"}
"""What differs from the paper's settings, for a world of three seconds and two processor cores."""


def main() -> None:
    """Read the arguments, and make the stages that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks, checkpoints, logs, and out/")
    parser.add_argument("--only", choices=STAGES, help="this stage alone")
    parser.add_argument("--until", choices=STAGES, help="stop after this stage")
    parser.add_argument("--steps", type=int, help="of the generators, instead of the usual number")
    parser.add_argument("--seed", type=int, default=0, help="of the generators")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for stage in STAGES:
        if arguments.only in (None, stage):
            print("stage", stage, flush=True)  # noqa: T201
            make(stage, arguments.work, arguments.steps, arguments.seed)
        if arguments.until == stage:
            break


def make(stage: str, work: Path, steps: int | None = None, seed: int = 0) -> None:
    """Make one stage; one that is whole is left alone."""
    work.mkdir(parents=True, exist_ok=True)
    out = work / "out"
    if stage in ("codec", "clap", "audiomae", "t5", "judges", "measure"):
        pool = networks.Pool(work)
        if stage == "codec":
            write_text(out / "vocoder/griffin_lim.json", json.dumps({"iterations": 32}))
            print("variance kept", networks.fit_patches(pool, work, out / "codec"), flush=True)  # noqa: T201
        elif stage == "clap":
            networks.train_clap(pool, work, out / "clap")
        elif stage == "audiomae":
            networks.train_audiomae(pool, work, out / "audiomae")
        elif stage == "judges":
            judging.train_judges(pool, work)
        elif stage == "measure":
            judging.measure(pool, judging.train_judges(pool, work), makers(work, seed), through(work), work)
        else:
            networks.train_t5(pool, work, out / "t5")
    elif stage == "corpus":
        tail = [(f"tail-{index:04d}", world.draw_scene("tail", index)) for index in range(world.tail_size())]
        held = [(f"held-out-{index:02d}", world.draw_scene("held-out", index)) for index in range(world.INDEXED)]
        write_corpus(tail, work / "tail")
        write_corpus(tail + held, work / "indexed")
    elif stage == "index":
        make_index(work)
    else:
        train(stage, work, steps, seed)


def write_corpus(scenes: Iterable[tuple[str, world.Scene]], folder: Path) -> Path:
    """Write scenes with their training captions as a data folder; one that is whole is left alone."""
    if (folder / "clips.csv").exists():
        return folder
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["clip_id", "caption", "audio", "label", "events", "seed"])
    for clip_id, scene in scenes:
        file = folder / "audio" / f"{clip_id}.wav"
        if not file.exists():
            write_sound(file, world.sound(scene))
        events = " ".join(f"{event.kind}x{event.count}" for event in scene.events)
        writer.writerow(
            [clip_id, world.training_caption(scene), f"audio/{clip_id}.wav", scene.label, events, scene.seed]
        )
    write_text(folder / "clips.csv", table.getvalue())
    return folder


def parts(work: Path) -> dict[str, Any]:
    """What the methods are made of, as a suite gives it."""
    out = work / "out"
    found: dict[str, Any] = {name: {"file": out / name} for name in ("codec", "vocoder", "audiomae", "index")}
    found["clap"] = {"file": out / "clap", "config": {"length": networks.LENGTH}}
    found["t5"] = {"file": out / "t5", "config": {"length": 24}}
    return found


def makers(work: Path, seed: int) -> dict[str, Any]:
    """The methods that are measured, loaded, by what they are called."""
    from a2ibench.baselines import get as get_method

    def loaded(name: str, **own: Any) -> Any:
        method, found = get_method(name), parts(work)
        found["unet"] = {"file": work / f"train-{name}-{seed}" / "unet"}
        return method.load(found, {**method.options, **{k: v for k, v in own.items() if k in method.options}}, "cpu")

    sampler = {"steps": 10, "guidance": 3.0}
    examples = {f"re-audioldm, k = {k}": loaded("re-audioldm", k=k, **sampler) for k in (3, 0, 1, 2, 5, 10)}
    return {
        "retrieval alone": loaded("nearest-sound"),
        "label alone": loaded("label-sound"),
        "audioldm": loaded("audioldm", **sampler),
        **examples,
        "re-audioldm, sounds alone": loaded("re-audioldm", retrieval="audio", **sampler),
    }


def through(work: Path) -> Any:
    """Autoencoder and vocoder: sounds ``[samples]`` to sounds."""
    from a2ibench.baselines.re_audioldm.parts import Codec, Vocoder

    codec, vocoder = Codec(parts(work)["codec"], "cpu"), Vocoder(parts(work)["vocoder"], "cpu")
    return lambda wave: vocoder(codec.decode(codec.encode(wave[None])), codec.mel)[0]


def make_index(work: Path) -> None:
    """Build the index over the long-tailed scenes and the held-out kind's."""
    from a2ibench.baselines.re_audioldm.examples import Examples, ship_tokens
    from a2ibench.baselines.re_audioldm.parts import AudioTokens, Clap
    from a2ibench.clips import load_clips
    from a2ibench.retrieval.build import build_index
    from a2ibench.tasks import get as get_task

    if not (work / "out/index/index.json").exists():
        clips = load_clips(work / "indexed", task=get_task("text-to-audio"))
        clap = Clap(parts(work)["clap"], "cpu")
        build_index(clips, clap, work / "out/index", corpus=work / "indexed")
        ship_tokens(Examples(parts(work)["index"], clap), AudioTokens(parts(work)["audiomae"], "cpu"))


def train(name: str, work: Path, steps: int | None, seed: int) -> None:
    """Train a generator on the long-tailed clips, with the trainer that users have."""
    from a2ibench.baselines import get as get_method
    from a2ibench.baselines.base import Training
    from a2ibench.baselines.re_audioldm.parts import folder_digest
    from a2ibench.clips import load_clips
    from a2ibench.tasks import get as get_task

    method, found = get_method(name), parts(work)
    found = {part: found[part] for part in method.parts if part in found}
    hashes = {part: folder_digest(entry["file"]) for part, entry in found.items()}
    settings = {**TRAINING, "seed": seed, **({"steps": steps} if steps else {})}
    if name == "audioldm":
        settings.pop("k")
    folder = work / f"train-{name}-{seed}"

    def stage(what: str, total: int) -> Any:
        done = 0

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            done += count
            if done % 100 < count:
                print(name, what, f"{done}/{total}", note, flush=True)  # noqa: T201

        return advance

    assert method.train is not None  # noqa: S101  for the type checker
    clips = load_clips(work / "tail", task=get_task("text-to-audio"))
    file = method.train(Training(found, hashes, clips, folder, settings, "cpu", 100, False, stage))
    write_text(work / f"{name}-{seed}.made.json", json.dumps({"file": str(file), "settings": settings}))


if __name__ == "__main__":
    main()
