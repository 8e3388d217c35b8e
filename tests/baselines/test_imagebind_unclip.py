"""ImageBind into unCLIP: whole draws with tiny random networks of the published classes."""

import functools
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from made import clip_of

from a2ibench.baselines import get, stable_diffusion
from a2ibench.clips import load_clips
from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig
from a2ibench.errors import A2IBenchError
from a2ibench.runs.prepare import prepare
from a2ibench.suites import load_suite

SIZES = {"width": 32, "blocks": 2, "heads": 4, "mlp_width": 64, "out_dim": 16, "stride": 16}
STEPS = 3


@pytest.fixture(scope="module")
def parts(tiny_suite, save_unclip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unclip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_unclip(folder / "unclip", tiny_suite.parent / "weights" / "stable-diffusion", SIZES["out_dim"])
        torch.save(ImageBindAudio(ImageBindConfig(**SIZES)).state_dict(), folder / "tower.pth")
    return {"unclip": {"file": folder / "unclip"}, "imagebind": {"file": folder / "tower.pth", "config": SIZES}}


@pytest.fixture
def load(parts):
    def load(**options):
        method = get("imagebind")
        assert not options.keys() - method.options.keys()
        return method.load(parts, {**method.options, "steps": STEPS, **options}, "cpu")

    return load


@pytest.fixture(scope="module")
def clips(clip_folder):
    return list(load_clips(clip_folder))[:3]


def pixels(images):
    return np.stack([np.asarray(image, np.int16) for image in images])


def test_declaration():
    method = get("imagebind")
    assert method.options == {"steps": 20, "guidance": 10.0, "noise_level": 0, "scheduler": None}
    assert (method.reads, set(method.parts)) == ("audio", {"unclip", "imagebind"})
    assert "CC-BY-NC-SA" in method.summary


def test_a_batch_equals_singles(load, clips):
    draw = load()
    seeds = [11, 2**62, 13]
    together = pixels(draw(clips, seeds))
    assert together.shape == (3, 32, 32, 3)
    assert together.std(axis=(1, 2)).min() > 1  # pictures, not a colour
    singles = pixels([draw([clip], [seed])[0] for clip, seed in zip(clips, seeds, strict=True)])
    assert np.abs(together - singles).max() <= 1
    assert np.array_equal(together, pixels(draw(clips, seeds)))
    assert np.abs(together - pixels(draw(clips[::-1], seeds[::-1]))[::-1]).max() <= 1


def test_seed_and_sound_both_matter(load, clips):
    draw = load()
    one, other_seed = pixels(draw([clips[0]] * 2, [1, 2]))
    other_sound = pixels(draw([clips[1]], [1]))[0]
    assert np.abs(one - other_seed).max() > 1
    assert np.abs(one - other_sound).max() > 1


def test_the_label_and_the_picture_do_not_matter(load, clips, tmp_path):
    draw = load()
    blind = clip_of("x", clips[0].file("audio"), tmp_path / "none.png", "another label")
    assert np.array_equal(pixels(draw([clips[0]], [5])), pixels(draw([blind], [5])))


@pytest.mark.parametrize("options", [{"noise_level": 999}, {"guidance": 1.0}, {"scheduler": "dpm"}, {"steps": 4}])
def test_options_matter(load, clips, options):
    assert np.abs(pixels(load()(clips[:1], [7])) - pixels(load(**options)(clips[:1], [7]))).max() > 1


def test_it_is_quiet_and_leaves_the_global_seed(load, clips, capfd):
    before = torch.get_rng_state()
    load()(clips[:1], [0])
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_half_precision(load, clips, monkeypatch):
    """What happens on a GPU, whose arithmetic is not here: every network and the embedding in float16."""
    full = pixels(load()(clips[:2], [1, 2]))
    monkeypatch.setattr(stable_diffusion, "load_pipeline", functools.partial(stable_diffusion.load_pipeline, half=True))
    half = pixels(load()(clips[:2], [1, 2]))
    assert half.shape == full.shape
    assert half.std(axis=(1, 2)).min() > 1


def test_sounds_of_any_lengths(load, tmp_path):
    rng = np.random.default_rng(0)
    clips = []
    for number, seconds in enumerate((0.1, 2.7, 7)):
        file = tmp_path / f"{number}.wav"
        soundfile.write(file, 0.1 * rng.standard_normal(round(seconds * 22_050)), 22_050)
        clips.append(clip_of(str(number), file, file, ""))
    images = pixels(load()(clips, [1, 1, 1]))
    assert len({image.tobytes() for image in images}) == 3


@pytest.mark.parametrize("level", [-1, 1000, 0.5])
def test_noise_levels_that_are_refused(load, level):
    with pytest.raises(A2IBenchError, match="whole number from 0 to 999"):
        load(noise_level=level)


def test_unknown_scheduler(load):
    with pytest.raises(A2IBenchError, match="known: ddim"):
        load(scheduler="fast")


def test_parts_that_do_not_belong_together(parts, tmp_path):
    other = SIZES | {"out_dim": 24}
    torch.save(ImageBindAudio(ImageBindConfig(**other)).state_dict(), tmp_path / "tower.pth")
    method = get("imagebind")
    wrong = parts | {"imagebind": {"file": tmp_path / "tower.pth", "config": other}}
    with pytest.raises(A2IBenchError, match="have 24 numbers, but this unCLIP takes 16"):
        method.load(wrong, method.options, "cpu")


def test_the_papers_suite_says_what_to_fetch(fresh_cache):
    suite = load_suite("vggsound")
    assert [suite.part(name).checkpoint for name in ("unclip", "imagebind")] == [
        "stable-diffusion-2-1-unclip",
        "imagebind-huge",
    ]
    with pytest.raises(A2IBenchError, match="stable-diffusion-2-1-unclip") as absent:
        prepare(suite, "imagebind")
    assert "about 5.5 GB" in str(absent.value)
    assert Path(fresh_cache).name in str(absent.value)
