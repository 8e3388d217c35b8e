"""Training AudioToken: killed and resumed is undisturbed; only the embedder learns; folders are never mixed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from a2ibench.baselines.audiotoken import train as trainer
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.train import Config, Examples, train
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.results import Result
from a2ibench.runs.train import train_audiotoken
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

        file = train_audiotoken(
            str(tiny_suite), data, tmp_path / out, settings=settings, checkpoint_every=every, fresh=fresh, stage=stage
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


def test_computed_once_or_each_time_gives_one_loss(examples, tmp_path):
    """The crops coincide where a sound is as long as its crop; half precision is all that lies between."""
    losses = [
        first_loss(examples, Config(**{**vars(SMALL), "precompute": once}), tmp_path / str(once))
        for once in (True, False)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] > 0.1


def loss_of(examples, embedder, config=SMALL, seed=0):
    from diffusers import DDPMScheduler

    schedule = DDPMScheduler.from_config(examples.diffusion.pipeline.scheduler.config)
    torch.manual_seed(seed)
    return trainer._loss(embedder, examples, config, schedule, {}, np.random.default_rng(seed), torch.device("cpu"))


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
        features, _, labels = data.batch(np.random.default_rng(0), 8)
        with torch.inference_mode():
            tokens = embedder.eval()(features)
            cosines[weight] = float(torch.cosine_similarity(tokens, frozen[0].token_embeddings(labels)).mean())
    assert cosines[20.0] > cosines[0.0] + 0.3


# ------------------------------------------------------------------------------------- what is computed once


def test_a_partly_filled_feature_cache_is_filled_up(examples, tmp_path, monkeypatch):
    whole = examples()
    expected = np.array(whole._features), np.array(whole._moments)
    (folder,) = (tmp_path / "features").iterdir()
    for name in ("features.npy", "latents.npy"):
        store = np.load(folder / name, mmap_mode="r+")
        store[3:] = 0
        store.flush()
        del store
    (folder / "done.txt").write_text("3")
    computed = []
    compute = Examples._compute
    monkeypatch.setattr(Examples, "_compute", lambda self, index: computed.append(index) or compute(self, index))
    again = examples()
    assert set(computed) - {0} == {3, 4, 5, 6, 7}
    assert (again._features == expected[0]).all()
    assert (again._moments == expected[1]).all()
    assert np.abs(expected[0]).max() > 0


def test_killed_while_the_features_are_computed(examples):
    def die(done):
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        examples(progress=die)
    done = []
    found = examples(progress=done.append)
    assert done[-1] == 8
    assert (np.abs(np.array(found._features)).reshape(8, -1).max(axis=1) > 0).all()


def test_each_clip_keeps_its_own_features(examples, clip_folder):
    found = examples()
    for index in (0, 5):
        features, moments = found._compute(index)
        assert np.abs(found._features[index] - features).max() < 2e-3 * np.abs(features).max()
        assert (found._moments[index] == moments).all()


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
