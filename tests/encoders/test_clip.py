"""CLIP: the right activation, texts pooled at their end, rows that know nothing of their neighbours."""

import numpy as np
import open_clip
import pytest
import torch
from encode import load_encoder
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from a2ibench import A2IBenchError
from a2ibench.encoders.clip import PUBLISHED, build_clip, load_image, load_text, text_tokenizer

LETTERS = sorted(ByteLevel.alphabet())
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def mini(vocab_size=2 * 256 + 2, **text):
    vision = {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "head_width": 32}
    text = {"context_length": 16, "vocab_size": vocab_size, "width": 32, "heads": 2, "layers": 1} | text
    return {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}


def images(count):
    """RGB images of many sizes, as a folder of outputs has them."""
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (96, 64), (40, 90), (128, 128)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[i % 4], 3), np.uint8)).convert("RGB") for i in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer of single bytes, saved as transformers saves it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokens = LETTERS + [f"{letter}</w>" for letter in LETTERS] + SPECIAL
    CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    state = build_clip(mini()).state_dict()
    for key, value in state.items():
        if key.endswith("bn3.weight"):  # zero at the start of training: the blocks would do nothing
            state[key] = torch.ones_like(value)
    return state


@pytest.fixture(scope="module")
def config(folder):
    return {"model": mini(), "tokenizer": str(folder)}


@pytest.fixture(scope="module")
def text(config, state):
    return load_text(config, state, "0" * 64)


@pytest.fixture(scope="module")
def image(config, state):
    return load_image(config, state, "0" * 64)


def test_published_has_quick_gelu():
    """OpenAI's weights were trained with it; plain ViT-B-32 has GELU and gives wrong rows."""
    with torch.device("meta"):
        network = build_clip()
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("QuickGELU") == 24
    assert "GELU" not in kinds
    assert sum(p.numel() for p in network.parameters()) == 151_277_313


def test_plain_vit_b_32_is_refused():
    with pytest.raises(A2IBenchError, match=PUBLISHED):
        build_clip("ViT-B-32")
    with pytest.raises(A2IBenchError, match="no CLIP model"):
        build_clip("ViT-B-33")


def test_published_tokenizer_needs_no_network():
    """open_clip carries its vocabulary: start 49406, end 49407, the highest id, where argmax pools."""
    ids = open_clip.get_tokenizer(PUBLISHED)(["frog croaking"])
    assert ids.shape == (1, 77)
    assert ids[0, 0] == 49406
    assert ids.max() == 49407


def test_tokens_are_padded_and_cut(folder):
    ids = text_tokenizer(folder, 16)(["bell", "a very long name of a sound"])
    end = 2 * 256 + 1
    assert ids.shape == (2, 16)
    assert ids[0].tolist().index(end) == 5
    assert ids[1, -1] == end  # cut, and still ended


def test_text_rows_stop_at_the_end_token(text, folder, state, config):
    """Padding must not matter: a longer context pads more, and the causal mask hides it."""
    longer = {key: value.clone() for key, value in state.items()}
    extra = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    longer["positional_embedding"] = torch.cat([state["positional_embedding"], extra])
    wide = load_text(config | {"model": mini(context_length=24)}, longer, "")
    np.testing.assert_allclose(wide.encode(["bell"]), text.encode(["bell"]), atol=1e-5)
    assert not np.allclose(text.encode(["bell"]), text.encode(["bel"]), atol=1e-4)


def test_eos_pooling_gives_the_same_rows(text, state, config):
    eos = {"pool_type": "eos", "eos_id": 2 * 256 + 1}
    other = load_text(config | {"model": mini(**eos)}, state, "")
    np.testing.assert_array_equal(other.encode(["frog", "bell"]), text.encode(["frog", "bell"]))


@pytest.mark.parametrize("text_cfg", [{"vocab_size": 600}, {"pool_type": "eos", "eos_id": 7}])
def test_wrong_end_token_is_refused(folder, text_cfg):
    model = mini(**text_cfg)
    with pytest.raises(A2IBenchError, match="ends texts with id 513"):
        load_text({"model": model, "tokenizer": str(folder)}, build_clip(model).state_dict(), "")


def test_own_model_needs_a_tokenizer(state):
    with pytest.raises(A2IBenchError, match="needs 'tokenizer'"):
        load_text({"model": mini()}, state, "")
    with pytest.raises(A2IBenchError, match="does not exist"):
        load_text({"model": mini(), "tokenizer": "/nowhere"}, state, "")


def test_text_rows_are_their_own(text):
    names = [f"sound {i} {'x' * (i % 9)}" for i in range(64)]
    alone = np.concatenate([text.encode([name]) for name in names])
    assert alone.dtype == np.float32
    _check_independence(text, names, alone)


def test_image_rows_are_their_own(image):
    pictures = images(64)
    alone = np.concatenate([image.encode([picture]) for picture in pictures])
    assert alone.shape == (64, 32)
    _check_independence(image, pictures, alone)


def _check_independence(encoder, items, alone):
    np.testing.assert_allclose(encoder.encode(items), alone, atol=1e-5)
    sevens = np.concatenate([encoder.encode(items[i : i + 7]) for i in range(0, 64, 7)])
    np.testing.assert_allclose(sevens, alone, atol=1e-5)
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_allclose(encoder.encode([items[i] for i in order]), alone[order], atol=1e-5)


def test_rows_are_the_models(image, state):
    """Not normalised by us, and prepared by open_clip's own transform."""
    network = build_clip(mini()).eval()
    network.load_state_dict(state)
    transform = open_clip.image_transform(64, is_train=False)
    with torch.no_grad():
        rows = network.encode_image(torch.stack([transform(picture) for picture in images(4)]))
    np.testing.assert_allclose(image.encode(images(4)), rows.numpy(), atol=1e-5)


def test_image_modes(image):
    grey = images(1)[0].convert("L")
    expected = image.encode([grey.convert("RGB")])
    np.testing.assert_array_equal(image.encode([grey]), expected)
    np.testing.assert_array_equal(image.encode([grey.convert("RGBA")]), expected)
    assert image.encode([]).shape == (0, 32)


def test_both_encoders_share_one_file(tmp_path, config, state):
    path = tmp_path / "clip.pt"
    torch.save({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, path)
    picture = load_encoder("clip-image", config, path)
    words = load_encoder("clip-text", config, path)
    assert picture.weights == words.weights
    assert picture._network.__self__ is words._clip.network
    assert next(words._clip.network.parameters()).dtype == torch.float32
    assert picture.id != words.id


def test_what_cannot_be_seen_in_the_weights_is_in_the_id(text, state, config, folder):
    gelu = load_text(config | {"model": mini() | {"quick_gelu": True}}, state, text.weights)
    assert gelu.id != text.id
    (folder / "notes.md").write_text("not part of the tokenizer")
    assert load_text(config, state, text.weights).id == text.id


def test_unknown_kind(tmp_path):
    with pytest.raises(A2IBenchError, match="did you mean 'clip-image'"):
        load_encoder("clip_image", {}, tmp_path / "x")
