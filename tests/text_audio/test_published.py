"""The published configurations on random weights: sizes by the research's measurements, shapes by the paper."""

import json

import numpy as np
import pytest
import torch

from a2ibench.baselines.re_audioldm.mel import MelConfig
from a2ibench.baselines.re_audioldm.parts import AUDIOMAE, AudioTokens, Codec, TextTokens, Vocoder, build_audiomae
from a2ibench.baselines.re_audioldm.unet import Conditioning, Told, build_unet, predict, unet_config
from a2ibench.errors import A2IBenchError


def published(size, retrieval, streams="sequential"):
    told = Conditioning(retrieval, streams)
    return unet_config(size, told, channels=8, clap=512, widths=[768] * len(told.parts))


@pytest.mark.parametrize(
    ("size", "retrieval", "streams", "millions"),
    [
        ("S", "audio-text", "sequential", 347.9),
        ("L", "audio-text", "sequential", 765.9),
        ("S", "none", "sequential", 185.0),
        ("S", "audio", "sequential", None),
        ("S", "audio-text", "joined", None),
    ],
)
def test_the_sizes_of_the_unet(size, retrieval, streams, millions):
    with torch.device("meta"):
        unet = build_unet(published(size, retrieval, streams))
    found = sum(each.numel() for each in unet.parameters()) / 1e6
    if millions:
        assert found == pytest.approx(millions, abs=0.06)
    else:
        assert 185.1 < found < 347.8


def test_the_papers_l_can_not_be():
    config = published("L", "audio-text")
    config["block_out_channels"] = (196, 392, 588, 980)
    with torch.device("meta"), pytest.raises(ValueError, match="divisible"):
        build_unet(config)


def test_streams_of_two_widths_can_not_be_joined():
    with pytest.raises(A2IBenchError, match="widths 768, 512 can't be joined"):
        unet_config("S", Conditioning("audio-text", "joined"), channels=8, clap=512, widths=[768, 512])


@pytest.mark.slow
def test_the_small_unet_hears_both_streams():
    how = Conditioning("audio-text")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = build_unet(published("S", "audio-text")).eval()
    noisy, film = torch.randn(1, 8, 32, 16), torch.randn(1, 512)
    streams = [torch.randn(1, 2 * 32, 768), torch.randn(1, 2 * 50, 768)]
    masks = [torch.ones(each.shape[:2], dtype=torch.bool) for each in streams]
    with torch.inference_mode():
        found = [
            predict(unet, noisy, torch.tensor([500]), Told(film, tuple(some), tuple(masks)), how)
            for some in (streams, [-streams[0], streams[1]], [streams[0], -streams[1]])
        ]
    assert found[0].shape == noisy.shape
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.slow
def test_audiomae_gives_32_tokens_of_768(tmp_path):
    from safetensors.torch import save_file

    network = build_audiomae(AUDIOMAE)
    assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(85.6, abs=0.5)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    tokens = AudioTokens({"file": tmp_path / "model.safetensors"}, "cpu")
    assert (tokens.length, tokens.width) == (32, 768)
    wave = np.random.default_rng(0).standard_normal(16_000 * 11).astype(np.float32) * 0.1
    found = tokens([wave])
    assert found.shape == (1, 32, 768)
    torch.testing.assert_close(found, tokens([wave[: 16_000 * 10]]))  # what is longer than 10 s is cut, not drawn


@pytest.mark.slow
def test_autoencoder_and_vocoder(tmp_path):
    from diffusers import AutoencoderKL
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(128, 256, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, scaling_factor=0.9,
    ).save_pretrained(tmp_path / "vae")  # fmt: skip
    SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=1024, upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[16, 16, 8, 4, 4], normalize_before=False,
        )
    ).save_pretrained(tmp_path / "vocoder")  # fmt: skip
    codec = Codec({"file": tmp_path / "vae"}, "cpu")
    assert codec.mel == MelConfig()
    assert codec.shape == (8, 256, 16)  # 10.24 s
    # A tenth of it is enough to run.
    (tmp_path / "vae/mel.json").write_text(json.dumps({"frames": 96, "seconds": 0.95}))
    codec = Codec({"file": tmp_path / "vae"}, "cpu")
    latents = codec.encode(np.zeros((1, codec.mel.samples), np.float32))
    assert latents.shape == (1, *codec.shape) == (1, 8, 24, 16)
    mel = codec.decode(latents)
    assert mel.shape == (1, 96, 64)
    assert Vocoder({"file": tmp_path / "vocoder"}, "cpu")(mel, codec.mel).shape == (1, codec.mel.samples)


def test_the_folder_of_a_whole_pipeline_is_one_too(networks, tmp_path):
    import shutil

    shutil.copytree(networks["codec"]["file"], tmp_path / "vae")
    shutil.copytree(networks["vocoder"]["file"], tmp_path / "vocoder")
    codec = Codec({"file": tmp_path}, "cpu")
    assert codec.digest == Codec(networks["codec"], "cpu").digest
    assert Vocoder({"file": tmp_path}, "cpu")(torch.zeros(1, 32, 16), codec.mel).shape == (1, codec.mel.samples)


def test_the_published_lengths_are_the_defaults(networks):
    part = {"file": networks["t5"]["file"]}
    tokens, mask = TextTokens(part, "cpu")(["a bell"])
    assert tokens.shape[1] == mask.shape[1] == 50


@pytest.mark.parametrize("content", ["[1]", "{", '{"hops": 3}', '{"hop": "x"}', '{"hop": -1}'])
def test_wrong_settings_are_one_sentence(networks, tmp_path, content):
    (tmp_path / "mel.json").write_text(content)
    with pytest.raises(A2IBenchError, match=r"mel\.json"):
        Codec({"file": tmp_path}, "cpu")


@pytest.mark.parametrize(
    "content", ["[1]", '{"networks": 3}', '{"retrieval": "some"}', '{"streams": ["joined"]}', "{}"]
)
def test_a_unet_that_does_not_say_what_it_is_told(tmp_path, content):
    from a2ibench.baselines.re_audioldm.unet import FILE, load_unet

    (tmp_path / FILE).write_text(content)
    with pytest.raises(A2IBenchError):
        load_unet({"file": tmp_path}, "cpu")


@pytest.mark.parametrize("name", ["clap", "t5", "codec", "vocoder", "audiomae"])
def test_a_part_that_is_not_whole_is_one_sentence(networks, tmp_path, name):
    from a2ibench.baselines.re_audioldm import parts

    kinds = {"clap": parts.Clap, "t5": TextTokens, "codec": Codec, "vocoder": Vocoder, "audiomae": AudioTokens}
    with pytest.raises(A2IBenchError):
        kinds[name]({"file": tmp_path}, "cpu")
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(A2IBenchError):
        kinds[name]({"file": tmp_path}, "cpu")
