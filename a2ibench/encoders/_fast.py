"""The same networks in less time: batch norms folded away and, on a CPU, oneDNN's kernels on weights laid out for them.

Eager torch multiplies matrices on a CPU with MKL, which on other makers' processors leaves out their widest
instructions, lays the weights of each convolution out anew in each batch, and walks through its result twice more for a
batch norm and a ReLU. ``torch.compile`` avoids all of that with these same operators, after a minute of compiling and
with a C++ compiler; here they are called by hand. Rows move by rounding alone (tests/encoders/test_fast.py: 1e-6 of the
largest number). Where torch has no such operators, as on another processor, the networks stay as they are.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d
from torchvision.models.resnet import BasicBlock, Bottleneck

_SELF_MADE = ("AttentionPool2d",)  # reads the weights of its layers itself


def speed_up(network: nn.Module, device: str | torch.device) -> str:
    """Fold a frozen network's batch norms and pack its layers, in place; name the kernels that then compute it.

    Parameters
    ----------
    network
        In eval mode and without gradients; it can't be trained, moved or saved afterwards.
    device
        Where it is.

    """
    fold(network)
    if torch.device(device).type != "cpu" or not packable():
        return "folded"
    with torch.inference_mode():
        _pack(network)
    return "onednn"


def fold(network: nn.Module) -> None:
    """Fold each batch norm into the convolution that stands right before it, in place."""
    for parent in list(network.modules()):
        before: tuple[str, nn.Module] = ("", parent)
        for name, child in list(parent.named_children()):
            place, conv = before
            if type(child) is nn.BatchNorm2d and type(conv) is nn.Conv2d and child.num_features == conv.out_channels:
                setattr(parent, place, fuse_conv_bn_eval(conv, child))
                setattr(parent, name, nn.Identity())
            before = (name, child)


@cache
def packable() -> bool:
    """Whether this torch has, on this processor, the operators that packed layers call."""
    layer, image = nn.Linear(2, 2).requires_grad_(False), nn.Conv2d(2, 2, 1).requires_grad_(False)
    try:
        with torch.inference_mode():
            PackedLinear(layer)(torch.ones(1, 2))
            PackedConv(image)(torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


def _pack(parent: nn.Module) -> None:
    for name, child in list(parent.named_children()):
        packed = _packed(child)
        if packed is not None:
            setattr(parent, name, packed)
        elif type(child).__name__ not in _SELF_MADE:
            _pack(child)


def _packed(module: Any) -> nn.Module | None:
    """Give what computes the same as a module, where there is such a thing."""
    if type(module) is nn.Linear:
        return PackedLinear(module)
    if type(module) is BasicConv2d:
        return PackedConv(module.conv, relu=True)
    if type(module) in (BasicBlock, Bottleneck):
        return PackedBlock(module)
    if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return PackedConv(module)
    plain = type(module) is nn.MultiheadAttention and module.batch_first and module._qkv_same_embed_dim
    return PackedAttention(module) if plain and module.bias_k is None and not module.add_zero_attn else None


class PackedLinear(nn.Module):
    """A linear layer."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        # No parameter: its memory is oneDNN's own, and open_clip asks for nothing but its dtype.
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., k]`` to ``[..., m]``."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


class PackedConv(nn.Module):
    """A convolution, and a ReLU with it; what is added comes before the ReLU."""

    def __init__(self, conv: nn.Conv2d, relu: bool = False):
        super().__init__()
        self.plain, self.bias = conv.weight.detach(), conv.bias
        self.packed: Tensor | None = None
        self.relu = "relu" if relu else "none"
        self.settings = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Map ``[n, c, h, w]`` to ``[n, m, h', w']``; `added` is of the result's shape, and a ReLU follows it."""
        weight = self.packed
        if weight is None:  # the best layout depends on the size of the images
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self.packed = weight = pack(self.plain, *self.settings, list(x.shape))
        convolve = torch.ops.mkldnn._convolution_pointwise
        y: Tensor
        if added is None:
            y = convolve(x, weight, self.bias, *self.settings, self.relu, [], "")
        else:
            y = convolve.binary(x, added, weight, self.bias, *self.settings, "add", None, "relu", [], "")
        return y


class PackedBlock(nn.Module):
    """A residual block of torchvision's, its batch norms folded."""

    def __init__(self, block: Any):
        super().__init__()
        convs = [block.conv1, block.conv2, *([block.conv3] if isinstance(block, Bottleneck) else [])]
        *first, last = convs
        self.first, self.last = nn.ModuleList(PackedConv(conv, relu=True) for conv in first), PackedConv(last)
        self.shortcut = None if block.downsample is None else PackedConv(block.downsample[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[n, c, h, w]`` to ``[n, m, h', w']``."""
        y = x
        for conv in self.first:
            y = conv(y)
        z: Tensor = self.last(y, x if self.shortcut is None else self.shortcut(x))
        return z


class PackedAttention(nn.Module):
    """`torch.nn.MultiheadAttention` of one sequence with itself."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.heads = attention.num_heads
        joint = nn.Linear(1, 1, bias=False)
        joint.weight, joint.bias = attention.in_proj_weight, attention.in_proj_bias
        self.joint, self.out = PackedLinear(joint), PackedLinear(attention.out_proj)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Map ``[n, tokens, width]``, three times the same, to the same shape."""
        q, k, v = self.joint(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out(y.transpose(1, 2).flatten(2)), None
