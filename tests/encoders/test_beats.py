"""BEATs against the original network, on seeded weights at full size (recipe: tests/fixtures/README.md)."""

import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from a2ibench.encoders import beats
from a2ibench.encoders.beats import AUDIOTOKEN_LAYERS, Beats, BeatsConfig
from a2ibench.encoders.filterbank import log_mel
from a2ibench.errors import A2IBenchError

FIXTURES = Path(__file__).parents[1] / "fixtures"
MINI = BeatsConfig(
    embed_dim=64,
    encoder_embed_dim=128,
    encoder_layers=4,
    encoder_attention_heads=4,
    encoder_ffn_embed_dim=256,
    conv_pos=32,
    conv_pos_groups=4,
    predictor_class=12,
)
# The shape of a published checkpoint's `cfg`: other names, and what only training needs, among the sizes.
PUBLISHED = {
    "input_patch_size": 16,
    "embed_dim": 512,
    "conv_bias": False,
    "encoder_layers": 12,
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "dropout": 0.0,
    "encoder_layerdrop": 0.05,
    "layer_wise_gradient_decay_ratio": 0.6,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "relative_position_embedding": True,
    "num_buckets": 320,
    "max_distance": 800,
    "gru_rel_pos": True,
    "finetuned_model": True,
    "predictor_class": 527,
}
BIAS = "encoder.layers.{}.self_attn.relative_attention_bias.weight"


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Every key of the published state dict, with its shape."""

    def linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (512, 1, 16, 16),
        "encoder.pos_conv.0.weight_g": (1, 1, 128),
        "encoder.pos_conv.0.weight_v": (768, 48, 128),
        "encoder.pos_conv.0.bias": (768,),
        **norm("layer_norm", 512),
        **linear("post_extract_proj", 512, 768),
        **norm("encoder.layer_norm", 768),
        **linear("predictor", 768, 527),
    }
    for number in range(12):
        block = f"encoder.layers.{number}"
        shapes[BIAS.format(number)] = (320, 12)
        shapes[f"{block}.self_attn.grep_a"] = (1, 12, 1, 1)
        shapes |= linear(f"{block}.self_attn.grep_linear", 64, 8)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{block}.self_attn.{name}", 768, 768)
        shapes |= norm(f"{block}.self_attn_layer_norm", 768) | norm(f"{block}.final_layer_norm", 768)
        shapes |= linear(f"{block}.fc1", 768, 3072) | linear(f"{block}.fc2", 3072, 768)
    return shapes


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weights of one parameter, the same for every network that has a parameter of this name."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if name.endswith(("norm.weight", "grep_a", "weight_g")):
        return torch.from_numpy(1 + x / 10)
    return torch.from_numpy(x / np.float32(math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 10))


def sound(seconds: int = 10) -> Tensor:
    """A decaying chirp each second over a hum and some noise, ``[1, samples]``."""
    t = np.arange(16_000 * seconds) / 16_000
    chirp = np.sin(2 * np.pi * (200 * t + 180 * t**2)) * np.exp(-(t % 1) * 4)
    hum = np.sin(2 * np.pi * 110 * t)
    noise = np.random.default_rng(0).standard_normal(t.size)
    return torch.from_numpy((0.3 * chirp + 0.2 * hum + 0.003 * noise).astype(np.float32))[None]


def difference(ours: Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float((ours - torch.from_numpy(theirs)).abs().max())


@pytest.fixture(scope="module")
def original() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "beats.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def full() -> Beats:
    # The position table stands in the first block alone: `load` shares it out.
    names = {name: shape for name, shape in published_shapes().items() if "relative" not in name}
    names[BIAS.format(0)] = (320, 12)
    return beats.load(BeatsConfig.from_dict(PUBLISHED), {name: seeded(name, shape) for name, shape in names.items()})


@pytest.fixture(scope="module")
def mini() -> Beats:
    torch.manual_seed(0)
    return Beats(MINI).eval().requires_grad_(False)


class TestFilterBank:
    def test_equals_torchaudio(self, original: dict[str, np.ndarray]) -> None:
        # Measured: 2.7e-4 (torchaudio rounds its mel filters to float32).
        assert difference(log_mel(sound())[0, ::50], original["log_mel"]) < 5e-4

    @pytest.mark.filterwarnings("ignore:At least one mel filter")
    def test_equals_transformers(self) -> None:
        from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

        w = sound(3)[0].numpy()
        expected = spectrogram(
            w * 2.0**15,
            window_function(400, "povey", periodic=False),
            frame_length=400,
            hop_length=160,
            fft_length=512,
            power=2.0,
            center=False,
            preemphasis=0.97,
            mel_filters=mel_filter_bank(
                257, 128, 20, 8000, 16000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
            ),
            log_mel="log",
            mel_floor=1.192092955078125e-07,
            remove_dc_offset=True,
        ).T
        assert difference(log_mel(torch.from_numpy(w)[None])[0], expected) < 1e-4  # measured: 2e-6

    def test_normalises_with_the_configuration(self) -> None:
        w = sound(1)
        raw = log_mel(w)
        assert torch.equal(beats.fbank(w), (raw - 15.41663) / (2 * 6.55582))
        assert torch.equal(beats.fbank(w, BeatsConfig(fbank_mean=1.0, fbank_std=2.0)), (raw - 1) / 4)

    def test_silence_is_kaldis_floor(self) -> None:
        assert torch.allclose(log_mel(torch.zeros(1, 400)), torch.tensor(2.0**-23).log())

    @pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (16_000, 98)])
    def test_leaves_out_a_frame_that_is_not_full(self, samples: int, frames: int) -> None:
        assert log_mel(torch.zeros(2, samples)).shape == (2, frames, 128)

    def test_does_not_see_its_neighbours(self) -> None:
        w = sound(2).view(2, -1)
        assert torch.allclose(beats.fbank(w)[1:], beats.fbank(w[1:]), atol=1e-6)

    @pytest.mark.parametrize("shape", [(16_000,), (1, 399), (1, 1, 16_000)])
    def test_refuses_other_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(A2IBenchError, match="at least 400 samples"):
            beats.fbank(torch.zeros(shape))


class TestPublishedSize:
    def test_parameters(self, full: Beats) -> None:
        assert sum(p.numel() for p in full.parameters()) == 90_717_055

    def test_keys(self, full: Beats) -> None:
        assert {name: tuple(value.shape) for name, value in full.state_dict().items()} == published_shapes()

    def test_loading_freezes_and_shares_the_position_table(self, full: Beats) -> None:
        assert not full.training
        assert not any(p.requires_grad for p in full.parameters())
        state = full.state_dict()
        assert len({state[BIAS.format(number)].data_ptr() for number in range(12)}) == 1

    def test_layers_equal_the_original(self, full: Beats, original: dict[str, np.ndarray]) -> None:
        with torch.no_grad():
            tokens = full(beats.fbank(sound()), layers=AUDIOTOKEN_LAYERS)[0]
            tags = full.predictor(tokens[:, -768:]).mean(dim=0).sigmoid()
        assert tokens.shape == (496, 2304)
        # Measured: 3.8e-6, of features with a standard deviation of 1; float32 itself is uncertain by 6e-6.
        assert difference(tokens[::31, ::8], original["layers"]) < 2e-5
        assert difference(tokens.mean(dim=0), original["layers_mean"]) < 2e-5
        assert difference(tags, original["tag"]) < 2e-6

    def test_tags_equal_the_original_from_the_waveform_on(self, full: Beats, original: dict[str, np.ndarray]) -> None:
        with torch.no_grad():
            fbank = beats.fbank(sound()[:, :80_000])
            assert full(fbank, layers=(1,)).shape == (1, 248, 768)
            assert difference(full.tag(fbank)[0], original["end_to_end_tag_5s"]) < 1e-5  # measured: 1.0e-6


class TestNetwork:
    def test_does_not_see_its_neighbours(self, mini: Beats) -> None:
        batch = beats.fbank(sound(4).view(4, -1))
        together = mini(batch, layers=(2, 4))
        for number in range(4):
            assert torch.allclose(together[number], mini(batch[number : number + 1], layers=(2, 4))[0], atol=1e-5)

    @pytest.mark.parametrize(("frames", "tokens"), [(16, 8), (31, 8), (32, 16), (298, 144), (998, 496)])
    def test_any_number_of_frames(self, mini: Beats, frames: int, tokens: int) -> None:
        assert mini(torch.zeros(1, frames, 128)).shape == (1, tokens, 128)

    def test_layers_are_blocks_from_one(self, mini: Beats) -> None:
        fbank = beats.fbank(sound(1))
        both = mini(fbank, layers=(4, 1))
        assert torch.equal(both[..., :128], mini(fbank))
        assert torch.equal(both[..., 128:], mini(fbank, layers=(1,)))

    @pytest.mark.parametrize("layers", [(), (0,), (5,), (1, 12)])
    def test_refuses_blocks_that_it_lacks(self, mini: Beats, layers: tuple[int, ...]) -> None:
        with pytest.raises(A2IBenchError, match="blocks 1 to 4"):
            mini(torch.zeros(1, 16, 128), layers=layers)

    def test_refuses_too_short_a_sound(self, mini: Beats) -> None:
        with pytest.raises(A2IBenchError, match="at least 16 frames"):
            mini(torch.zeros(1, 15, 128))

    def test_a_masked_patch_is_hidden(self, mini: Beats) -> None:
        fbank = beats.fbank(sound(1))
        mask = torch.zeros(1, 48, dtype=torch.bool)
        mask[:, 8:16] = True  # the second time step
        changed = fbank.clone()
        changed[:, 16:32] += 1
        token = torch.ones(128)
        assert torch.equal(mini(fbank, mask=mask, mask_token=token), mini(changed, mask=mask, mask_token=token))
        assert not torch.allclose(mini(fbank), mini(fbank, mask=mask, mask_token=token))
        with pytest.raises(A2IBenchError, match="together"):
            mini(fbank, mask=mask)

    def test_tag_is_the_sigmoid_of_the_mean_logits(self, mini: Beats) -> None:
        fbank = beats.fbank(sound(1))
        expected = mini.predictor(mini(fbank)).mean(dim=1).sigmoid()
        assert torch.allclose(mini.tag(fbank), expected, atol=1e-6)

    def test_every_parameter_learns(self) -> None:
        torch.manual_seed(0)
        model = Beats(MINI).train()
        token = torch.zeros(128, requires_grad=True)
        mask = torch.rand(2, 48) < 0.5
        fbank = beats.fbank(sound(2).view(2, -1))
        target = torch.randn(2, 48, 128)
        loss = (model(fbank, mask=mask, mask_token=token) - target).square().mean()
        (loss + model.logits(fbank).square().mean()).backward()
        assert token.grad is not None
        assert token.grad.abs().sum() > 0
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


class TestLoading:
    def test_half_precision_becomes_float32(self, mini: Beats) -> None:
        loaded = beats.load(MINI, {name: value.half() for name, value in mini.state_dict().items()})
        assert all(p.dtype == torch.float32 for p in loaded.parameters())

    def test_does_not_move_the_global_seed(self, mini: Beats) -> None:
        before = torch.get_rng_state()
        beats.load(MINI, mini.state_dict())
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("change", ["missing", "unknown", "other size"])
    def test_is_strict(self, mini: Beats, change: str) -> None:
        state = dict(mini.state_dict())
        if change == "missing":
            del state["encoder.layers.2.fc1.weight"]
        elif change == "unknown":
            state["mask_embedding"] = torch.zeros(128)
        else:
            state["predictor.bias"] = torch.zeros(527)
        with pytest.raises(A2IBenchError, match="do not fit"):
            beats.load(MINI, state)

    def test_reads_a_checkpoints_configuration(self) -> None:
        assert BeatsConfig.from_dict(PUBLISHED) == BeatsConfig()

    def test_a_network_that_was_only_pretrained_has_no_tagger(self) -> None:
        config = BeatsConfig.from_dict(PUBLISHED | {"finetuned_model": False, "encoder_layers": 1})
        model = Beats(config)
        assert not any(name.startswith("predictor") for name in model.state_dict())
        with pytest.raises(A2IBenchError, match="no tagger"):
            model.tag(torch.zeros(1, 16, 128))

    def test_refuses_variants_that_it_would_compute_wrongly(self) -> None:
        with pytest.raises(A2IBenchError, match="layer_norm_first=True"):
            BeatsConfig.from_dict(PUBLISHED | {"layer_norm_first": True})
        with pytest.raises(A2IBenchError, match="found 768 and 7"):
            BeatsConfig(encoder_attention_heads=7)
