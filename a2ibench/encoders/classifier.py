"""The image classifier of AIC: torchvision's ResNet-50 on ImageNet, and a small one of the same family.

The paper does not say which classifier it used, and its repository has no metric code
(guyyariv/AudioToken#10). ResNet-50 is torchvision's plain default: ``IMAGENET1K_V2`` (80.9 % top-1), or
``IMAGENET1K_V1`` (76.1 %), the usual choice of 2023.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torchvision.models import ResNet, ResNet50_Weights, resnet50
from torchvision.models.resnet import BasicBlock

from a2ibench.encoders._fast import speed_up
from a2ibench.encoders._frozen import Device, TorchImageEncoder, Weights, freeze, load_strict
from a2ibench.encoders.base import EncoderKind, check_keys
from a2ibench.errors import unknown


def build_classifier(config: Mapping[str, Any]) -> nn.Module:
    """Build the network: ``[n, 3, S, S]``, normalised → logits ``[n, C]``.

    Parameters
    ----------
    config
        As for `load`. With ``categories`` a ResNet of BasicBlocks with ``blocks`` of them in each stage
        (default 1, 1, 1, 1) and ``width`` channels in the first (default 64); without it ResNet-50.

    """
    if "categories" not in config:
        return resnet50(weights=None)  # type: ignore[no-any-return, unused-ignore]
    blocks = list(config.get("blocks", (1, 1, 1, 1)))
    network: nn.Module = NarrowResNet(blocks, len(config["categories"]), int(config.get("width", 64)))
    return network


class NarrowResNet(ResNet):  # type: ignore[misc, unused-ignore]
    """torchvision's ResNet of BasicBlocks with stages of ``width`` · 1, 2, 4 and 8 channels; theirs starts at 64."""

    def __init__(self, blocks: list[int], classes: int, width: int):
        self._width = width
        super().__init__(BasicBlock, blocks, num_classes=classes)
        self.fc = nn.Linear(8 * width, classes)

    def _make_layer(self, block: Any, planes: int, *arguments: Any, **more: Any) -> nn.Sequential:
        stage: nn.Sequential = super()._make_layer(block, planes * self._width // 64, *arguments, **more)
        return stage


def published_weights(name: str) -> Any:
    """Find torchvision's entry: its transforms and its category names belong to the weights."""
    if name not in ResNet50_Weights.__members__:
        raise unknown("set of ResNet-50 weights", name, ResNet50_Weights.__members__)
    return ResNet50_Weights[name]


class ClassifierEncoder(TorchImageEncoder):
    """Images to logits.

    Attributes
    ----------
    categories
        The names of the columns.

    """

    name = "classifier"
    categories: tuple[str, ...]

    def __init__(
        self,
        network: nn.Module,
        transform: Any,
        categories: tuple[str, ...],
        sizes: Mapping[str, Any] | None,
        sha256: str,
        device: Device,
    ):
        super().__init__(network, transform, len(categories), device)
        self.categories, self.weights = categories, sha256
        self.configuration = {
            "categories": list(categories),
            "sizes": sizes,
            "resize": transform.resize_size,
            "crop": transform.crop_size,
            "interpolation": transform.interpolation.value,
            "antialias": transform.antialias,
            "mean": transform.mean,
            "std": transform.std,
        }
        # Both of ResNet-50's weights have the same keys, and are told apart only by their resize.
        self.preprocessing = f"1-{transform.resize_size[0]}to{transform.crop_size[0]}"


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> ClassifierEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        Published: ``weights``, ``"IMAGENET1K_V2"`` (default) or ``"IMAGENET1K_V1"``. Small: ``categories``
        (the names, in the order of the logits), ``image_size`` (pixels, default 64) and ``blocks``.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.

    """
    check_keys(config, ("weights", "categories", "image_size", "blocks", "width"), "a classifier")
    entry = published_weights(config.get("weights", "IMAGENET1K_V2"))
    if "categories" in config:
        size = config.get("image_size", 64)
        # The same recipe at other sizes: shorter side bilinear with antialias, centre crop, normalise.
        transform, categories = entry.transforms(crop_size=size, resize_size=size), config["categories"]
        sizes = {"blocks": list(config.get("blocks", (1, 1, 1, 1))), "width": config.get("width", 64)}
    else:
        transform, categories, sizes = entry.transforms(), entry.meta["categories"], None
    network = build_classifier(config)
    load_strict(network, weights, f"the classifier of {len(categories)} categories")
    freeze(network, device, channels_last=True)
    encoder = ClassifierEncoder(network, transform, tuple(categories), sizes, sha256, device)
    encoder.kernels = speed_up(network, device)
    return encoder


ENCODERS = (EncoderKind("classifier", "image", load),)
