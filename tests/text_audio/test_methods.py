"""The methods on tiny random networks: what changes a sound, what must not, and what is refused."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch

from a2ibench.baselines import get as get_method
from a2ibench.baselines.re_audioldm.examples import caption_of
from a2ibench.baselines.re_audioldm.model import Generator
from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.runs.prepare import _check_option

SEEDS = [11, 12, 13, 14, 15]


def options(name="re-audioldm", **own):
    return {**get_method(name).options, "steps": 2, "guidance": 2.0, **own}


def draw(parts, clips, seeds=SEEDS, name="re-audioldm", **own):
    return [wave for wave, _ in get_method(name).load(parts, options(name, **own), "cpu")(list(clips), seeds)]


def test_a_sound_is_its_own_clips_and_seeds(with_both, clips):
    whole = draw(with_both, clips)
    assert all(wave.shape == (4800,) and np.isfinite(wave).all() and np.abs(wave).max() <= 1 for wave in whole)
    turned = draw(with_both, list(clips)[::-1], SEEDS[::-1])[::-1]
    for one, other in zip(whole, turned, strict=True):
        np.testing.assert_array_equal(one, other)
    other = draw(with_both, clips, [*SEEDS[:2], 99, *SEEDS[3:]])
    assert [np.array_equal(a, b) for a, b in zip(whole, other, strict=True)] == [True, True, False, True, True]


def test_a_duplicate_caption_with_another_seed_is_another_sound(with_both, clips):
    one, other = draw(with_both, [clips[0], clips[0]], [1, 2])
    assert not np.array_equal(one, other)


def test_k_is_a_mask_and_every_stream_counts(with_both, clips):
    by_k = {k: draw(with_both, list(clips)[:2], SEEDS[:2], k=k)[0] for k in (0, 1, 3, 10)}
    assert len({wave.tobytes() for wave in by_k.values()}) == 4
    audio = draw(with_both, list(clips)[:2], SEEDS[:2], retrieval="audio")[0]
    assert not np.array_equal(audio, by_k[3])


def test_masked_examples_change_nothing(with_both, clips):
    generator = Generator(with_both, options(), "cpu")
    assert generator.tokens is not None
    some = [[0, 1], [2, 3]]
    film = torch.from_numpy(generator.clap.texts(["a", "b"]))
    noisy, times = torch.randn(2, *generator.codec.shape), torch.tensor([5, 900])
    from a2ibench.baselines.re_audioldm.unet import Told, predict

    found = []
    for k in (2, 5):
        told = Told(film, *generator.tokens.batch(some, k))
        if k == 5:  # whatever stands there
            for stream, mask in zip(told.streams, told.masks, strict=True):
                stream[~mask] = 7.0
        with torch.inference_mode():
            found.append(predict(generator.unet, noisy, times, told, generator.how))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    # and their order does not matter
    told = Told(film, *generator.tokens.batch([each[::-1] for each in some], 2))
    with torch.inference_mode():
        torch.testing.assert_close(found[0], predict(generator.unet, noisy, times, told, generator.how))


@pytest.mark.parametrize(
    ("retrieval", "streams"), [("none", "sequential"), ("audio", "sequential"), ("audio-text", "joined")]
)
def test_the_other_kinds_of_unet(unet_of, clips, retrieval, streams):
    parts = unet_of(retrieval=retrieval, streams=streams)
    name = "audioldm" if retrieval == "none" else "re-audioldm"
    own = {} if retrieval == "none" else {"retrieval": retrieval, "streams": streams}
    waves = draw(parts, list(clips)[:2], SEEDS[:2], name, **own)
    assert not np.array_equal(*waves)
    if retrieval != "none":
        assert not np.array_equal(waves[0], draw(parts, list(clips)[:2], SEEDS[:2], name, k=1, **own)[0])


def test_what_a_unet_was_not_trained_for_is_refused(with_both, unet_of, another_clap, clips):
    with pytest.raises(A2IBenchError, match="trained with retrieval=none, and retrieval=audio-text is asked for"):
        Generator(unet_of(retrieval="none"), options(), "cpu")
    with pytest.raises(A2IBenchError, match="attends to its streams sequential"):
        Generator(with_both, options(streams="joined"), "cpu")
    with pytest.raises(A2IBenchError, match="trained with retrieval=audio-text, and retrieval=none"):
        Generator(with_both, options("audioldm"), "cpu")
    with pytest.raises(A2IBenchError, match="0 to 10 examples; found k=11"):
        Generator(with_both, options(k=11), "cpu")
    with pytest.raises(A2IBenchError, match="did you mean 'audio-text'"):
        Generator(with_both, options(retrieval="audio+text"), "cpu")
    with pytest.raises(A2IBenchError, match="built with another network"):
        Generator({**with_both, "clap": another_clap}, options(), "cpu")
    with pytest.raises(A2IBenchError, match="trained with another 'clap'"):
        Generator({**unet_of("other", retrieval="none"), "clap": another_clap}, options("audioldm"), "cpu")


def test_k_may_be_zero_and_steps_may_not():
    method = get_method("re-audioldm")
    assert method.may_be_zero == ("k",)
    _check_option("k", 0, 3, 0)
    with pytest.raises(A2IBenchError, match="1 or above"):
        _check_option("steps", 0, 200)


def test_the_simple_ones(with_both, clips, corpus):
    nearest = draw(with_both, clips, name="nearest-sound")
    assert nearest[0].shape == (4800,)
    label = draw(with_both, clips, name="label-sound")
    sounds = {clip.clip_id: clip for clip in corpus}
    from a2ibench.media.audio import read_audio

    same = [read_audio(clip.file("audio"), 16_000) for clip in sounds.values() if clip.label == clips[0].label]
    assert any(np.array_equal(label[0], wave) for wave in same)
    through = draw(with_both, clips, name="codec-sound")
    assert through[0].shape == (4800,)


def test_an_index_with_the_test_is_refused_or_used(with_both, corpus):
    some = list(corpus)[:2]
    with pytest.raises(A2IBenchError, match="holds 2 of the clips that are tested"):
        draw(with_both, some, SEEDS[:2])
    waves = draw(with_both, some, SEEDS[:2], "nearest-sound", index_with_test=True)
    from a2ibench.media.audio import read_audio

    own = [read_audio(clip.file("audio"), 16_000) for clip in some]
    assert not any(np.array_equal(wave, each) for wave, each in zip(waves, own, strict=True))


def test_tokens_can_be_shipped_instead_of_sounds(with_both, clips, tmp_path):
    from a2ibench.baselines.re_audioldm.examples import SHIPPED, Examples, ship_tokens
    from a2ibench.baselines.re_audioldm.parts import AudioTokens, Clap

    folder = shutil.copytree(with_both["index"]["file"], tmp_path / "index")
    parts, audio = {**with_both, "index": {"file": folder}}, AudioTokens(with_both["audiomae"], "cpu")
    meta = folder / "index.json"
    corpus = with_both["index"]["file"].parent / "corpus"
    meta.write_text(meta.read_text().replace(str(json.loads(meta.read_text())["corpus"]), str(corpus)))
    ship_tokens(Examples(parts["index"], Clap(parts["clap"], "cpu")), audio)
    meta.write_text(meta.read_text().replace(str(corpus), str(tmp_path / "nowhere")))
    for one, other in zip(draw(with_both, clips), draw(parts, clips), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(A2IBenchError, match="missing or another"):
        draw(parts, clips, name="nearest-sound")
    (folder / SHIPPED).write_bytes(b"0" * 30)
    with pytest.raises(A2IBenchError, match="is broken; delete it"):
        draw(parts, clips)


@pytest.mark.parametrize("place", ["../corpus/train-00.wav", "/etc/passwd"])
def test_an_index_does_not_lead_out_of_its_corpus(with_both, place):
    from dataclasses import replace

    from a2ibench.baselines.re_audioldm.examples import sound_file
    from a2ibench.retrieval import load_index

    index = load_index(with_both["index"]["file"])
    with pytest.raises(A2IBenchError, match="outside its corpus"):
        sound_file(index, replace(index.items[0], audio=place))


def test_long_sounds_are_cut_and_not_drawn_from(networks):
    from a2ibench.baselines.re_audioldm.parts import Clap

    clap = Clap(networks["clap"], "cpu")
    wave = np.random.default_rng(0).standard_normal(3 * clap.rate).astype(np.float32)
    np.testing.assert_array_equal(clap.sounds([wave]), clap.sounds([wave]))
    np.testing.assert_array_equal(clap.sounds([wave]), clap.sounds([wave[: clap.rate]]))


def test_numbers_that_are_none_give_no_sound(unet_of, clips):
    from safetensors.torch import load_file, save_file

    parts = unet_of(retrieval="none")
    file = parts["unet"]["file"] / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_out.bias"].fill_(float("nan"))
    save_file(weights, file)
    assert get_method("audioldm").load(parts, options("audioldm"), "cpu")(list(clips)[:2], [1, 2]) == [None, None]


def told(text):
    return Clip("c", "x", {"caption": text})


@pytest.mark.parametrize(
    "text",
    ["a bell rings " * 1000, "une cloche sonne", "鐘が鳴る", "\N{BELL} rings \N{FROG FACE}", "a\x07 bell\x00\n rings"],
)
def test_any_caption_makes_a_sound(with_both, clips, text):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        clip = Clip("c", "bell", {**clips[0].values, "caption": text})
        waves = draw(with_both, [clip], [1])
    assert np.isfinite(waves[0]).all()
    long = [each for each in heard if issubclass(each.category, A2IBenchWarning)]
    assert bool(long) == (len(text) > 1000)
    if long:
        assert "tokens, and 30 are read" in str(long[0].message)


@pytest.mark.parametrize("text", ["", "  ", "\x00\x07\n"])
def test_no_caption_is_one_sentence(text):
    with pytest.raises(A2IBenchError, match="caption of the clip 'c' is empty"):
        caption_of(told(text))


def test_control_characters_are_spaces():
    assert caption_of(told(" a\x07bell\x1b[31m \n rings ")) == "a bell [31m rings"


def test_a_sound_of_the_index_that_was_changed_is_named(with_both, clips, tmp_path):
    folder = with_both["index"]["file"]
    shutil.copytree(folder.parent / "corpus", tmp_path / "corpus")
    from a2ibench.baselines.re_audioldm.parts import Clap
    from a2ibench.clips import load_clips
    from a2ibench.retrieval.build import build_index
    from a2ibench.tasks import get as get_task

    own = load_clips(tmp_path / "corpus", task=get_task("text-to-audio"))
    build_index(own, Clap(with_both["clap"], "cpu"), tmp_path / "index", corpus=tmp_path / "corpus")
    for file in (tmp_path / "corpus").glob("*.wav"):
        file.write_bytes(b"RIFF")
    with pytest.raises(A2IBenchError, match="missing or another than was indexed"):
        draw({**with_both, "index": {"file": tmp_path / "index"}}, clips, name="nearest-sound")
