"""Training AudioToken: killed and resumed is undisturbed; only the embedder learns; folders are never mixed."""

import errno
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.train import Config, Examples, train
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.results import Result
from a2ibench.runs.train import train_method
from a2ibench.suites import load_suite

SMALL = Config(steps=1, batch_size=4, lr=1e-2, crop_seconds=1.0, crops=1, size=32)


class Killed(BaseException):
    """What ends a training at once, as a kill does."""


@pytest.fixture(scope="module")
def frozen(tiny_suite):
    parts, _ = load_suite(str(tiny_suite)).method_parts("audiotoken", ("stable_diffusion", "beats"), {})
    return StableDiffusion(parts["stable_diffusion"]["file"]), Listener(parts["beats"], "cpu")


@pytest.fixture
def examples(frozen, clip_folder, tmp_path):
    def examples(config=SMALL, clips=None, progress=lambda done: None):
        clips = clips or load_clips(clip_folder)
        return Examples(clips, *frozen, config, tmp_path / "features", "identity", progress)

    return examples


@pytest.fixture
def fit(tiny_suite, clip_folder, tmp_path):
    """Train in the tiny suite; gives the weights and the steps that were made. ``die`` kills it in that step."""

    def fit(out, data=clip_folder, die=None, every=2, fresh=False, **settings):
        steps = []

        def stage(name, total):
            def advance(count, *words):
                if name == "train":
                    steps.append(count)
                    if die is not None and len(steps) == die:
                        raise Killed

            return advance

        file = train_method(
            "audiotoken",
            str(tiny_suite),
            data,
            tmp_path / out,
            settings=settings,
            checkpoint_every=every,
            fresh=fresh,
            stage=stage,
        )
        return load_file(file), len(steps)

    return fit


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_killed_and_resumed_is_undisturbed(fit, tmp_path):
    whole, steps = fit("whole")
    assert steps == 6
    with pytest.raises(Killed):
        fit("killed", die=5)
    assert (tmp_path / "killed/checkpoint.pt").exists()
    (tmp_path / "killed/checkpoint.part").write_bytes(b"half a checkpoint")
    resumed, steps = fit("killed")
    assert steps == 2, "it goes on from step 4"
    assert same(resumed, whole)
    torch.manual_seed(0)
    untrained = Embedder(64, 16).state_dict()
    assert not same(untrained, whole)
    assert not (tmp_path / "killed/checkpoint.pt").exists()


def test_killed_before_the_first_checkpoint(fit):
    with pytest.raises(Killed):
        fit("killed", die=1)
    resumed, steps = fit("killed")
    assert steps == 6
    assert same(resumed, fit("whole")[0])


def test_another_seed_gives_other_weights_the_same_seed_the_same(fit):
    assert same(fit("a", steps=2, seed=1)[0], fit("b", steps=2, seed=1)[0])
    assert not same(fit("a", steps=2, seed=1)[0], fit("c", steps=2, seed=2)[0])


def test_accumulated_batches_survive_a_kill(fit):
    whole, _ = fit("whole", steps=3, accumulate=2, batch_size=1)
    with pytest.raises(Killed):
        fit("killed", die=2, every=1, steps=3, accumulate=2, batch_size=1)
    assert same(fit("killed", every=1, steps=3, accumulate=2, batch_size=1)[0], whole)


def test_a_finished_training_is_not_repeated(fit):
    whole, _ = fit("whole", steps=2)
    again, steps = fit("whole", steps=2)
    assert steps == 0
    assert same(whole, again)


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"batch_size": 3}, {"seed": 9}, {"lambda_cl": 0.3}])
def test_other_settings_are_refused_by_name(fit, change):
    with pytest.raises(Killed):
        fit("run", die=1)
    with pytest.raises(A2IBenchError, match=rf"\({next(iter(change))}\).*--out.*--fresh"):
        fit("run", **change)


def test_other_clips_are_refused(fit, own_clips):
    with pytest.raises(Killed):
        fit("run", die=1)
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/dog-1.wav").read_bytes())
    with pytest.raises(A2IBenchError, match=r"\(clips\)"):
        fit("run", data=own_clips)


def test_a_broken_record_is_one_sentence(fit, tmp_path):
    fit("run", steps=1)
    (tmp_path / "run/train.json").write_text("{")
    with pytest.raises(A2IBenchError, match="broken"):
        fit("run", steps=1)


DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "one byte less": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "one bit": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_weights_are_never_called_done(fit, tmp_path, damage):
    fit("run", steps=1)
    file = tmp_path / "run/embedder.safetensors"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.raises(A2IBenchError, match=r"embedder\.safetensors is damaged.*--fresh"):
        fit("run", steps=1)
    file.write_bytes(whole)
    assert fit("run", steps=1)[1] == 0
    file.with_suffix(".sha256").unlink()  # as after a kill between the two
    assert fit("run", steps=1)[1] == 0
    assert file.with_suffix(".sha256").exists()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_named_before_the_networks_are_loaded(fit, tmp_path, damage, monkeypatch):
    with pytest.raises(Killed):
        fit("run", die=5)
    file = tmp_path / "run/checkpoint.pt"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with monkeypatch.context() as patch:
        patch.setattr("a2ibench.baselines.stable_diffusion.StableDiffusion", None)
        with pytest.raises(A2IBenchError, match=r"checkpoint\.pt is damaged.*--fresh") as caught:
            fit("run")
    assert "weights_only" not in str(caught.value)
    file.write_bytes(whole)
    assert fit("run")[1] == 2


@pytest.mark.parametrize("name", ["train.json", "checkpoint.pt", "embedder.safetensors", "embedder.sha256"])
def test_a_pipe_or_a_link_in_place_of_a_file_is_named(fit, tmp_path, name):
    fit("run", steps=1)
    file = tmp_path / "run" / name
    for put in (os.mkfifo, lambda file: file.symlink_to("/dev/zero"), os.mkdir):
        file.unlink(missing_ok=True)
        if name == "checkpoint.pt":
            (tmp_path / "run/embedder.safetensors").unlink(missing_ok=True)
        put(file)
        with pytest.raises(A2IBenchError, match="plain file"):
            fit("run", steps=1)


@pytest.mark.parametrize("text", ["[]", "null", "5", "", "[[1, 2]]"])
def test_a_record_of_another_shape_is_one_sentence(fit, tmp_path, text):
    fit("run", steps=1)
    (tmp_path / "run/train.json").write_text(text)
    with pytest.raises(A2IBenchError, match="broken"):
        fit("run", steps=1)


def test_a_disk_too_full_for_the_checkpoints_is_told_before_anything_is_computed(fit, monkeypatch):
    monkeypatch.setattr(Examples, "_fill", None)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(A2IBenchError, match="a training with its checkpoints needs"):
        fit("run", steps=1)


def test_fresh_begins_anew(fit, tmp_path):
    with pytest.raises(Killed):
        fit("run", die=5, lr=0.5)
    weights, steps = fit("run", fresh=True)
    assert steps == 6
    assert same(weights, fit("whole")[0])


# --------------------------------------------------------------------------------------------- what is learnt


def first_loss(examples, config, out):
    losses = []
    train(examples(config), config, out, report=lambda step, loss: losses.append(loss))
    return losses[0]


def test_features_computed_once_or_in_each_step_give_one_loss(examples, tmp_path):
    """The crops coincide where a sound is as long as its crop; half precision is all that lies between."""
    losses = [
        first_loss(examples, Config(**{**vars(SMALL), "cache": cache, "workers": 0}), tmp_path / cache)
        for cache in ("features", "latents")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0] > 0.1


def loss_of(examples, embedder, config=SMALL, number=0):
    objective = Objective(examples.diffusion, examples.listener, config, examples.clips.labels)
    batches = examples.batches(objective.times)
    return objective(embedder, batches.draws(number), batches[number])


def test_only_the_embedder_learns(examples, frozen):
    torch.manual_seed(0)
    embedder, data = Embedder(64, 16), examples()
    before = {name: p.clone() for name, p in frozen[0].pipeline.unet.named_parameters()}
    loss_of(data, embedder).backward()
    # The potentials' last bias shifts all of a softmax alike: its gradient is nothing but rounding.
    moving = [name for name, p in embedder.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert {"fc1.weight", "fc2.weight", "fga.un_models.0.embed.weight"} <= set(moving)
    assert all(p.grad is not None for p in embedder.parameters())
    pipeline, listener = frozen[0].pipeline, frozen[1]
    for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder, listener.network):
        assert not [name for name, p in network.named_parameters() if p.requires_grad or p.grad is not None]
        assert not network.training
    assert all(torch.equal(p, before[name]) for name, p in pipeline.unet.named_parameters())


def test_the_loss_is_the_sum_of_its_terms(examples):
    torch.manual_seed(0)
    embedder, data = Embedder(64, 16).eval(), examples()

    def loss(**terms):
        return float(loss_of(data, embedder, Config(**{**vars(SMALL), "lambda_l1": 0.0, **terms})).detach())

    plain = loss()
    one, two = loss(lambda_l1=1.0) - plain, loss(lambda_l1=2.0) - plain
    assert one > 0
    assert two == pytest.approx(2 * one, rel=1e-3)
    assert loss(lambda_cl=1.0) > plain


def test_the_classification_loss_pulls_the_token_to_its_label(examples, frozen, tmp_path):
    cosines = {}
    for weight in (0.0, 20.0):
        config = Config(**{**vars(SMALL), "steps": 25, "lambda_cl": weight})
        data = examples(config)
        embedder = Embedder(64, 16)
        embedder.load_state_dict(load_file(train(data, config, tmp_path / str(weight))))
        rows = np.arange(8)
        features, _ = data.batches(1000).read(rows, np.zeros(8, int))
        labels = [data.clips.labels[row] for row in rows]
        with torch.inference_mode():
            tokens = embedder.eval()(features)
            cosines[weight] = float(torch.cosine_similarity(tokens, frozen[0].token_embeddings(labels)).mean())
    assert cosines[20.0] > cosines[0.0] + 0.3


# ------------------------------------------------------------------------------------- what is computed once


def kept(data):
    """All that was computed once: features and moments."""
    rows = np.arange(len(data.clips))
    return data.store.take("features", rows), data.store.take("latents", rows)


@pytest.fixture
def heard(monkeypatch):
    """The clips whose features are computed, beside the first, which is computed always for its shape."""
    computed = []
    features = Examples._features
    monkeypatch.setattr(Examples, "_features", lambda self, index: computed.append(index) or features(self, index))
    return computed


def test_a_partly_filled_feature_cache_is_filled_up(examples, tmp_path, heard):
    expected = kept(examples())
    heard.clear()
    (folder,) = (tmp_path / "features").glob("*/*")
    for name in ("features.npy", "latents.npy"):
        store = np.load(folder / name, mmap_mode="r+")
        store[3:] = 0
        store.flush()
        del store
    again = kept(examples())
    assert set(heard) - {0} == {3, 4, 5, 6, 7}
    assert all((a == b).all() for a, b in zip(again, expected, strict=True))
    assert np.abs(expected[0]).max() > 0


def _flip(file, place=-1):
    data = bytearray(file.read_bytes())
    data[place] ^= 0x40
    file.write_bytes(data)


def _pipe(file):
    file.unlink()
    os.mkfifo(file)


def _link(file):
    (file.parents[3] / "elsewhere").write_bytes(b"somebody's")
    file.unlink()
    file.symlink_to("../../../elsewhere")


CACHE_DAMAGE = {
    "one bit": _flip,
    "its header": lambda file: _flip(file, 20),
    "shorter": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"0"),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "empty": lambda file: file.write_bytes(b""),
    "pickle": lambda file: np.save(file.open("wb"), np.array([{}], dtype=object), allow_pickle=True),
    "pipe": _pipe,
    "link": _link,
}


@pytest.mark.parametrize("name", ["features.npy", "latents.npy", "rows.crc32"])
@pytest.mark.parametrize("damage", CACHE_DAMAGE)
def test_a_damaged_row_is_computed_anew(examples, tmp_path, heard, name, damage):
    expected = kept(examples())
    heard.clear()
    (folder,) = (tmp_path / "features").glob("*/*")
    CACHE_DAMAGE[damage](folder / name)
    for count in (2 if damage == "one bit" else 9, 1):
        if (name, damage) == ("rows.crc32", "its header"):
            count = min(count, 2)  # it has none
        again = kept(examples())
        assert all((a == b).all() for a, b in zip(again, expected, strict=True))
        assert len(heard) == count, "the first is computed always, for its shape"
        heard.clear()
    assert not (tmp_path / "elsewhere").exists() or (tmp_path / "elsewhere").read_bytes() == b"somebody's"


def test_a_full_disk_is_told_before_anything_is_computed(examples, tmp_path, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    done = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(A2IBenchError, match=r"can't hold the \d+ MB .*No space left.*--cache latents"):
            examples(progress=done.append)
    assert done == []
    (folder,) = (tmp_path / "features").glob("*/*")
    assert [file.name for file in folder.iterdir() if file.name != "lock"] == []
    examples()


def test_killed_while_the_features_are_computed(examples):
    def die(done):
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        examples(progress=die)
    done = []
    features, _ = kept(examples(progress=done.append))
    assert done[-1] == 8
    assert (np.abs(features).reshape(8, -1).max(axis=1) > 0).all()


def test_each_clip_keeps_its_own_features(examples):
    data = examples()
    features, moments = kept(data)
    for index in (0, 5):
        alone = data._features(index)
        assert np.abs(features[index] - alone).max() < 2e-3 * np.abs(alone).max()
        assert (moments[index] == data._latent_moments(data.picture(index))).all()


# ------------------------------------------------------------------------------------------ from the command line


def test_what_was_trained_can_be_drawn_with(run_cli, tiny_suite, clip_folder, tmp_path):
    outcome = run_cli(
        "train", "audiotoken", "--suite", tiny_suite, "--data", clip_folder, "--out", "t", "--steps", 2, "--json"
    )
    assert outcome.code == 0, outcome.err
    file = json.loads(outcome.out)["embedder"]
    given = ("--weights", f"embedder={file}")
    outcome = run_cli("eval", "--method", "audiotoken", "--suite", tiny_suite, "--limit", 3, *given, "--out", "e")
    assert outcome.code == 0, outcome.err
    own = Result.load(tmp_path / "e/result.json").weights["embedder"]
    outcome = run_cli("generate", "--method", "audiotoken", "--suite", tiny_suite, "--limit", 3, "--out", "e")
    assert "weights" in outcome.sentence, "the shipped embedder is another run"
    assert len(own) == 64


def test_a_suite_without_training_clips_says_so(run_cli, tiny_suite):
    assert "--data" in run_cli("train", "audiotoken", "--suite", tiny_suite, "--out", "t").sentence


def test_training_clips_that_were_damaged_are_drawn_anew(tmp_path):
    from a2ibench.suites.mini.build.clips import training_clips

    folder = training_clips(tmp_path / "clips", 2)
    whole = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert len(whole) == 6
    for file, data in whole.items():
        for damaged in (data[:-2], b"", bytes(len(data))):
            file.write_bytes(damaged)
            training_clips(folder, 2)
            assert {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()} == whole
    stamps = {file: file.stat().st_mtime_ns for file in whole}
    training_clips(folder, 2)
    assert {file: file.stat().st_mtime_ns for file in whole} == stamps, "what is whole is kept"
