"""ImageBind's audio tower against the original, on seeded weights at full size (tests/fixtures/imagebind.md)."""

import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from a2ibench.clips import read_audio
from a2ibench.encoders import imagebind
from a2ibench.encoders.imagebind import RATE, ImageBindAudio, ImageBindConfig, clip_starts, preprocess
from a2ibench.errors import A2IBenchError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "imagebind.npz"
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real-a2i" / "audio"
RECORDINGS = ("1-13572-A-46", "1-15689-B-4", "2-116400-A-0")
SMALL = {"width": 32, "blocks": 2, "heads": 4, "mlp_width": 64, "out_dim": 16}
SHORT = SMALL | {"mel_bands": 64, "frames": 96, "stride": 16, "clips": 2, "clip_seconds": 1.0}


def published_shapes():
    """Every audio key of the published state dict, with its shape."""
    pre = "modality_preprocessors.audio."
    shapes = {
        f"{pre}cls_token": (1, 1, 768),
        f"{pre}rgbt_stem.proj.weight": (768, 1, 16, 16),
        f"{pre}rgbt_stem.norm_layer.weight": (768,),
        f"{pre}rgbt_stem.norm_layer.bias": (768,),
        f"{pre}pos_embedding_helper.pos_embed": (1, 229, 768),
        "modality_heads.audio.0.weight": (768,),
        "modality_heads.audio.0.bias": (768,),
        "modality_heads.audio.2.weight": (1024, 768),
        "modality_postprocessors.audio.1.log_logit_scale": (),
    }
    for number in range(12):
        block = f"modality_trunks.audio.blocks.{number}."
        shapes |= {f"{block}attn.in_proj_weight": (2304, 768), f"{block}attn.in_proj_bias": (2304,)}
        shapes |= {f"{block}attn.bias_{name}": (1, 1, 768) for name in "kv"}
        linears = {"attn.out_proj": (768, 768), "mlp.fc1": (3072, 768), "mlp.fc2": (768, 3072)}
        for name, (outputs, inputs) in linears.items():
            shapes |= {f"{block}{name}.weight": (outputs, inputs), f"{block}{name}.bias": (outputs,)}
        for name in ("norm_1", "norm_2"):
            shapes |= {f"{block}{name}.weight": (768,), f"{block}{name}.bias": (768,)}
    return shapes


def seeded(name, shape):
    """The weights of one parameter, the same for every network that has a parameter of this name."""
    if name.endswith("log_logit_scale"):
        return torch.tensor(math.log(20))
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if name.endswith(("cls_token", "pos_embed", "bias_k", "bias_v")):
        return torch.from_numpy(x)
    if len(shape) == 1:
        return torch.from_numpy(x / 10 + np.float32(name.endswith("weight")))
    return torch.from_numpy(x / np.float32(math.sqrt(math.prod(shape[1:]))))


def sound(seconds=5.0, seed=0):
    """A decaying chirp each second over a hum, some noise and an offset, ``[samples]``."""
    t = np.arange(round(RATE * seconds)) / RATE
    chirp = np.sin(2 * np.pi * (200 * t + 180 * t**2)) * np.exp(-(t % 1) * 4)
    noise = np.random.default_rng(seed).standard_normal(t.size)
    return (0.3 * chirp + 0.2 * np.sin(2 * np.pi * 110 * t) + 0.01 * noise + 0.02 * t).astype(np.float32)


def write_fixture(source):
    """Ask the original, unpacked in the folder ``source``; where it can be imported: tests/fixtures/imagebind.md."""
    theirs = Original(source)
    pictures = theirs.pictures([sound()])
    network = theirs.network({name: seeded(name, shape) for name, shape in published_shapes().items()})
    ours = preprocess(torch.from_numpy(sound())[None])
    np.savez(
        FIXTURE,
        pictures=pictures[0, :, ::8, ::6].numpy(),
        clip=network(ours[:, :1])[0].numpy(),
        embedding=network(pictures)[0].numpy(),
    )


class Original:
    """The authors' code, as a black box, with what cannot be imported here replaced by empty modules."""

    def __init__(self, source):
        import sys
        import types
        from unittest import mock

        torch.version.cuda = None  # past the check of torchaudio, which was built for another CUDA
        sys.path.insert(0, str(source))
        for name in ("pytorchvideo", "pytorchvideo.data"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [str(Path(source, *name.split(".")))]
        for name in ("transforms", "data.encoded_video"):
            sys.modules[f"pytorchvideo.{name}"] = mock.MagicMock()
        sys.modules["pytorchvideo"].transforms = sys.modules["pytorchvideo.transforms"]
        import torchaudio
        from imagebind import data
        from imagebind.models import imagebind_model

        self.torchaudio, self.data, self.model = torchaudio, data, imagebind_model

    def pictures(self, waveforms, rate=RATE):
        """Preprocess waveforms: ``[n, 3, 128, 204]``."""
        self.torchaudio.load = lambda index: (torch.from_numpy(waveforms[index].copy())[None], rate)
        return self.data.load_and_transform_audio_data(list(range(len(waveforms))), "cpu")[:, :, 0]

    def network(self, state):
        """Build the network with its audio tower at full size and the others small."""
        sizes = {"num_blocks": 1, "num_heads": 1, "embed_dim": 8}
        towers = ("vision", "depth", "thermal", "imu")
        small = {f"{tower}_{size}": number for tower in towers for size, number in sizes.items()}
        network = self.model.ImageBindModel(out_embed_dim=1024, text_num_blocks=1, **small).eval()
        wrong = network.load_state_dict(state, strict=False)
        assert not wrong.unexpected_keys
        assert not any(".audio." in key for key in wrong.missing_keys)

        def embed(pictures):
            with torch.no_grad():
                return network({"audio": pictures[:, :, None]})["audio"]

        return embed


@pytest.fixture(scope="module")
def original():
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def full():
    state = {name: seeded(name, shape) for name, shape in published_shapes().items()}
    other = {
        "modality_trunks.vision.blocks.0.norm_1.weight": torch.zeros(8),
        "modality_heads.text.proj.0": torch.ones(1),
    }
    return imagebind.load({}, state | other, "0" * 64)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return imagebind.load(SMALL, ImageBindAudio(ImageBindConfig(**SMALL)).state_dict(), "0" * 64)


def difference(ours, theirs):
    assert ours.shape == theirs.shape
    return float(np.abs(np.asarray(ours) - theirs).max())


# ------------------------------------------------------------------------------------------ published size


def test_parameters_and_keys(full):
    network = full.network
    assert sum(p.numel() for p in network.parameters()) == 86_235_648
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == published_shapes()
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_network_equals_the_original(full, original):
    pictures = preprocess(torch.from_numpy(sound())[None])[:, :1]
    with torch.no_grad():
        row = full.network(pictures)[0]
    assert float(row.norm()) == pytest.approx(20, rel=1e-5)
    assert difference(row, original["clip"]) < 1e-4  # measured: the same bits


def test_preprocessing_equals_the_original(original):
    pictures = preprocess(torch.from_numpy(sound())[None])[0]
    assert pictures.shape == (3, 128, 204)
    assert difference(pictures[:, ::8, ::6], original["pictures"]) * 9.138 < 1e-3  # measured: 3.5e-4


def test_equals_the_original_from_the_waveform_on(full, original):
    rows = full.encode_together([sound()])  # not filled up: this network is a large one
    assert rows.dtype == np.float32
    assert full.id == f"imagebind-audio:{'0' * 16}:1-upstream:float32:{full.digest}"
    assert difference(rows[0], original["embedding"]) < 1e-4  # measured: 3e-6


# ------------------------------------------------------------------------------------------- preprocessing


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(10, (0, 4, 8)), (5, (0, 1.5, 3)), (6, (0, 2, 4)), (2.5, (0, 0.25, 0.5)), (2, (0, 0, 0)), (0.5, (0, 0, 0))],
)
def test_clip_starts(seconds, starts):
    assert clip_starts(round(seconds * RATE)) == tuple(round(start * RATE) for start in starts)


def test_clip_starts_are_upstreams_to_the_sample():
    # Of a duration in floating point; whole numbers would give 170379, 104146 and 118227, 236455.
    assert clip_starts(202379) == (0, 85189, 170378)
    assert clip_starts(136146) == (0, 52072, 104145)
    assert clip_starts(268455) == (0, 118227, 236454)


def test_clip_starts_of_other_configurations():
    assert clip_starts(3 * RATE, ImageBindConfig(**SHORT)) == (0, 2 * RATE)
    assert clip_starts(3 * RATE, ImageBindConfig(clips=1)) == (0,)


def test_what_is_missing_is_zero_before_the_normalisation():
    pictures = preprocess(torch.from_numpy(sound(1.0))[None])[0]
    assert torch.allclose(pictures[:, :, 98:], torch.tensor(4.268 / 9.138))
    assert not torch.allclose(pictures[:, :, 97], pictures[:, :, 98])
    assert torch.allclose(pictures[0], pictures[2], atol=1e-4)
    cut = preprocess(torch.from_numpy(sound(1.0))[None], ImageBindConfig(frames=50))[0]
    assert torch.equal(cut, pictures[:, :, :50])


def test_silence_lies_at_the_floor():
    silent = preprocess(torch.zeros(1, 2 * RATE))[0, 0, :, :198]
    assert torch.allclose(silent, (torch.tensor(2.0**-23).log() + 4.268) / 9.138)


def test_the_waveform_is_left_alone():
    wave = torch.from_numpy(sound())[None]
    before = wave.clone()
    preprocess(wave)
    assert torch.equal(wave, before)


def test_an_overlap_shifts_what_later_clips_hear():
    """The original takes means off in place: only frames on the border of an overlap differ from clips on their own."""
    wave = torch.from_numpy(sound())[None]
    together = preprocess(wave)[0]
    for number, start in enumerate(clip_starts(5 * RATE)):
        alone = preprocess(wave[:, start : start + 2 * RATE])[0, 0]
        frames = (together[number] - alone).abs().amax(dim=0) > 1e-4
        border = 0.5 * 100  # a clip overlaps the next by half a second
        assert all(border - 3 < frame < border for frame in frames.nonzero().flatten().tolist())
        assert bool(frames.any()) == (number > 0)


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@pytest.mark.real_data
def test_real_recordings_against_transformers():
    """The filter bank of transformers, once checked against the original's (imagebind.md), on real recordings."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    if not REAL.is_dir():
        pytest.skip(f"the real recordings are not here: {REAL}")
    filters = mel_filter_bank(257, 128, 20, 8000, RATE, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True)
    for name in RECORDINGS:
        wave = read_audio(REAL / f"{name}.wav", RATE)
        pictures = preprocess(torch.from_numpy(wave)[None])[0].numpy()
        wave = wave.copy()
        for number, start in enumerate(clip_starts(len(wave))):
            clip = wave[start : start + 2 * RATE]
            clip -= clip.mean()
            expected = spectrogram(
                clip,
                window_function(400, "hann", periodic=False),
                frame_length=400,
                hop_length=160,
                fft_length=512,
                power=2.0,
                center=False,
                preemphasis=0.97,
                mel_filters=filters,
                log_mel="log",
                mel_floor=2.0**-23,
                remove_dc_offset=True,
            )
            assert difference(pictures[number, :, :198] * 9.138 - 4.268, expected) < 1e-3


# ------------------------------------------------------------------------------------------------- network


def test_a_row_is_its_own(small):
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((5, 0.4, 2, 10, 3.3, 5))]
    alone = np.concatenate([small.encode([x]) for x in sounds])
    assert np.abs(alone[0] - alone[3]).max() > 1e-2
    np.testing.assert_array_equal(small.encode(sounds), alone)
    np.testing.assert_array_equal(small.encode([sounds[0], 30 * sounds[3]])[0], alone[0])
    np.testing.assert_allclose(small.encode_together(sounds), alone, atol=2e-5)


def test_a_row_is_the_mean_of_clips_of_length_twenty(small):
    pictures = preprocess(torch.from_numpy(sound(10))[None], small.network.config)
    with torch.no_grad():
        clips = torch.cat([small.network(pictures[:, i : i + 1]) for i in range(3)])
    assert torch.allclose(clips.norm(dim=1), torch.tensor(20.0))
    row = small.encode([sound(10)])[0]
    np.testing.assert_allclose(row, clips.mean(0), atol=2e-5)
    assert 0 < np.linalg.norm(row) < 20
    short = small.encode([sound(1.5)])[0]  # its three clips are one and the same
    assert np.linalg.norm(short) == pytest.approx(20, rel=1e-4)


def test_other_sizes():
    torch.manual_seed(0)
    network = ImageBindAudio(ImageBindConfig(**SHORT))
    assert network.config.patches == (4, 6)
    encoder = imagebind.load(SHORT, network.state_dict(), "")
    assert encoder.encode([sound(3), sound(0.5)]).shape == (2, 16)
    assert encoder.encode([]).shape == (0, 16)


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = ImageBindAudio(ImageBindConfig(**SHORT)).train()
    rows = network(preprocess(torch.from_numpy(sound(4).reshape(2, -1)), network.config))
    (rows - torch.randn(2, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_silence_is_finite(small):
    assert np.isfinite(small.encode([np.zeros(8000, np.float32)])).all()


@pytest.mark.parametrize("bad", [np.zeros(399), np.zeros((2, 8000)), np.full(8000, np.nan)])
def test_refused(small, bad):
    with pytest.raises(A2IBenchError, match=r"^ImageBind [^\n]*; (leave it out or give more|decode it again)\.$"):
        small.encode([sound(1), bad.astype(np.float32)])


@pytest.mark.parametrize("shape", [(1, 3, 128, 198), (3, 128, 204)])
def test_pictures_of_another_size(small, shape):
    with pytest.raises(A2IBenchError, match="128, 204"):
        small.network(torch.zeros(shape))


# ------------------------------------------------------------------------------------------------- loading


def test_from_a_file_with_other_towers(small, tmp_path):
    path = tmp_path / "huge.pth"
    state = {key: value.half() for key, value in small.network.state_dict().items()}
    torch.save(state | {"modality_heads.vision.2.weight": torch.zeros(4, 4)}, path)
    seed = torch.get_rng_state()
    encoder = imagebind.load(SMALL, path, "")
    assert torch.equal(torch.get_rng_state(), seed)
    np.testing.assert_allclose(encoder.encode([sound(1)]), small.encode([sound(1)]), atol=0.1)
    with pytest.raises(A2IBenchError, match=r"ImageBind's audio tower in .*huge.pth: .*shape"):
        imagebind.load(SMALL | {"width": 64}, path, "")


def test_weights_without_an_audio_tower():
    with pytest.raises(A2IBenchError, match="missing"):
        imagebind.load(SMALL, {"modality_heads.vision.2.weight": torch.zeros(4, 4)}, "")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"heads": 7}, "found 768 and 7"),
        ({"frames": 8}, "128 mel bands x 8 frames"),
        ({"clips": 0}, "one clip or more"),
        ({"clip_seconds": 0.01}, "0.025 s"),
        ({"depth": 3}, "has no 'depth'; known: blocks"),
    ],
)
def test_configurations_that_are_refused(config, match):
    with pytest.raises(A2IBenchError, match=match):
        ImageBindConfig.from_dict(config)
