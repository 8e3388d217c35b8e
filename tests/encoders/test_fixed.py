"""A row's bits depend on its item alone: not on its place, its neighbours, how many there are, or the threads."""

import numpy as np
import pytest
import torch
from PIL import Image

from a2ibench.encoders import get
from a2ibench.encoders._frozen import TorchEncoder
from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig
from a2ibench.suites import load_suite

SMALL = {"width": 32, "blocks": 2, "heads": 4, "mlp_width": 64, "out_dim": 16, "stride": 16}
KINDS = ("clip-image", "clip-text", "classifier", "inception", "wav2clip", "imagebind-audio")


@pytest.fixture(scope="module", params=KINDS)
def encoder(request):
    if request.param != "imagebind-audio":
        return load_suite("mini").encoder(request.param)
    torch.manual_seed(0)
    return get(request.param).load(SMALL, ImageBindAudio(ImageBindConfig(**SMALL)).state_dict(), "0" * 64)


@pytest.fixture(scope="module")
def items(encoder):
    """19 of them: two full batches and a part of one."""
    rng = np.random.default_rng(0)
    if encoder.modality == "text":
        return [" ".join(["a dog", "rain", "bell", "the"][i] for i in rng.integers(0, 4, 1 + k)) for k in range(19)]
    if encoder.modality == "audio":
        return [rng.uniform(-0.5, 0.5, 16_000 + 801 * (k % 3)).astype(np.float32) for k in range(19)]
    sizes = [(64, 64), (90, 70), (50, 81)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[k % 3], 3), dtype=np.uint8)) for k in range(19)]


@pytest.fixture(scope="module")
def whole(encoder, items):
    return encoder.encode(items)


def test_in_any_order_and_number(encoder, items, whole):
    assert len({row.tobytes() for row in whole}) == len(items), "another item, another row"
    rng = np.random.default_rng(1)
    for count in (1, 2, 7, 8, 9, 19):
        some = rng.permutation(19)[:count]
        np.testing.assert_array_equal(encoder.encode([items[index] for index in some]), whole[some])


def test_at_each_place_of_a_batch(encoder, items, whole):
    for place in range(encoder.batch):
        np.testing.assert_array_equal(encoder.encode(items[1 : 1 + place] + items[:1])[-1], whole[0])
        np.testing.assert_array_equal(encoder.encode(items[1 : 1 + place] + items[:1] + items[9:])[place], whole[0])


def test_on_any_number_of_threads(encoder, items, whole):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            np.testing.assert_array_equal(encoder.encode(items), whole)
            assert torch.get_num_threads() == threads, "what others compute goes on as before"
    finally:
        torch.set_num_threads(before)


def test_the_network_sees_one_size_only(encoder, items, monkeypatch):
    seen = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda batch: seen.append(len(batch)) or forward(batch))
    for count in (1, 5, 19):
        encoder.encode(items[:count])
    assert set(seen) == {encoder.batch}
    assert len(encoder.encode([])) == 0


def test_items_that_come_together_are_not_filled_up(encoder, items, whole, monkeypatch):
    np.testing.assert_allclose(encoder.encode_together(items), whole, atol=1e-5 * np.abs(whole).max())
    seen = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda batch: seen.append(len(batch)) or forward(batch))
    encoder.encode_together(items[:1])
    assert seen == [1]


def test_the_size_names_the_cached_rows_and_not_the_signature(encoder, monkeypatch):
    assert isinstance(encoder, TorchEncoder)
    stored, name = encoder.stored_as, encoder.id
    monkeypatch.setattr(type(encoder), "sizes", (5, 5))
    assert encoder.stored_as != stored
    assert encoder.id == name
