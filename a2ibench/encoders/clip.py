"""CLIP: images and texts in one space, by open_clip.

Radford et al. (arXiv 2103.00020). Published: OpenAI's ViT-B/32, in open_clip the model
``ViT-B-32-quickgelu``: the plain ``ViT-B-32`` builds GELU instead of OpenAI's QuickGELU, warns at most, and
gives wrong rows. The same `CLIP` class with a small configuration is the mini suite's.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from a2ibench.encoders._fast import speed_up
from a2ibench.encoders._frozen import Device, TorchEncoder, TorchImageEncoder, Weights, freeze, load_strict
from a2ibench.encoders.base import EncoderKind, check_keys
from a2ibench.errors import A2IBenchError

PUBLISHED = "ViT-B-32-quickgelu"

Tokenizer = Callable[[Sequence[str]], Tensor]


def build_clip(model: str | Mapping[str, Any] = PUBLISHED) -> nn.Module:
    """Build open_clip's ``CLIP`` with random weights.

    Parameters
    ----------
    model
        A name that open_clip has a configuration for, or a configuration: ``embed_dim``, ``vision_cfg``,
        ``text_cfg``, ``quick_gelu``. A ``vision_cfg`` whose ``layers`` is a list of four builds the
        convolutional tower (ModifiedResNet).

    Returns
    -------
    The network, with ``encode_image([n, 3, S, S])`` and ``encode_text([n, context_length])``, both giving
    ``[n, embed_dim]``, and the parameter ``logit_scale``.

    """
    import open_clip

    if model == "ViT-B-32":
        raise A2IBenchError(
            f"The CLIP model 'ViT-B-32' has the wrong activation for OpenAI's weights; use {PUBLISHED!r}."
        )
    known = open_clip.get_model_config(model) if isinstance(model, str) else model
    if known is None:
        raise A2IBenchError(f"There is no CLIP model {model!r} in open_clip; did you mean {PUBLISHED!r}?")
    try:
        network: nn.Module = open_clip.CLIP(**known)
    except TypeError as error:  # a key that open_clip's configuration does not know
        raise A2IBenchError(f"The configuration of CLIP does not fit open_clip ({error}); fix it.") from None
    return network


def text_tokenizer(folder: Path, context_length: int) -> Tokenizer:
    """Read a transformers CLIP tokenizer: texts → token ids ``[n, context_length]``, padded and cut.

    Parameters
    ----------
    folder
        With ``tokenizer.json`` or ``vocab.json`` and ``merges.txt``.
    context_length
        Of the text tower; longer texts are cut, keeping the end-of-text token.

    """
    from transformers import CLIPTokenizer

    if not folder.is_dir():
        raise A2IBenchError(f"The CLIP tokenizer's folder {folder} does not exist; give one that does.")
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def tokens(texts: Sequence[str]) -> Tensor:
        ids: Tensor = tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=context_length,
            return_tensors="pt",
        )["input_ids"]
        return ids

    return tokens


class Clip:
    """A frozen CLIP with its preprocessing, which the two encoders share.

    Attributes
    ----------
    network
        open_clip's ``CLIP``.
    model
        What names it in the encoders' ids: a name, or a digest of the configuration. Heads and activation
        change the rows, and neither can be seen in the weights.
    size
        The image size in pixels.

    """

    def __init__(self, config: Mapping[str, Any], weights: Weights, sha256: str, device: Device):
        from open_clip import image_transform

        check_keys(config, ("model", "tokenizer"), "a CLIP")

        model = config.get("model", PUBLISHED)
        self.sha256, self.device = sha256, device
        named = isinstance(model, str)
        self.model: str = model if named else f"custom.{_digest(json.dumps(model, sort_keys=True))}"
        self.network: Any = build_clip(model)
        load_strict(self.network, weights, f"CLIP {self.model}")
        freeze(self.network, device)
        visual: Any = self.network.visual
        self.size: int = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
        self.dim: int = visual.output_dim
        # Shorter side to `size` bicubic with antialias, centre crop, OpenAI's mean and standard deviation.
        self.transform = image_transform(self.size, is_train=False)
        self.convolutional = not named and isinstance(model["vision_cfg"].get("layers"), list | tuple)
        if self.convolutional:
            visual.to(memory_format=torch.channels_last)
        self.tokenizer, self.tokenizer_id = self._tokenizer(config, model)
        self.configuration = _configuration(model)
        self.kernels = speed_up(self.network, device)

    def _tokenizer(self, config: Mapping[str, Any], model: Any) -> tuple[Tokenizer, str]:
        if "tokenizer" not in config:
            if not isinstance(model, str):
                raise A2IBenchError("A CLIP of its own configuration needs 'tokenizer', the folder of one.")
            import open_clip

            return open_clip.get_tokenizer(model), "open_clip"
        folder = Path(config["tokenizer"])
        tokenizer = text_tokenizer(folder, self.network.context_length)
        check_end_of_text(self.network, tokenizer)
        return tokenizer, _folder_digest(folder)


def _configuration(model: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the whole configuration of a model: heads and activation change the rows, and the weights hide both."""
    import open_clip

    known: Mapping[str, Any] = open_clip.get_model_config(model) if isinstance(model, str) else model
    return known


def check_end_of_text(network: Any, tokenizer: Tokenizer) -> None:
    """Make sure that the text tower pools at the end-of-text token, where this tokenizer puts it.

    open_clip pools at the highest id (``pool_type = "argmax"``) or at ``eos_id`` (``"eos"``); where the two
    sides disagree, every text would silently get the row of a wrong token.
    """
    ids = tokenizer([""])[0]  # start, end, padding
    end = int(ids[1])
    pooled_at = end
    if network.text_pool_type == "argmax":
        pooled_at = network.vocab_size - 1
    elif network.text_pool_type == "eos":
        pooled_at = network.text_eos_id
    if pooled_at != end or int(ids.max()) >= network.vocab_size:
        raise A2IBenchError(
            f"The tokenizer ends texts with id {end}, but the CLIP text tower, of {network.vocab_size} ids, "
            f"pools at id {pooled_at}; set vocab_size, or pool_type = 'eos' and eos_id, in text_cfg."
        )


class ClipImageEncoder(TorchImageEncoder):
    """Images to CLIP rows, as the model gives them: not normalised to unit length."""

    name = "clip-image"

    def __init__(self, clip: Clip):
        super().__init__(clip.network.encode_image, clip.transform, clip.dim, clip.device)
        self.weights, self.channels_last, self.kernels = clip.sha256, clip.convolutional, clip.kernels
        self.preprocessing = f"1-{clip.model}-{clip.size}"
        self.configuration = {"model": clip.configuration, "size": clip.size}


class ClipTextEncoder(TorchEncoder):
    """Texts to CLIP rows, as the model gives them: the bare strings, no template, not of unit length."""

    name = "clip-text"
    modality = "text"

    def __init__(self, clip: Clip):
        self._clip, self.weights, self.kernels = clip, clip.sha256, clip.kernels
        self.dim, self.device = clip.dim, torch.device(clip.device)
        self.preprocessing = f"1-{clip.model}-{clip.tokenizer_id}"
        self.configuration = {"model": clip.configuration, "tokenizer": clip.tokenizer_id}

    def prepare(self, item: str) -> Tensor:
        """Give a text's token ids, ``[context_length]``; what is longer than the tower's context is cut."""
        return self._clip.tokenizer([item])[0]

    def _forward(self, batch: Tensor) -> Tensor:
        rows: Tensor = self._clip.network.encode_text(batch)
        return rows


# The image and the text encoder of a suite are one file; loading it twice would double time and memory.
@lru_cache(maxsize=1)
def _shared(config: str, path: Path, sha256: str, device: str) -> Clip:
    return Clip(json.loads(config), path, sha256, device)


def load_clip(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> Clip:
    """Load a CLIP; the same file, hash, configuration and device give the same object.

    Parameters
    ----------
    config
        ``model``: as for `build_clip`, default the published one; ``tokenizer``: the folder of a
        transformers CLIP tokenizer, needed where ``model`` is a configuration.
    weights, sha256
        The file or state dict, and the hash that names it. A state dict is never shared.
    device
        Where it runs.

    """
    if isinstance(weights, Path):
        return _shared(json.dumps(dict(config), sort_keys=True, default=str), weights, sha256, str(device))
    return Clip(config, weights, sha256, device)


def load_image(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> ClipImageEncoder:
    """Load the image encoder; see `load_clip`."""
    return ClipImageEncoder(load_clip(config, weights, sha256, device))


def load_text(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> ClipTextEncoder:
    """Load the text encoder; see `load_clip`."""
    return ClipTextEncoder(load_clip(config, weights, sha256, device))


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:12]


def _folder_digest(folder: Path) -> str:
    """Digest the names and bytes of a tokenizer's files: another vocabulary is another encoder."""
    files = sorted(file for file in folder.iterdir() if file.suffix in {".json", ".txt"})
    return _digest(b"".join(file.name.encode() + b"\0" + file.read_bytes() + b"\0" for file in files))


ENCODERS = (
    EncoderKind("clip-image", "image", load_image, entry="clip"),
    EncoderKind("clip-text", "text", load_text, entry="clip"),
)
