"""The feature network of FID: Inception v3 as pytorch-fid has it, and a small network of the same blocks.

Heusel et al. (arXiv 1706.08500); blocks of pytorch-fid 0.3.0 (Apache-2.0), the port of TensorFlow's
``inception-2015-12-05``. pytorch-fid's own constructor always downloads; its blocks are put together here
instead, with the file's key names. Its resize is part of the definition: bilinear, without antialiasing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception_v3
from torchvision.models.inception import BasicConv2d
from torchvision.transforms.functional import pil_to_tensor

from a2ibench.encoders._fast import speed_up
from a2ibench.encoders._frozen import Device, TorchImageEncoder, Weights, freeze, load_strict
from a2ibench.encoders.base import EncoderKind, check_keys


class FidInception(nn.Module):
    """The published network: ``[n, 3, 299, 299]`` in [0, 1] → pool3 features ``[n, 2048]``.

    21,785,568 parameters without the classifier ``fc``, which the file has and FID does not use.
    """

    dim = 2048
    size = 299

    def __init__(self) -> None:
        super().__init__()
        # init_weights=False: torchvision's truncated normal takes most of a minute and is overwritten anyway.
        net = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        net.Mixed_5b = FIDInceptionA(192, pool_features=32)
        net.Mixed_5c = FIDInceptionA(256, pool_features=64)
        net.Mixed_5d = FIDInceptionA(288, pool_features=64)
        net.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
        net.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
        net.Mixed_7b = FIDInceptionE_1(1280)
        net.Mixed_7c = FIDInceptionE_2(2048)
        self.net: nn.Module = net

    def load(self, weights: Weights) -> None:
        """Fill it with ``pt_inception-2015-12-05``, strictly, and drop the classifier."""
        load_strict(self.net, weights, "the FID Inception network")
        self.net.fc = nn.Identity()

    def features(self, images: Tensor) -> Tensor:
        """Give the features of images in [0, 1]: ``[n, 2048]``."""
        rows: Tensor = self.net(2 * images - 1)
        return rows


class MiniInception(nn.Module):
    """The small network: ``[n, 3, 64, 64]`` in [0, 1] → logits ``[n, classes]``, for training.

    Parameters
    ----------
    classes
        How many classes it is trained on; FID uses only `features`.

    """

    dim = 64
    size = 64

    def __init__(self, classes: int):
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 64, kernel_size=3, stride=2)
        self.Mixed_5b = FIDInceptionA(64, pool_features=32)  # 64 + 64 + 96 + 32 = 256 channels out
        self.Mixed_5c = FIDInceptionA(256, pool_features=32)
        self.Conv2d_6a_1x1 = BasicConv2d(256, 64, kernel_size=1)
        self.fc = nn.Linear(64, classes)

    def load(self, weights: Weights) -> None:
        """Fill it, strictly."""
        load_strict(self, weights, f"MiniInception with {self.fc.out_features} classes")

    def features(self, images: Tensor) -> Tensor:
        """Give the features of images in [0, 1], not negative, as pool3's are: ``[n, 64]``."""
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * images - 1))
        x = self.Conv2d_6a_1x1(self.Mixed_5c(self.Mixed_5b(x)))
        return torch.mean(x, (2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Classify images in [0, 1]."""
        logits: Tensor = self.fc(self.features(images))
        return logits


def resize(image: Image.Image, size: int) -> Tensor:
    """Give an RGB image as float32 ``[3, size, size]`` in [0, 1], resized as pytorch-fid does it.

    Not a good resize: without antialiasing a large image aliases. FID is defined with it.
    """
    pixels: Tensor = pil_to_tensor(image).float().div(255)
    square = F.interpolate(pixels[None], (size, size), mode="bilinear", align_corners=False)
    return square[0]


class InceptionEncoder(TorchImageEncoder):
    """Images to the features of FID and KID."""

    name = "inception"

    def __init__(self, network: FidInception | MiniInception, sha256: str, device: Device):
        super().__init__(network.features, lambda image: resize(image, network.size), network.dim, device)
        self.weights, self.preprocessing = sha256, f"1-{network.size}"
        classes = network.fc.out_features if isinstance(network, MiniInception) else None
        self.configuration = {"network": type(network).__name__, "classes": classes, "size": network.size}


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> InceptionEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        ``classes``: of `MiniInception`; without it the published network is built.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.

    """
    check_keys(config, ("classes",), "an Inception")
    network = MiniInception(config["classes"]) if "classes" in config else FidInception()
    network.load(weights)
    freeze(network, device, channels_last=True)
    encoder = InceptionEncoder(network, sha256, device)
    encoder.kernels = speed_up(network, device)
    return encoder


ENCODERS = (EncoderKind("inception", "image", load),)
