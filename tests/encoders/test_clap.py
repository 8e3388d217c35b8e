"""CLAP: transformers' own extractor and model as oracles, long sounds cut, and rows on their own."""

import json

import numpy as np
import pytest
import torch
from seeded import seeded_state, sound
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

from a2ibench.encoders.clap import Clap, _shared, load_audio, load_text, log_mel
from a2ibench.errors import A2IBenchError

TEXT = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 24, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "projection_dim": 8,
}  # fmt: skip
AUDIO = {
    "num_mel_bins": 32, "spec_size": 64, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4, "depths": [1, 1],
    "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 8, "hidden_size": 16, "projection_dim": 8,
    "num_hidden_layers": 2, "enable_fusion": False,
}  # fmt: skip
EARS = {
    "feature_size": 32, "sampling_rate": 16_000, "hop_length": 250, "max_length_s": 1, "fft_window_size": 1024,
    "frequency_min": 50, "frequency_max": 8000, "truncation": "rand_trunc", "padding": "repeatpad",
}  # fmt: skip
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "a", "dog", "barks", "frog", "croaks", "in", "the", "rain", "bell", "rings"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = tmp_path_factory.mktemp("clap")
    network = ClapModel(ClapConfig(text_config=TEXT, audio_config=AUDIO, projection_dim=8))
    network.load_state_dict(
        {key: value for key, value in seeded_state(network).items() if "mean" not in key and "var" not in key},
        strict=False,
    )
    network.save_pretrained(made)
    ClapFeatureExtractor(**EARS).save_pretrained(made)
    raw = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))  # noqa: S106
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=20, **names).save_pretrained(made)
    return made


@pytest.mark.parametrize("samples", [480_000, 300_000, 100_000, 479_999])
def test_pictures_are_those_of_the_published_extractor(samples):
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    hearing = {key: getattr(extractor, key) for key in ("sampling_rate", "hop_length", "max_length_s")}
    hearing |= {"feature_size": 64, "fft_window_size": 1024, "frequency_min": 0, "frequency_max": 14_000}
    wave = sound(samples, 48_000)
    theirs = extractor(wave, sampling_rate=48_000, return_tensors="pt")["input_features"]
    ours = log_mel(torch.from_numpy(wave)[None], hearing)
    assert ours.shape == theirs.shape == (1, 1, 1001, 64)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)  # decibels


def test_rows_are_those_of_the_library(folder):
    network = ClapModel.from_pretrained(folder).eval()
    extractor = ClapFeatureExtractor.from_pretrained(folder)
    waves = [sound(16_000), sound(5_000), sound(16_000, seed=3)]
    with torch.inference_mode():
        seen = extractor(waves, sampling_rate=16_000, return_tensors="pt")
        theirs = network.get_audio_features(**seen).pooler_output.numpy()
    audio = load_audio({}, folder, "0" * 64)
    assert (audio.rate, audio.dim) == (16_000, 8)
    np.testing.assert_allclose(audio.encode(waves), theirs, atol=1e-5)
    texts = ["a dog barks in the rain", "bell", "a frog croaks twice then a bell rings"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    with torch.inference_mode():
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        told = network.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output.numpy()
    rows = load_text({}, folder, "0" * 64).encode(texts)
    np.testing.assert_allclose(rows, told, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_rows_depend_on_their_own_item_alone_and_long_sounds_are_cut(folder):
    audio, text = load_audio({}, folder, "0" * 64), load_text({}, folder, "0" * 64)
    waves = [sound(16_000), sound(40_000), sound(700)]
    together = audio.encode(waves)
    for wave, row in zip(waves, together, strict=True):
        np.testing.assert_allclose(audio.encode([wave])[0], row, atol=1e-5)
    np.testing.assert_array_equal(audio.encode([waves[1]]), audio.encode([waves[1][:16_000]]))
    np.testing.assert_array_equal(audio.encode([waves[1]]), audio.encode([waves[1]]))  # and nothing is drawn
    np.testing.assert_allclose(text.encode(["bell", "a dog barks"])[:1], text.encode(["bell"]), atol=1e-6)
    assert text.encode(["bell " * 500]).shape == (1, 8)
    assert audio.encode([]).shape == text.encode([]).shape == (0, 8)
    assert audio._clap is text._clap  # one network for both
    assert audio.digest != load_audio({"length": 5}, folder, "0" * 64).digest


def test_the_published_size():
    with torch.device("meta"):
        network = ClapModel(ClapConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 153_492_890


def test_folders_that_are_not_what_is_needed(folder, tmp_path):
    with pytest.raises(A2IBenchError, match="are no folder"):
        Clap(tmp_path / "absent", {}, "", "cpu")
    with pytest.raises(A2IBenchError, match=r"has no readable preprocessor_config\.json"):
        Clap(tmp_path, {}, "", "cpu")
    with pytest.raises(A2IBenchError, match="no setting"):
        Clap(folder, {"model": {}}, "", "cpu")

    def copied(name):
        made = tmp_path / name
        made.mkdir()
        for file in folder.iterdir():
            (made / file.name).write_bytes(file.read_bytes())
        return made

    made = copied("fusion")
    ears = json.loads((made / "preprocessor_config.json").read_text())
    (made / "preprocessor_config.json").write_text(json.dumps({**ears, "truncation": "fusion"}))
    with pytest.raises(A2IBenchError, match="hears by truncation='fusion'"):
        Clap(made, {}, "", "cpu")
    made = copied("weightless")
    (made / "model.safetensors").unlink()
    with pytest.raises(A2IBenchError, match=r"holds none of model\.safetensors"):
        Clap(made, {}, "", "cpu")
    audio = load_audio({}, folder, "0" * 64)
    with pytest.raises(A2IBenchError, match="CLAP takes mono waveforms"):
        audio.encode([np.zeros((2, 9))])
    _shared.cache_clear()
