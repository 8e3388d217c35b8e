"""FoleyGen as a method: frames of any video, the four encoders, training that goes on, and sounds of clips."""

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from tiny_foleygen import tiny

from a2ibench.baselines import methods
from a2ibench.baselines.base import Training
from a2ibench.baselines.foleygen import eyes as eyes_module
from a2ibench.baselines.foleygen.eyes import HubEyes, load_eyes, pixels_of
from a2ibench.baselines.foleygen.frames import sample
from a2ibench.baselines.foleygen.lm import LmConfig, lm_bytes, read_lm
from a2ibench.baselines.foleygen.patches import PatchCodec, PatchConfig, train_codebooks
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.media.video import write_video
from a2ibench.progress import silent
from a2ibench.tasks import get as get_task

TASK = get_task("video-to-audio")
VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
       "patch_size": 8}  # fmt: skip
CODEC = {"codes": 8, "books": 2, "iterations": 2}
SIZES = {"layers": 1, "width": 16, "heads": 2, "seconds": 1.0, "frame_rate": 4.0}


def numbered(path, count=12, fps=8.0, size=32):
    """A video whose frame i is grey of 20 i."""
    write_video(path, np.stack([np.full((size, size, 3), 20 * i, np.uint8) for i in range(count)]), fps)
    return path


def greys(frames):
    return [round(float(each.mean()) / 20) for each in frames]


def test_frames_at_their_moments(tmp_path):
    file = numbered(tmp_path / "v.mp4")
    assert greys(sample(file, 1.0, 4.0)[:, 0]) == [0, 2, 4, 6]
    assert greys(sample(file, 1.5, 8.0)[:, 0]) == list(range(12))
    assert greys(sample(file, 3.0, 2.0)[:, 0]) == [0, 4, 8, 11, 11, 11]  # what has ended holds its last frame
    assert sample(file, 1.0, 1.0, each=4).shape == (1, 4, 32, 32, 3)
    assert greys(sample(file, 1.0, 1.0, each=4)[0]) == [0, 2, 4, 6]
    assert sample(file, 1.0, 1.0, side=16).shape == (1, 1, 16, 16, 3)


def test_a_short_video_is_enough(tmp_path):
    assert greys(sample(numbered(tmp_path / "v.mp4", 2), 1.0, 2.0)[:, 0]) == [0, 1]


def test_no_video_is_one_sentence(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"no video at all")
    with pytest.raises(A2IBenchError, match=r"v\.mp4"):
        sample(tmp_path / "v.mp4", 1.0, 1.0)


def test_published_sizes():
    """ViT-B/16 has 85.8 million numbers without its pooler, VideoMAE-B's encoder 86.2 million."""
    with torch.device("meta"):
        vit, mae = eyes_module._vit({}), eyes_module._videomae({})
    assert sum(each.numel() for each in vit.parameters()) == 85_798_656
    assert 86.0e6 < sum(each.numel() for each in mae.parameters()) < 86.5e6
    assert (mae.config.num_frames, mae.config.hidden_size, vit.config.hidden_size) == (16, 768, 768)


@pytest.mark.parametrize(("name", "more", "each"), [("vit", {}, 1), ("videomae", {"num_frames": 4}, 4)])
def test_eyes_by_the_library_itself(name, more, each, tmp_path):
    made = HubEyes(name, {**VIT, **more})
    windows = np.random.default_rng(0).integers(0, 256, (5, each, 40, 48, 3), np.uint8)
    rows = made.encode(windows)
    assert (rows.shape, made.each, made.dim) == ((5, 16), each, 16)
    x = pixels_of(windows, 32, *(eyes_module.HALF if name == "vit" else eyes_module.IMAGENET))
    with torch.no_grad():
        if name == "vit":
            wanted = made.network(pixel_values=x[:, 0]).last_hidden_state[:, 0]
        else:
            wanted = made.network(pixel_values=x).last_hidden_state.mean(1)
    assert np.allclose(rows, wanted.numpy(), atol=1e-5)
    assert np.allclose(made.encode(windows[3:4]), rows[3:4], atol=1e-5)
    # A checkpoint has the network's name in front, and heads that are of no use here.
    state = {f"{name}.{key}": value for key, value in made.network.state_dict().items()}
    save_file({**state, "classifier.weight": torch.zeros(3, 16)}, tmp_path / "eyes.safetensors")
    again = load_eyes(name, {"file": tmp_path / "eyes.safetensors", "config": {**VIT, **more}})
    assert np.allclose(again.encode(windows), rows)


def test_wrong_eyes_are_named(tmp_path):
    with pytest.raises(A2IBenchError, match="did you mean 'clip'"):
        load_eyes("clap", {"file": tmp_path})
    with pytest.raises(A2IBenchError, match="did you mean 'hidden_size'"):
        HubEyes("vit", {"hidden_siz": 3})


@pytest.fixture
def world(tmp_path, fresh_cache):
    """Six clips, a codec and a ViT: the folder, the clips and the parts of a suite."""
    rng = np.random.default_rng(0)
    rows = ["clip_id,video,audio,label"]
    waves = []
    for number in range(6):
        numbered(tmp_path / f"c{number}.mp4", 8 + number)
        wave = (0.3 * np.sin(np.arange(16_000) * 0.05 * (number + 1))).astype(np.float32)
        waves.append(wave + 0.01 * rng.standard_normal(16_000).astype(np.float32))
        soundfile.write(tmp_path / f"c{number}.wav", waves[-1], 16_000)
        rows.append(f"c{number},c{number}.mp4,c{number}.wav,tone")
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    codec = PatchCodec(PatchConfig(**CODEC))
    train_codebooks(codec, codec.patches(torch.from_numpy(np.stack(waves))).flatten(0, 1))
    save_file(codec.state_dict(), tmp_path / "codec.safetensors")
    save_file(HubEyes("vit", VIT).network.state_dict(), tmp_path / "vit.safetensors")
    parts = {
        "codec": {"file": tmp_path / "codec.safetensors", "kind": "patches", "config": CODEC},
        "vit": {"file": tmp_path / "vit.safetensors", "config": VIT},
    }
    return tmp_path, load_clips(tmp_path, task=TASK), parts


def trained(world, folder, **settings):
    path, clips, parts = world
    method = methods()["foleygen-vit"]
    more = {"steps": 4, "batch_size": 3, "warmup": 2, "attention": "aligned", **SIZES, **settings}
    every = more.pop("every", 2)
    hashes = {"codec": "a", "vit": "b"}
    return method.train(Training(parts, hashes, clips, path / folder, more, "cpu", every, False, silent))


def test_train_and_generate(world):
    _, clips, parts = world
    file = trained(world, "run")
    network = read_lm(file)
    assert network.config == LmConfig(layers=1, width=16, heads=2, books=2, codes=8, code_rate=50.0, features=16,
                                      frame_rate=4.0, seconds=1.0, attention="aligned", encoder="vit")  # fmt: skip
    method = methods()["foleygen-vit"]
    options = {**method.options, "attention": "aligned", "top_k": 4}
    draw = method.load({**parts, "foleygen": {"file": file}}, options, "cpu")
    sounds = draw(list(clips), list(range(6)))
    assert all(rate == 16_000 and wave.shape == (16_000,) for wave, rate in sounds)
    turned = draw([clips[3], clips[1], *[clips[1]] * 4], [3, 1, 1, 1, 1, 1])
    assert np.array_equal(turned[0][0], sounds[3][0])
    assert np.array_equal(turned[1][0], sounds[1][0])


def test_a_killed_training_ends_with_the_same_weights(world, monkeypatch):
    from a2ibench.baselines.foleygen import train as module

    whole = trained(world, "whole").read_bytes()
    real = module._step

    def killed(*arguments):
        if arguments[-1] == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(world, "killed")
    monkeypatch.setattr(module, "_step", real)
    assert (world[0] / "killed/checkpoint.pt").exists()
    assert trained(world, "killed").read_bytes() == whole
    assert trained(world, "killed").read_bytes() == whole  # a training that has ended is not done again
    with pytest.raises(A2IBenchError, match="other settings"):
        trained(world, "killed", drop=0.2)


def test_the_papers_settings():
    from a2ibench.baselines.foleygen.train import Config, lr_at

    config = Config()
    told = (config.steps, config.batch_size, config.lr, config.warmup, config.weight_decay, config.drop)
    assert told == (20_000, 256, 1e-4, 4000, 0.1, 0.1)
    assert [lr_at(config, step) for step in (0, 1999, 3999, 19_999)] == pytest.approx([2.5e-8, 5e-5, 1e-4, 1e-4])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"attention": "casual"}, "did you mean 'causal'"),
        ({"attention": "causal"}, "was trained with the attention 'all-frame'"),
        ({"top_k": 0}, "top_k"),
        ({"temperature": 0.0}, "temperature"),
        ({}, "two that belong together"),
    ],
)
def test_what_does_not_fit_is_one_sentence(world, change, word):
    path, _, parts = world
    network = tiny("all-frame", features=16, encoder="vit")
    (path / "lm.safetensors").write_bytes(lm_bytes(network))
    method = methods()["foleygen-vit"]
    with pytest.raises(A2IBenchError, match=word):
        method.load({**parts, "foleygen": {"file": path / "lm.safetensors"}}, {**method.options, **change}, "cpu")


def test_a_folder_has_one_network_for_each_attention(world):
    path, _, parts = world
    (path / "lms").mkdir()
    (path / "lms/causal.safetensors").write_bytes(lm_bytes(tiny("causal")))
    method = methods()["foleygen-vit"]
    with pytest.raises(A2IBenchError, match=r"no FoleyGen with the attention 'all-frame' in .*; there: causal"):
        method.load({**parts, "foleygen": {"file": path / "lms"}}, dict(method.options), "cpu")


def test_imagebind_sees_each_frame_twice(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from a2ibench.encoders import encoders
    from a2ibench.encoders.base import EncoderKind

    seen = []

    class Network:
        config = SimpleNamespace(size=32)

        def __call__(self, clips):
            seen.append(clips)
            return clips.mean((1, 3, 4, 5))

    made = SimpleNamespace(network=Network(), dim=3)
    kind = EncoderKind("imagebind-video", "video", lambda *_: made)
    monkeypatch.setitem(encoders(), "imagebind-video", kind)
    windows = np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32, 3), np.uint8)
    rows = load_eyes("imagebind", {"file": tmp_path / "x"}).encode(windows)
    wanted = pixels_of(windows, 32, *eyes_module.CLIP)[:, 0]
    assert seen[0].shape == (1, 1, 3, 2, 32, 32)
    assert torch.equal(seen[1][0, 0, :, 0], wanted[1])
    assert torch.equal(seen[1][0, 0, :, 1], wanted[1])
    assert np.allclose(rows, wanted.mean((2, 3)).numpy(), atol=1e-6)
    monkeypatch.delitem(encoders(), "imagebind-video")
    with pytest.raises(A2IBenchError, match="choose another visual encoder"):
        load_eyes("imagebind", {"file": tmp_path / "x"})


def test_clip_is_the_metrics_encoder(monkeypatch, tmp_path):
    from types import SimpleNamespace

    import a2ibench.encoders.clip as clip_module

    encoder = SimpleNamespace(dim=3, encode=lambda images: np.stack([np.asarray(i).mean((0, 1)) for i in images]))
    monkeypatch.setattr(clip_module, "load_image", lambda *arguments: encoder)
    windows = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8, 3), np.uint8)
    rows = load_eyes("clip", {"file": tmp_path / "x"}).encode(windows)
    assert np.allclose(rows, windows[:, 0].mean((1, 2)))
