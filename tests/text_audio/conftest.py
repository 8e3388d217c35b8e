"""Tiny random networks in the classes of the published ones, and a corpus of a dozen sounds."""

import csv
import json

import numpy as np
import pytest
import soundfile
import torch

from a2ibench.baselines.re_audioldm.mel import MelConfig
from a2ibench.baselines.re_audioldm.parts import AUDIOMAE, AudioTokens, Clap, Codec, TextTokens, build_audiomae
from a2ibench.baselines.re_audioldm.unet import Conditioning, build_unet, save_unet, unet_config
from a2ibench.clips import load_clips
from a2ibench.retrieval.build import build_index
from a2ibench.tasks import get as get_task

RATE = 16_000
MEL = {"rate": RATE, "window": 256, "hop": 160, "bands": 16, "frames": 32, "seconds": 0.3}
WORDS = ("bell", "frog", "drum", "siren")


def write_corpus(folder, count, prefix, shift=0.0):
    folder.mkdir(parents=True)
    rows = []
    for number in range(count):
        word = WORDS[number % len(WORDS)]
        clip_id = f"{prefix}-{number:02d}"
        t = np.arange(int(0.3 * RATE)) / RATE
        wave = 0.4 * np.sin(2 * np.pi * (300 * (number % len(WORDS) + 1) + 7 * number + shift) * t) * np.exp(-4 * t)
        soundfile.write(folder / f"{clip_id}.wav", wave, RATE)
        rows.append((clip_id, f"a {word} sounds {number}", f"{clip_id}.wav", word))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("clip_id", "caption", "audio", "label"), *rows])
    return load_clips(folder, task=get_task("text-to-audio"))


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>"), letters  # noqa: S106


def save_clap(folder, vocabulary, seed=0):
    from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel, ClapTextConfig

    text = ClapTextConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=40, pad_token_id=0, bos_token_id=1, eos_token_id=2, projection_dim=12,
    )  # fmt: skip
    audio = ClapAudioConfig(
        num_mel_bins=16, spec_size=32, patch_size=8, patch_stride=[8, 8], window_size=4, depths=[1],
        num_attention_heads=[2], patch_embeds_hidden_size=16, hidden_size=16, projection_dim=12, enable_fusion=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    config = ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=12)
    ClapModel(config).save_pretrained(folder)
    hears = ClapFeatureExtractor(
        feature_size=16, sampling_rate=RATE, hop_length=300, max_length_s=1, fft_window_size=256, frequency_min=50,
        frequency_max=8000, truncation="rand_trunc", padding="repeatpad",
    )  # fmt: skip
    hears.save_pretrained(folder)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tiny networks are slower on several threads, most of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """The parts of the methods, as a suite gives them; not to be written to."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig, T5Config, T5EncoderModel

    out = tmp_path_factory.mktemp("networks")
    tokenizer, letters = _tokenizer()
    save_clap(out / "clap", len(letters))
    torch.manual_seed(1)
    T5EncoderModel(
        T5Config(vocab_size=len(letters), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    ).save_pretrained(out / "t5")
    for name in ("clap", "t5"):
        tokenizer.save_pretrained(out / name)
    config = {
        **AUDIOMAE, "img_size": [32, 16], "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "pool": 2,
        "mel": MEL,
    }  # fmt: skip
    (out / "audiomae").mkdir()
    save_file(build_audiomae(config).state_dict(), out / "audiomae/model.safetensors")
    (out / "audiomae/audiomae.json").write_text(json.dumps(config))
    AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=2, block_out_channels=(4, 4), norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1,
        scaling_factor=0.5,
    ).save_pretrained(out / "codec")  # fmt: skip
    (out / "codec/mel.json").write_text(json.dumps(MEL))
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=16, sampling_rate=RATE, upsample_initial_channel=8, upsample_rates=[16, 10],
            upsample_kernel_sizes=[32, 20], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
            normalize_before=False,
        )
    )  # fmt: skip
    for weights in vocoder.parameters():
        torch.nn.init.normal_(weights, std=0.15)  # else all is silence
    vocoder.save_pretrained(out / "vocoder")
    parts = {name: {"file": out / name} for name in ("clap", "t5", "audiomae", "codec", "vocoder")}
    parts["clap"]["config"] = {"length": 30}
    parts["t5"]["config"] = {"length": 12}
    corpus = write_corpus(out / "corpus", 12, "train")
    build_index(corpus, Clap(parts["clap"], "cpu"), out / "index", corpus=out / "corpus")
    parts["index"] = {"file": out / "index"}
    return parts


@pytest.fixture(scope="session")
def corpus(networks):
    """The clips of the index, which are those to train on as well."""
    return load_clips(networks["index"]["file"].parent / "corpus", task=get_task("text-to-audio"))


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Five clips to test."""
    return write_corpus(tmp_path_factory.mktemp("test") / "clips", 5, "test", shift=31.0)


def make_unet(networks, folder, retrieval="audio-text", streams="sequential", digests=True):
    """Save a tiny UNet that is told so."""
    clap, codec = Clap(networks["clap"], "cpu"), Codec(networks["codec"], "cpu")
    audio, text = AudioTokens(networks["audiomae"], "cpu"), TextTokens(networks["t5"], "cpu")
    known = {"clap": clap, "codec": codec, "audiomae": audio, "t5": text}
    told = Conditioning(retrieval, streams)
    told = Conditioning(retrieval, streams, {n: known[n].digest for n in ("clap", "codec", *told.parts)})
    widths = [known[name].width for name in told.parts]
    torch.manual_seed(4)
    unet = build_unet(unet_config("tiny", told, channels=codec.channels, clap=clap.width, widths=widths))
    save_unet(unet, told if digests else Conditioning(retrieval, streams), folder)
    return {**networks, "unet": {"file": folder}}


@pytest.fixture(scope="session")
def with_both(networks, tmp_path_factory):
    """The parts with a UNet that is told sounds and captions, one after the other."""
    return make_unet(networks, tmp_path_factory.mktemp("unets") / "both")


@pytest.fixture(scope="session")
def mel():
    return MelConfig(**MEL)


@pytest.fixture
def unet_of(networks, tmp_path):
    """Make the parts with a UNet that is told something else."""
    return lambda name="unet", **told: make_unet(networks, tmp_path / name, **told)


@pytest.fixture
def another_clap(networks, tmp_path):
    """A CLAP of other weights."""
    import shutil

    shutil.copytree(networks["clap"]["file"], tmp_path / "clap")
    save_clap(tmp_path / "clap", _tokenizer()[1].__len__(), seed=9)
    return {**networks["clap"], "file": tmp_path / "clap"}
