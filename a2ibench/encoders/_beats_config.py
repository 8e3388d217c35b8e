"""The sizes of a BEATs network, and which of the published variants is built here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from a2ibench.errors import A2IBenchError

# The published checkpoint's variant, which is built here without a switch.
_FIXED = {
    "activation_fn": "gelu",
    "conv_bias": False,
    "layer_norm_first": False,
    "relative_position_embedding": True,
}


@dataclass(frozen=True)
class BeatsConfig:
    """The sizes of a BEATs network, named as in the checkpoints' ``cfg``.

    The defaults are those of ``BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2`` (90,717,055 parameters).

    Attributes
    ----------
    input_patch_size
        Side of a patch, in frames and in mel bands.
    embed_dim
        Width of a patch embedding, before it is projected to ``encoder_embed_dim``.
    encoder_embed_dim, encoder_layers, encoder_attention_heads, encoder_ffn_embed_dim
        Width, number of blocks, heads per block and hidden width of the transformer.
    conv_pos, conv_pos_groups
        Kernel size, in tokens, and groups of the convolution that adds positions.
    num_buckets, max_distance
        Relative positions: number of learned distances, and the distance, in tokens, where the last begins.
    deep_norm
        Scale the residual branch by (2 · layers)^¼, with the matching initialisation.
    gru_rel_pos
        Let each query gate its relative positions.
    predictor_class
        Number of classes of the tagger on top; 0 for a network without one.
    fbank_mean, fbank_std
        Mean and standard deviation of the log-mel energies in the training data.

    """

    input_patch_size: int = 16
    embed_dim: int = 512
    encoder_embed_dim: int = 768
    encoder_layers: int = 12
    encoder_attention_heads: int = 12
    encoder_ffn_embed_dim: int = 3072
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    deep_norm: bool = True
    gru_rel_pos: bool = True
    predictor_class: int = 527
    fbank_mean: float = 15.41663
    fbank_std: float = 6.55582

    def __post_init__(self) -> None:
        width = self.encoder_embed_dim
        for name in ("encoder_attention_heads", "conv_pos_groups"):
            if width % getattr(self, name):
                raise A2IBenchError(
                    f"BEATs needs an encoder_embed_dim that {name} divides; found {width} and {getattr(self, name)}."
                )

    @classmethod
    def from_dict(cls, cfg: Mapping[str, Any]) -> "BeatsConfig":
        """Read the ``cfg`` of a published checkpoint.

        Parameters
        ----------
        cfg
            Names and values; what only training or other networks need is ignored.

        Raises
        ------
        A2IBenchError
            If the checkpoint is of a variant that is not built here.

        """
        for name, expected in _FIXED.items():
            if cfg.get(name, expected) != expected:
                raise A2IBenchError(
                    f"This BEATs checkpoint has {name}={cfg[name]!r}, but only {expected!r} is supported: "
                    "use one of the published iter3 or iter3+ checkpoints."
                )
        known = {field.name for field in fields(cls)}
        sizes = {name: value for name, value in cfg.items() if name in known}
        if not cfg.get("finetuned_model", True):
            sizes["predictor_class"] = 0
        return cls(**sizes)
