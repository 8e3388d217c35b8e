"""BEATs, the audio transformer whose features AudioToken reads: Kaldi filter banks, patches, 12 blocks.

The architecture is that of "BEATs: Audio Pre-Training with Acoustic Tokenizers" (arXiv 2212.09058),
reimplemented after the reference in microsoft/unilm, folder ``beats`` (Copyright (c) 2022 Microsoft, MIT licence;
there based on fairseq). A published ``model`` state dict loads strictly, key for key. Only what the published
checkpoints use is here: post-norm blocks, GELU, relative positions; `BeatsConfig.from_dict` refuses the rest.
The reference's training regularisers (dropouts, layer drop, gradient decay per layer) are left out: they are
the identity in a frozen network.

Time runs in frames of 10 ms (25 ms wide), and a patch covers 16 frames × 16 mel bands. Patches come in order
of time, eight bands to a step, so 10 s give 62·8 = 496 tokens and 5 s give 31·8 = 248.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders._beats_config import BeatsConfig as BeatsConfig
from a2ibench.encoders.filterbank import MEL_BANDS, log_mel
from a2ibench.encoders.filterbank import RATE as RATE
from a2ibench.errors import A2IBenchError

AUDIOTOKEN_LAYERS = (4, 8, 12)


def fbank(waveforms: Tensor, config: BeatsConfig | None = None) -> Tensor:
    """Compute what BEATs takes: the log-mel filter bank, shifted and scaled by fixed training statistics.

    Parameters
    ----------
    waveforms
        Float mono waveforms at 16 kHz in [−1, 1], ``[batch, samples]``, all of the same length.
    config
        Gives ``fbank_mean`` and ``fbank_std``; by default those of the published checkpoints.

    Returns
    -------
    Tensor
        ``(log_mel − mean) / (2 · std)``, float32, ``[batch, frames, 128]``; 10 s give 998 frames.

    """
    config = config or BeatsConfig()
    return (log_mel(waveforms) - config.fbank_mean) / (2 * config.fbank_std)


# -------------------------------------------------------------------------------------------------- network


class _PositionalConv(nn.Module):
    """A grouped convolution over tokens whose weight is normalised per tap of the kernel.

    Written out, because `torch.nn.utils.weight_norm` is deprecated and its successor renames the keys
    ``weight_g`` and ``weight_v`` of the checkpoints.
    """

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        width, self.groups = config.encoder_embed_dim, config.conv_pos_groups
        weight = torch.empty(width, width // self.groups, config.conv_pos)
        nn.init.normal_(weight, std=math.sqrt(4 / (config.conv_pos * width)))
        self.weight_g = nn.Parameter(weight.norm(dim=(0, 1), keepdim=True))
        self.weight_v = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, width, tokens]`` to the same shape."""
        size = self.weight_v.shape[2]
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        y = F.conv1d(x, weight, self.bias, padding=size // 2, groups=self.groups)
        return y[..., : x.shape[2]]  # an even kernel gives one token too many


class _Attention(nn.Module):
    """Self-attention with a relative position bias that each query gates by itself."""

    def __init__(self, config: BeatsConfig, relative_attention_bias: nn.Embedding) -> None:
        super().__init__()
        width, self.heads = config.encoder_embed_dim, config.encoder_attention_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        # One table serves all blocks; every block carries it only because the checkpoints name it so.
        self.relative_attention_bias = relative_attention_bias
        self.gated = config.gru_rel_pos
        if self.gated:
            self.grep_linear = nn.Linear(width // self.heads, 8)
            self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map ``[batch, tokens, width]`` to the same shape; `bias` is ``[heads, tokens, tokens]``."""
        q, k, v = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = bias[None]
        if self.gated:
            gates = self.grep_linear(q).unflatten(3, (2, 4)).sum(dim=4).sigmoid()
            update, reset = gates.chunk(2, dim=3)
            bias = (update * (reset * self.grep_a - 1) + 2) * bias
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.out_proj(y.transpose(1, 2).flatten(2))
        return out


class _Block(nn.Module):
    """One post-norm transformer block."""

    def __init__(self, config: BeatsConfig, relative_attention_bias: nn.Embedding) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.self_attn = _Attention(config, relative_attention_bias)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.encoder_ffn_embed_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_embed_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.alpha = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map ``[batch, tokens, width]`` to the same shape."""
        x = self.self_attn_layer_norm(x * self.alpha + self.self_attn(x, bias))
        out: Tensor = self.final_layer_norm(x * self.alpha + self.fc2(F.gelu(self.fc1(x))))
        return out


class _Encoder(nn.Module):
    """Positions, then the stack of blocks."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.max_distance = config.max_distance
        self.pos_conv = nn.Sequential(_PositionalConv(config), nn.GELU())
        bias = nn.Embedding(config.num_buckets, config.encoder_attention_heads)
        self.layers = nn.ModuleList(_Block(config, bias) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.encoder_embed_dim)
        self.register_load_state_dict_pre_hook(_share_bias)  # type: ignore[no-untyped-call]
        _initialise(self, config)

    def position_bias(self, tokens: int) -> Tensor:
        """Look up the bias of every pair of tokens, ``[heads, tokens, tokens]``."""
        first = self.layers[0]
        assert isinstance(first, _Block)  # noqa: S101  for mypy: ModuleList forgets what it holds
        table = first.self_attn.relative_attention_bias.weight
        # Buckets are found on the CPU: a GPU's logarithm may put a distance into the bucket next door.
        buckets = _buckets(torch.arange(1 - tokens, tokens), table.shape[0], self.max_distance)
        place = torch.arange(tokens)
        pairs = buckets[place[None, :] - place[:, None] + tokens - 1]
        return F.embedding(pairs.to(table.device), table).permute(2, 0, 1)

    def forward(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Run the blocks as far as needed; return the outputs of the (1-based) `layers`, in that order."""
        x = self.layer_norm(x + self.pos_conv(x.transpose(1, 2)).transpose(1, 2))
        bias = self.position_bias(x.shape[1])
        outputs = {}
        for number, block in enumerate(self.layers[: max(layers)], start=1):
            x = block(x, bias)
            if number in layers:
                outputs[number] = x
        return [outputs[number] for number in layers]


class Beats(nn.Module):
    """BEATs: filter banks in, one vector per patch out.

    A row of the result depends on nothing but its own row of the input. There is no padding mask, as
    AudioToken uses none: clips of different lengths go in different batches.
    """

    def __init__(self, config: BeatsConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BeatsConfig()
        patch = config.input_patch_size
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, kernel_size=patch, stride=patch, bias=False)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        self.post_extract_proj = (
            nn.Linear(config.embed_dim, config.encoder_embed_dim)
            if config.embed_dim != config.encoder_embed_dim
            else None
        )
        self.encoder = _Encoder(config)
        self.predictor = nn.Linear(config.encoder_embed_dim, config.predictor_class) if config.predictor_class else None

    def forward(
        self,
        fbank: Tensor,
        layers: Sequence[int] | None = None,
        mask: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> Tensor:
        """Encode filter banks.

        Parameters
        ----------
        fbank
            The result of `fbank`, ``[batch, frames, 128]``, at least 16 frames; what does not fill a patch at
            the end is left out.
        layers
            Numbers of the blocks, from 1, whose outputs are concatenated; AudioToken takes ``(4, 8, 12)``.
            By default the last block alone.
        mask
            Bool, ``[batch, N]``: the patches that are hidden from the network (masked reconstruction).
        mask_token
            What stands in a hidden patch's place, ``[encoder_embed_dim]``. It belongs to the trainer: the
            published networks have no such parameter.

        Returns
        -------
        Tensor
            ``[batch, N, len(layers) · encoder_embed_dim]`` with ``N = (frames // 16) · 8``, ordered by time
            and then by frequency.

        """
        wanted = tuple(layers) if layers is not None else (self.config.encoder_layers,)
        if not wanted or not all(1 <= number <= self.config.encoder_layers for number in wanted):
            raise A2IBenchError(f"BEATs has the blocks 1 to {self.config.encoder_layers}; asked for {list(wanted)}.")
        x = self._patches(fbank)
        if (mask is None) != (mask_token is None):
            raise A2IBenchError("BEATs needs mask and mask_token together; found only one of them.")
        if mask is not None and mask_token is not None:
            x = torch.where(mask[..., None], mask_token.to(x.dtype), x)
        return torch.cat(self.encoder(x, wanted), dim=2)

    def _patches(self, fbank: Tensor) -> Tensor:
        """Embed the patches: ``[batch, frames, 128]`` to ``[batch, N, encoder_embed_dim]``."""
        if fbank.ndim != 3 or min(fbank.shape[1:]) < self.config.input_patch_size:
            raise A2IBenchError(
                f"BEATs takes filter banks [batch, frames, {MEL_BANDS}] of at least "
                f"{self.config.input_patch_size} frames (0.175 s); found the shape {list(fbank.shape)}."
            )
        x: Tensor = self.layer_norm(self.patch_embedding(fbank[:, None]).flatten(2).transpose(1, 2))
        return self.post_extract_proj(x) if self.post_extract_proj is not None else x

    def logits(self, fbank: Tensor) -> Tensor:
        """Tag filter banks ``[batch, frames, 128]``: the patches' mean logits, ``[batch, classes]``."""
        if self.predictor is None:
            raise A2IBenchError("This BEATs network has no tagger: it was only pre-trained, not fine-tuned.")
        # The predictor is linear, so it may as well see the mean token; the reference averages its outputs.
        out: Tensor = self.predictor(self(fbank).mean(dim=1))
        return out

    def tag(self, fbank: Tensor) -> Tensor:
        """Tag filter banks ``[batch, frames, 128]``: the probability of each class, ``[batch, classes]``."""
        return self.logits(fbank).sigmoid()


def load(config: BeatsConfig, state_dict: Mapping[str, Tensor]) -> Beats:
    """Build a network around trained weights: float32, in eval mode, without gradients.

    Parameters
    ----------
    config
        The sizes; `BeatsConfig.from_dict` reads them from a checkpoint.
    state_dict
        The ``model`` of a checkpoint, in any float type. The position table may stand in the first block
        alone, since files that refuse shared tensors (safetensors) hold it once.

    Raises
    ------
    A2IBenchError
        If the weights are not those of such a network.

    """
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        model = Beats(config)
    try:
        model.load_state_dict(state_dict)
    except RuntimeError as error:
        raise A2IBenchError(f"These weights do not fit this BEATs configuration: {error}") from error
    return model.requires_grad_(False).eval()


def _buckets(distances: Tensor, count: int, max_distance: int) -> Tensor:
    """Sort distances in tokens into buckets, ``[n]`` to ``[n]``: forwards and backwards half of them each.

    The near half of each side has one bucket per distance; beyond it they widen logarithmically up to
    `max_distance`, and the last one takes all the rest. (T5's scheme, arXiv 1910.10683.)
    """
    side = count // 2
    near = side // 2
    size = distances.abs()
    far = torch.log(size.clamp(min=1).float() / near) / math.log(max_distance / near) * (side - near)
    bucket = torch.where(size < near, size, (near + far.long()).clamp(max=side - 1))
    return bucket + side * (distances > 0)


def _share_bias(encoder: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before loading: let the first block's position table stand for those of blocks that have none."""
    key = "{}layers.{}.self_attn.relative_attention_bias.weight"
    first = state_dict.get(key.format(prefix, 0))
    if first is not None:
        assert isinstance(encoder, _Encoder)  # noqa: S101  for mypy
        for number in range(1, len(encoder.layers)):
            state_dict.setdefault(key.format(prefix, number), first)


def _initialise(encoder: _Encoder, config: BeatsConfig) -> None:
    """Initialise for training: BERT's normal weights, and deep norm's (arXiv 2203.00555) where it is on."""
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    if not config.deep_norm:
        return
    beta = (8 * config.encoder_layers) ** -0.25
    for block in encoder.layers:
        assert isinstance(block, _Block)  # noqa: S101  for mypy
        attention = block.self_attn
        for linear in (attention.q_proj, attention.k_proj):
            nn.init.xavier_normal_(linear.weight)
        for linear in (attention.v_proj, attention.out_proj, block.fc1, block.fc2):
            nn.init.xavier_normal_(linear.weight, gain=beta)
