"""ImageBind's vision tower: the original's pictures and embedding, which frames are seen, and rows on their own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_state

from a2ibench.encoders import get
from a2ibench.encoders.imagebind_video import (
    ImageBindVideo,
    ImageBindVideoConfig,
    clip_frames,
    clip_times,
    load,
    pictures,
)
from a2ibench.errors import A2IBenchError
from a2ibench.media.video import write_video

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "imagebind_video.npz")
SMALL = {"width": 32, "blocks": 2, "heads": 4, "mlp_width": 64, "patch": 16, "size": 32, "out_dim": 16, "clips": 3}


def moving(count, height, width):
    """Blocks of random colours that move three pixels a frame: uint8 ``[count, height, width, 3]``."""
    base = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    image = np.kron(base, np.ones((8, 8, 1)))[:height, :width]
    return np.stack([np.roll(image, 3 * step, 1) for step in range(count)]).astype(np.uint8)


@pytest.fixture(scope="module")
def small():
    return load(SMALL, seeded_state(ImageBindVideo(ImageBindVideoConfig(**SMALL))), "0" * 64)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, shape in {"wide": (40, 48, 80), "tall": (24, 80, 48), "short": (4, 48, 48)}.items():
        write_video(folder / f"{name}.mp4", moving(*shape), 8)
    return {file.stem: file for file in folder.iterdir()}


def test_pictures_are_the_originals():
    video, times = moving(24, 120, 64), np.arange(24) / 8
    seen = []
    for start, end in clip_times(3.0):
        inside = np.flatnonzero((times >= start - 1e-6) & (times < end - 1e-6))
        seen.append(pictures((video[inside[0]], video[inside[-1]])))
    ours = torch.cat(seen)
    assert ours.shape == (15, 3, 2, 224, 224)
    np.testing.assert_allclose(ours[..., ::32, ::32], FIXTURE["tall"], atol=1e-5)


def test_the_network_gives_the_originals_embedding():
    network = ImageBindVideo(ImageBindVideoConfig(blocks=2)).eval()
    network.load_state_dict(seeded_state(network))
    views = np.random.default_rng(5).standard_normal((1, 2, 3, 2, 224, 224), dtype=np.float32)
    with torch.inference_mode():
        row = network(torch.from_numpy(views))[0].numpy()
    np.testing.assert_allclose(row, FIXTURE["embedding"], atol=2e-6)  # their spread is 0.03


def test_the_published_size():
    with torch.device("meta"):
        network = ImageBindVideo()
    assert sum(parameter.numel() for parameter in network.parameters()) == 632_829_440
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert shapes["modality_preprocessors.vision.pos_embedding_helper.pos_embed"] == (1, 257, 1280)
    assert shapes["modality_preprocessors.vision.rgbt_stem.proj.1.weight"] == (1280, 3, 2, 14, 14)
    assert shapes["modality_trunks.vision.blocks.31.attn.in_proj_weight"] == (3840, 1280)
    assert shapes["modality_heads.vision.2.weight"] == (1024, 1280)


def test_which_frames_are_seen(videos):
    config = ImageBindVideoConfig(**SMALL)
    assert clip_times(10, ImageBindVideoConfig()) == ((0, 2), (2, 4), (4, 6), (6, 8), (8, 10))
    assert clip_times(1, config) == ((0, 2), (0, 2), (0, 2))
    from a2ibench.media.video import frames

    decoded = [frame.pixels for frame in frames(videos["wide"])]  # 5 s: clips at 0, 1.5 and 3 s
    for (first, last), (start, end) in zip(
        clip_frames(videos["wide"], config), ((0, 15), (12, 27), (24, 39)), strict=True
    ):
        np.testing.assert_array_equal(first, decoded[start])
        np.testing.assert_array_equal(last, decoded[end])


def test_rows_depend_on_their_own_video_alone(small, videos):
    together = small.encode(list(videos.values()))
    assert together.shape == (3, 16)
    for path, row in zip(videos.values(), together, strict=True):
        np.testing.assert_array_equal(small.encode([path])[0], row)
    assert (np.linalg.norm(together, axis=1) <= 1 + 1e-6).all()
    assert small.encode([]).shape == (0, 16)


def test_settings_and_wrong_input(small, tmp_path):
    assert get("imagebind-video").modality == "video"
    one = load({**SMALL, "crops": 1}, seeded_state(small.network), "0" * 64)
    assert one.digest != small.digest
    assert pictures((moving(1, 40, 80)[0],) * 2, one.network.config).shape == (1, 3, 2, 32, 32)
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(A2IBenchError):
        small.encode([tmp_path / "no.mp4"])
    with pytest.raises(A2IBenchError, match="heads that divide the width"):
        load({"heads": 7}, {}, "")
    with pytest.raises(A2IBenchError, match="1 or 3 squares"):
        load({"crops": 2}, {}, "")
    with pytest.raises(A2IBenchError, match="no setting"):
        load({"depth": 2}, {}, "")
    with pytest.raises(A2IBenchError, match="does not fit ImageBind's vision tower"):
        load(SMALL, {"a.vision.b": torch.zeros(1)}, "")
