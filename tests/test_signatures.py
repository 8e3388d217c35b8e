"""Equal signatures mean comparable numbers: all that can change a number changes the signature, and nothing else does.

Each case changes one thing in a copy of the tiny suite (or in the outputs), scores the same clips, and looks at the
signatures. `CHANGES` is the list of all that can change a number: whoever adds a setting adds a line.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import write_sums

from a2ibench.clips import load_clips
from a2ibench.encoders import base
from a2ibench.encoders.classifier import ClassifierEncoder, published_weights
from a2ibench.encoders.classifier import load as load_classifier
from a2ibench.metrics import Coverage, get, metrics
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, chosen_metrics
from a2ibench.suites import load_suite
from a2ibench.tasks import get as get_task

PICTURES = ("AIS", "IIS", "AIC.clipscore", "AIC.zero-shot")  # of CLIP's image tower

TASK = get_task("audio-to-image")
FAMILIES = {name.partition(".")[0] for name in TASK.metrics}
ALL = tuple(name for name in metrics() if name.partition(".")[0] in FAMILIES)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, clip_folder):
    """Two images of noise for each clip: clip id → paths."""
    from noise import draw_noise

    ids = load_clips(clip_folder).ids
    one, two = (draw_noise(tmp_path_factory.mktemp("outputs") / name, ids, seed) for name, seed in (("a", 0), ("b", 1)))
    return {clip_id: [one / f"{clip_id}.png", two / f"{clip_id}.png"] for clip_id in ids}


def signatures(toml: Path, outputs, per_clip=1, left_out=0, data=None, names=ALL, batch_size=32) -> dict[str, str]:
    """Score and give the signature of each metric."""
    suite = load_suite(str(toml))
    clips = suite.clips(data)
    given = {clip_id: outputs[clip_id][:per_clip] for clip_id in clips.ids[left_out:]}
    scorer = Scorer(suite, clips, own_data=data is not None, batch_size=batch_size)
    scores = scorer.score(given, [get(name) for name in names]).scores
    return {score.metric: score.signature for score in scores}


@pytest.fixture(scope="module")
def before(tiny_suite, outputs):
    return signatures(tiny_suite, outputs)


def _text(old: str, new: str) -> Callable[[Path], None]:
    def change(toml: Path) -> None:
        text = toml.read_text()
        assert old in text
        toml.write_text(text.replace(old, new, 1))

    return change


def _weights(name: str) -> Callable[[Path], None]:
    def change(toml: Path) -> None:
        file = toml.parent / f"weights/{name}.safetensors"
        state = load_file(file)
        key = next(key for key, tensor in state.items() if tensor.is_floating_point() and tensor.ndim > 1)
        save_file({**state, key: state[key] + torch.ones_like(state[key])}, file)
        write_sums(toml.parent / "weights")

    return change


def _clips(change: Callable[[str], str]) -> Callable[[Path], None]:
    def changed(toml: Path) -> None:
        file = toml.parent / "test/clips.csv"
        file.write_text(change(file.read_text()))

    return changed


def _swap(one: str, other: str) -> Callable[[str], str]:
    return lambda text: text.replace(one, "\0").replace(other, one).replace("\0", other)


def _sound(toml: Path) -> None:
    folder = toml.parent / "test/audio"
    (folder / "dog-0.wav").write_bytes((folder / "dog-1.wav").read_bytes())


def _tokenizer(toml: Path) -> None:
    file = toml.parent / "weights/stable-diffusion/tokenizer/tokenizer_config.json"
    file.write_text(file.read_text() + "\n")
    write_sums(toml.parent / "weights")


SUITE_CHANGES = {
    "the classifier's image size": _text("image_size = 32\ncategories", "image_size = 24\ncategories"),
    "category names swapped": _text('categories = ["bell", ', 'categories = ["cat", '),
    "CLIP's heads": _text("head_width = 32", "head_width = 16"),
    "CLIP's activation": _text("quick_gelu = true", "quick_gelu = false"),
    "CLIP's tokenizer": _tokenizer,
    "CLIP's weights": _weights("clip"),
    "Wav2CLIP's weights": _weights("wav2clip"),
    "the classifier's weights": _weights("classifier"),
    "Inception's weights": _weights("inception"),
    "the suite's version": _text("version = 1", "version = 2"),
    "labels swapped between clips": _clips(_swap("dog barking", "bell ringing")),
    "a clip's id": _clips(lambda text: text.replace("dog-0,", "dog-00,", 1)),
    "a clip's sound": _sound,
}
OF_ENCODER = {"clip": "clip", "wav2clip": "wav2clip", "classifier": "classifier", "inception": "inception"}


def test_the_changes_are_changes(own_suite):
    """Each really touches the copy: a change that did nothing would prove nothing."""
    text = own_suite.read_text()
    for needle in ("image_size = 32\ncategories", 'categories = ["bell", ', "head_width = 32", "quick_gelu = true"):
        assert needle in text


@pytest.mark.parametrize("change", SUITE_CHANGES.values(), ids=SUITE_CHANGES)
def test_what_changes_a_suite_changes_every_signature(change, own_suite, outputs, before):
    """A suite that is not built in is signed as a whole, so even metrics that do not read the change are apart."""
    change(own_suite)
    outputs = {**outputs, "dog-00": outputs["dog-0"]}
    after = signatures(own_suite, outputs)
    reads = _readers(change)
    same = [name for name in after if name in before and after[name] == before[name] and (not reads or name in reads)]
    assert not same


def _readers(change) -> tuple[str, ...]:
    """The metrics that read the weights which were changed: of the others the signature need not change."""
    name = next((name for name, each in SUITE_CHANGES.items() if each is change), "")
    if not name.endswith("weights") and name != "CLIP's tokenizer":
        return ()
    word = {
        "CLIP's weights": ("clip-image", "clip-text"),
        "CLIP's tokenizer": ("clip-text",),
        "Wav2CLIP's weights": ("wav2clip",),
        "the classifier's weights": ("classifier",),
        "Inception's weights": ("inception",),
    }[name]
    return tuple(name for name in ALL if set(get(name).encoders) & set(word))


def test_the_coverage_is_signed(tiny_suite, outputs, before):
    several = signatures(tiny_suite, outputs, per_clip=2)
    fewer = signatures(tiny_suite, outputs, left_out=4)
    # Two images for each of half the clips: as many images as clips, and as many values.
    half = signatures(tiny_suite, outputs, per_clip=2, left_out=4)
    for name, signature in before.items():
        found = [signature, *(each[name] for each in (several, fewer, half) if name in each)]
        assert len(set(found)) == len(found), name
    assert {"FID", "KID", "AIS", "IIS", "AIC"} <= half.keys()


def test_own_clips_are_signed_by_content_and_not_by_name(tiny_suite, outputs, clip_folder, own_clips, tmp_path, before):
    names = ("AIS", "IIS", "AIC", "FID")
    same = signatures(tiny_suite, outputs, data=clip_folder, names=names)
    assert same == {name: before[name] for name in names}
    elsewhere = own_clips.rename(tmp_path / "an|other+name")
    assert signatures(tiny_suite, outputs, data=elsewhere, names=names) == same
    text = (elsewhere / "clips.csv").read_text()
    (elsewhere / "clips.csv").write_text(_swap("dog barking", "bell ringing")(text))
    other = signatures(tiny_suite, outputs, data=elsewhere, names=names)
    assert not [name for name in names if other[name] == same[name]]


def test_what_cannot_change_a_number_leaves_the_signature_alone(own_suite, outputs, before, tmp_path):
    folder = own_suite.parent.rename(tmp_path / "somewhere else")
    toml = folder / own_suite.name
    text = toml.read_text()
    toml.write_text(
        "# A comment.\n" + text.replace("Random networks: for", "Networks: for").replace('["Random', '["Any')
    )
    lines = (folder / "test/clips.csv").read_text().splitlines()
    (folder / "test/clips.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert signatures(toml, outputs, batch_size=3) == before


def test_a_copy_of_a_built_in_suite_is_not_that_suite(tmp_path):
    mini = load_suite("mini")
    (tmp_path / "suite.toml").write_text((mini.folder / "suite.toml").read_text())
    copy = load_suite(str(tmp_path / "suite.toml"))
    assert mini.id == "mini@2"
    assert copy.id.startswith("mini@2.")
    assert mini.setting(mini.clips()) == "mini@2"
    assert mini.setting(mini.clips()[:12]) == f"mini@2+{mini.clips()[:12].digest[:12]}"


def test_the_published_classifiers_transforms_are_signed():
    """V1 and V2 of ResNet-50 have the same keys; another resize or interpolation of the same weights is another."""
    network = torch.nn.Identity()

    def encoder(transform) -> ClassifierEncoder:
        return ClassifierEncoder(network, transform, ("a", "b"), None, "0" * 64, "cpu")

    kinds = [published_weights(name).transforms for name in ("IMAGENET1K_V1", "IMAGENET1K_V2")]
    from torchvision.transforms import InterpolationMode

    every = [kind() for kind in kinds]
    every += [
        kinds[1](mean=(0.5, 0.5, 0.5)),
        kinds[1](antialias=False),
        kinds[1](interpolation=InterpolationMode.BICUBIC),
    ]
    digests = {encoder(transform).digest for transform in every}
    assert len(digests) == len(every)


def test_names_of_the_exact_match_are_signed(tiny_suite):
    suite = load_suite(str(tiny_suite))
    part = suite.encoder_part("classifier")
    path, sha256 = part.resolve()
    names = list(part.config["categories"])
    renamed = load_classifier({**part.config, "categories": names[::-1]}, path, sha256)
    assert renamed.digest != suite.encoder("classifier").digest


@pytest.mark.parametrize("field", ["name", "weights", "preprocessing", "dtype", "configuration"])
def test_each_part_of_an_encoders_identity_is_in_its_digest(field):
    class Plain(base.Encoder):
        name, modality, weights, preprocessing = "plain", "image", "0" * 64, "1"
        configuration = {"size": 64}  # noqa: RUF012

        def encode(self, items):
            return np.zeros((len(items), 1), np.float32)

    one, other = Plain(), Plain()
    assert (one.digest, one.id) == (other.digest, other.id)
    setattr(other, field, {"size": 32} if field == "configuration" else "another")
    assert one.digest != other.digest
    assert one.id != other.id


def test_how_files_are_read_is_in_the_digest(monkeypatch, tiny_suite):
    encoder = load_suite(str(tiny_suite)).encoder("inception")
    digest = encoder.digest
    monkeypatch.setitem(base.READING, "image", base.READING["image"] + 1)
    assert encoder.digest != digest


def test_options_of_the_metrics_are_signed():
    from dataclasses import replace

    whole = Coverage(1, 240, 240)
    ids = {encoder: "x" for metric in metrics().values() for encoder in metric.encoders}
    for name, metric in metrics().items():
        signature = str(metric.signature(n=240, encoders=ids, suite="mini@1", coverage=whole))
        for option in metric.options:
            changed = replace(metric, options={**metric.options, option: "another"})
            assert str(changed.signature(n=240, encoders=ids, suite="mini@1", coverage=whole)) != signature, name
        newer = replace(metric, version=metric.version + 1)
        assert str(newer.signature(n=240, encoders=ids, suite="mini@1", coverage=whole)) != signature
    assert "|seed:" in str(get("AIS.one").signature(n=9, encoders=ids, suite="mini@1", coverage=whole))


def test_sanity_entries_are_cached_under_all_of_it(own_suite, fresh_cache):
    """Category names alone must not bring back the entries of other names."""

    def ceiling() -> float:
        suite = load_suite(str(own_suite))
        (real, *_) = sanity(Scorer(suite, suite.clips()), chosen_metrics(["AIC.exact"], TASK))
        return real.scores[0].value

    text = own_suite.read_text()
    ceiling()
    own_suite.write_text(text.replace('categories = ["bell", ', 'categories = ["cat", '))
    ceiling()
    assert len(list((fresh_cache / "sanity").iterdir())) == 2
    shutil.rmtree(fresh_cache / "sanity")
