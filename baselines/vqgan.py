"""VQGAN: images as codes of a codebook, the published ImageNet f16 16384 or a smaller one, in one class.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis" (arXiv 2012.09841); code and checkpoint
CompVis/taming-transformers (MIT). transformers' ``JanusVQVAE`` is the same network, maintained: its decoder gives
the original's bits (``tests/fixtures/vqgan.md``), and only its upsampling stages are numbered the other way round.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from a2ibench.encoders._frozen import freeze, load_strict
from a2ibench.errors import unknown
from a2ibench.weights.read import read_state_dict

PUBLISHED: Mapping[str, Any] = {
    "embed_dim": 256,
    "num_embeddings": 16384,
    "double_latent": False,
    "latent_channels": 256,
    "in_channels": 3,
    "base_channels": 128,
    "channel_multiplier": [1, 1, 2, 2, 4],
    "num_res_blocks": 2,
    "out_channels": 3,
}
"""The f16 16384 model of ImageNet: 76,073,859 parameters. The names are ``JanusVQVAEConfig``'s."""

_STAGE = re.compile(r"decoder\.up\.(\d+)\.")


def build_vqgan(config: Mapping[str, Any] | None = None) -> Any:
    """Build a ``JanusVQVAE`` with random weights.

    Parameters
    ----------
    config
        What differs from `PUBLISHED`. ``base_channels`` is a multiple of 32 (group norm); the stages of
        ``channel_multiplier`` set the factor between pixels and codes, 2 to the power of their number less one.

    """
    from transformers import JanusVQVAE, JanusVQVAEConfig

    for name in config or {}:
        if name not in PUBLISHED:
            raise unknown("setting of a VQGAN", name, PUBLISHED)
    return JanusVQVAE(JanusVQVAEConfig(**{**PUBLISHED, **(config or {})}))


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a VQGAN's weights under ``JanusVQVAE``'s names: taming's Lightning checkpoint, or converted ones.

    The checkpoint holds more than the weights: the training's losses (``loss.*``: discriminator, LPIPS), its
    optimisers, and classes of pytorch_lightning by their names.
    """
    with _inert_classes(file):
        return convert(read_state_dict(file))


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of taming-transformers to ``JanusVQVAE``'s names; one that has them stays as it is.

    The losses are dropped, and ``decoder.up.{i}`` becomes ``decoder.up.{last - i}``: taming numbers the stages
    by resolution, Janus in the order in which they run.
    """
    kept = {key: value for key, value in state.items() if not key.startswith("loss.")}
    if "decoder.up.0.upsample.conv.weight" in kept:
        return kept  # the stage that runs first upsamples: it is Janus' numbering
    last = max((int(found[1]) for key in kept if (found := _STAGE.match(key))), default=0)
    return {_STAGE.sub(lambda found: f"decoder.up.{last - int(found[1])}.", key): kept[key] for key in kept}


def _inert_classes(file: Path) -> Any:
    """Let the safe unpickler read past the classes that a checkpoint names: each becomes an empty one.

    Lightning stored ``ModelCheckpoint`` itself as a key beside the weights; ``weights_only`` refuses the whole
    file for it. Nothing of the file is imported or run: an empty class has nothing that could be.
    """
    if file.suffix == ".safetensors" or not file.is_file() or not is_zipfile(file):
        return nullcontext()
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # a zip file, but none of torch's: reading it gives the reason
        return nullcontext()
    return torch.serialization.safe_globals([(type("Inert", (), {}), name) for name in names])


class VQGAN:
    """A frozen VQGAN, from latents to images, through which gradients flow to the latents.

    Parameters
    ----------
    network
        A ``JanusVQVAE``; it is frozen in place.
    device
        Where it runs.

    Attributes
    ----------
    codebook
        ``[codes, width]``.
    lowest, highest
        The codebook's range in each channel, ``[1, width, 1, 1]``.
    factor
        Pixels per code along a side.

    """

    def __init__(self, network: Any, device: str | torch.device = "cpu"):
        self.network: Any = freeze(network, device, channels_last=str(device) == "cpu")
        self.device = torch.device(device)
        self.codebook: Tensor = network.quantize.embedding.weight.detach()
        self.lowest = self.codebook.min(0).values[None, :, None, None]
        self.highest = self.codebook.max(0).values[None, :, None, None]
        self.factor: int = 2 ** (network.decoder.num_resolutions - 1)

    def random_codes(self, generators: Sequence[torch.Generator], side: int) -> Tensor:
        """Draw a grid of random codes per generator (on the CPU): latents ``[n, width, side, side]``."""
        codes = [torch.randint(len(self.codebook), (side, side), generator=generator) for generator in generators]
        return self.codebook[torch.stack(codes).to(self.device)].permute(0, 3, 1, 2).contiguous()

    def quantize(self, z: Tensor) -> Tensor:
        """Replace each latent of ``[n, width, h, w]`` by the nearest code; the gradient passes straight through."""
        rows = z.detach().permute(0, 2, 3, 1)
        # |z - e|^2 less |z|^2, which is the same for every code.
        distances = torch.addmm(self.codebook.square().sum(1), rows.flatten(0, 2), self.codebook.T, alpha=-2)
        nearest = self.codebook[distances.argmin(1)].view(rows.shape).permute(0, 3, 1, 2)
        return nearest + (z - z.detach())  # exactly the code forward, z backward

    def decode(self, quantized: Tensor) -> Tensor:
        """Decode quantized latents ``[n, width, h, w]`` to pixels around [-1, 1].

        Not by ``JanusVQVAE.decode``, which scales the codes to unit length.
        """
        pixels: Tensor = self.network.decoder(self.network.post_quant_conv(quantized))
        return pixels

    def synth(self, z: Tensor) -> Tensor:
        """Draw latents ``[n, width, h, w]``: RGB ``[n, 3, factor * h, factor * w]`` in [0, 1]."""
        return clamp_with_gradient((self.decode(self.quantize(z)) + 1) / 2)

    @torch.no_grad()
    def clamp_(self, z: Tensor) -> None:
        """Put latents back into the codebook's range, channel by channel, in place."""
        z.copy_(z.maximum(self.lowest).minimum(self.highest))


def load_vqgan(part: Mapping[str, Any], device: str | torch.device = "cpu") -> VQGAN:
    """Load a VQGAN from a suite's part: ``file``, and for other sizes than the published ``config``."""
    network = build_vqgan(part.get("config"))
    load_strict(network, read_weights(Path(part["file"])), f"the VQGAN of {Path(part['file']).name}")
    return VQGAN(network, device)


class _ClampWithGradient(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient passes outside the range too, where descent leads back into it."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        (gradient,) = gradients
        passed: Tensor = gradient * (gradient * (x - x.clamp(0, 1)) >= 0)
        return passed


def clamp_with_gradient(x: Tensor) -> Tensor:
    """Clamp to [0, 1]; a value outside keeps its gradient where a step against it leads back inside.

    With the plain clamp a pixel that has left the range could never return (VQGAN-CLIP's ``ClampWithGrad``).
    """
    clamped: Tensor = _ClampWithGradient.apply(x)
    return clamped
