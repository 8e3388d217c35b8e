"""The language model and its sampling: published sizes, cache against the whole, guidance, draws of one's own."""

import numpy as np
import pytest
import torch
from tiny_foleygen import tiny

from a2ibench.baselines.foleygen.lm import FoleyLm, LmConfig, lm_bytes, read_lm
from a2ibench.baselines.foleygen.pattern import ATTENTIONS, delay, inputs_of
from a2ibench.baselines.foleygen.sample import choose, generate, uniforms
from a2ibench.errors import A2IBenchError


def test_the_published_size():
    """MusicGen's small decoder without its cross-attention has 318.9 million numbers, as transformers counts them."""
    with torch.device("meta"):
        network = FoleyLm(LmConfig())
    prefix = 512 * 1024 + 1024 + 512  # projection and null vector: FoleyGen's own
    count = sum(each.numel() for each in network.parameters()) - prefix
    assert count == 318_871_552  # 4·2049·1024 + 24·(12·1024² + 4·1024) + 2·1024 + 4·2048·1024


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_step_by_step_is_the_whole(attention):
    """The cached draws are the likeliest codes of one pass over what was drawn."""
    network = tiny(attention)
    features = torch.randn(3, network.config.video_frames, network.config.features)
    codes = generate(network, features, [1, 2, 3], guidance=1.0, top_k=1)
    told = inputs_of(delay(codes, network.config.codes), network.config.codes)
    with torch.no_grad():
        again = network(features, told).argmax(-1)
    for book in range(network.config.books):
        assert torch.equal(again[:, book, book : book + codes.shape[2]], codes[:, book])


def test_guidance_by_hand():
    network = tiny("all-frame")
    config = network.config
    features = torch.randn(2, config.video_frames, config.features)
    codes = generate(network, features, [1, 2], guidance=3.0, top_k=1)
    told = inputs_of(delay(codes, config.codes), config.codes)
    with torch.no_grad():
        seen = network(features, told)
        unseen = network(features, told, dropped=torch.tensor([True, True]))
        alone = network(torch.randn_like(features), told, dropped=torch.tensor([True, True]))
    assert torch.allclose(unseen, alone)  # without its video, no video matters
    again = (unseen + 3 * (seen - unseen)).argmax(-1)
    assert torch.equal(again[:, 0, : codes.shape[2]], codes[:, 0])
    assert not torch.equal(codes, generate(network, features, [1, 2], guidance=1.0, top_k=1))


@pytest.mark.parametrize("attention", ["all-frame", "aligned"])
def test_a_clip_does_not_depend_on_its_batch(attention):
    network = tiny(attention)
    features = torch.randn(4, network.config.video_frames, network.config.features)
    seeds = [11, 12, 13, 14]
    whole = generate(network, features, seeds, top_k=5)
    order = [2, 0, 3, 1]
    assert torch.equal(generate(network, features[order], [seeds[i] for i in order], top_k=5), whole[order])
    assert torch.equal(generate(network, features[1:2], seeds[1:2], top_k=5), whole[1:2])
    assert not torch.equal(generate(network, features, [15, 16, 17, 18], top_k=5), whole)


def test_draws_follow_the_distribution():
    logits = torch.log(torch.tensor([0.1, 0.4, 0.2, 0.3])).expand(40_000, 4)
    drawn = choose(logits, uniforms([0], 40_000, 1)[0, :, 0], top_k=3)
    share = np.bincount(drawn.numpy(), minlength=4) / len(drawn)
    assert share[0] == 0
    assert np.abs(share - [0, 0.4 / 0.9, 0.2 / 0.9, 0.3 / 0.9]).max() < 0.01
    edges = choose(logits[:2], torch.tensor([0.0, 1 - 2**-24]), top_k=4)
    assert edges.tolist() == [1, 0]  # the likeliest first, and never beyond the last


def test_a_network_comes_back_with_its_sizes(tmp_path):
    network = tiny("causal")
    file = tmp_path / "lm.safetensors"
    file.write_bytes(lm_bytes(network))
    again = read_lm(file)
    assert again.config == network.config
    kept = network.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in again.state_dict().items())


def test_another_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(A2IBenchError, match="no language model of FoleyGen"):
        read_lm(tmp_path / "other.safetensors")
