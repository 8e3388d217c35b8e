"""AudioToken's embedder, the one network that the method trains: a sound's BEATs features become one token.

After arXiv 2305.13050 and the authors' code (guyyariv/AudioToken, commit ab7d280, MIT licence), whose
``embedder_learned_embeds.bin`` loads strictly, key for key. The pooling is factor graph attention (Schwartz
et al., arXiv 1904.05880) over a single modality: each token gets a potential of its own (unary) and one from
its likeness to all the others (self); their weighted sum, through a softmax, says how much of the token goes
into the result. The authors build it without spatial sizes, so nothing depends on the number of tokens: train
on 5 s (248 tokens), generate from 10 s (496).

Where the authors' code does something of its own:

- *Dropout that never ends.* It calls ``F.dropout`` in the unary potential without ``training=``, so half of
  the hidden units are dropped at inference too, and the same sound gives another token each time. Here
  dropout acts in training only; ``attention_dropout=True`` brings theirs back.
- *The width.* Its token is 768 wide exactly if the name of the diffusion model equals
  ``"CompVis/stable-diffusion-v1-4"``, else 1024. Here it is a parameter: pass the text encoder's hidden size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Share = tuple[int, int]
"""Of a batch that several processes split: where a process's rows begin, and how many there are in all."""


class _Unary(nn.Module):
    """What a token is worth by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Convolutions of size 1 are linear layers; these shapes are the checkpoint's.
        self.embed = nn.Conv1d(width, width, 1)
        self.feature_reduce = nn.Conv1d(width, 1, 1)

    def forward(self, x: Tensor, dropout: bool, generator: torch.Generator | None, share: Share | None) -> Tensor:
        """Map tokens ``[batch, width, N]`` to potentials ``[batch, 1, N]``."""
        hidden = F.relu(self.embed(x))
        if dropout:
            # p = 0.5, drawn as `F.dropout` draws it, which takes no generator; for the whole batch, whoever has how
            # much of it, and in the order of memory: with the strides that it has.
            first, total = share or (0, len(hidden))
            kept = hidden.new_empty_strided((total, *hidden.shape[1:]), hidden.stride())
            hidden = hidden * kept.bernoulli_(0.5, generator=generator)[first : first + len(hidden)] * 2
        out: Tensor = self.feature_reduce(hidden)
        return out


class _Self(nn.Module):
    """What a token is worth among the others: its mean cosine to them, in two learned views."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed_X = nn.Conv1d(width, width, 1)
        self.embed_Y = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``[batch, width, N]`` to potentials ``[batch, 1, N]``, each in [−1, 1]."""
        ours, theirs = F.normalize(self.embed_X(x), dim=1), F.normalize(self.embed_Y(x), dim=1)
        # The mean of all cosines is the cosine to the mean: N steps in place of the authors' N × N matrix.
        return (ours * theirs.mean(dim=2, keepdim=True)).sum(dim=1, keepdim=True)


class _Pooling(nn.Module):
    """Factor graph attention over one set of tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.un_models = nn.ModuleList([_Unary(width)])
        self.pp_models = nn.ModuleDict({"0": _Self(width)})
        self.reduce_potentials = nn.ModuleList([nn.Conv1d(2, 1, 1, bias=False)])

    def forward(self, tokens: Tensor, dropout: bool, generator: torch.Generator | None, share: Share | None) -> Tensor:
        """Map tokens ``[batch, N, width]`` to their weighted mean ``[batch, width]``."""
        x = tokens.transpose(1, 2)
        potentials = torch.cat([self.un_models[0](x, dropout, generator, share), self.pp_models["0"](x)], dim=1)
        weights: Tensor = self.reduce_potentials[0](potentials).softmax(dim=2)
        return (weights @ tokens).squeeze(1)


class Embedder(nn.Module):
    """Two linear layers per audio token, then attention pooling into one text token.

    Parameters
    ----------
    in_dim
        Width of the audio features: three BEATs blocks of 768.
    out_dim
        Width of the text encoder's input embeddings.
    hidden
        Width between the two layers; by default `in_dim`, as published (8,853,507 parameters in all).
    attention_dropout
        Drop half of the unary potential's hidden units in eval mode too, as the authors' code does. The token
        is then random: set the seed, or pass a generator.

    """

    def __init__(
        self,
        in_dim: int = 2304,
        out_dim: int = 768,
        hidden: int | None = None,
        *,
        attention_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.attention_dropout = attention_dropout
        self.fc1 = nn.Linear(in_dim, hidden or in_dim)
        self.fc2 = nn.Linear(hidden or in_dim, out_dim)
        self.fga = _Pooling(out_dim)

    def forward(self, features: Tensor, generator: torch.Generator | None = None, share: Share | None = None) -> Tensor:
        """Embed sounds.

        Parameters
        ----------
        features
            BEATs features, ``[batch, N, in_dim]``, any N ≥ 1.
        generator
            Where the dropout draws from; by default torch's global generator. The draws of a batch hang
            together: with ``attention_dropout``, embed one clip at a time to make each clip's token its own.
        share
            Where the features are a part of a batch: its place in it. The dropout is then the batch's.

        Returns
        -------
        Tensor
            One token each, ``[batch, out_dim]``; it takes the placeholder's place among the text encoder's
            input embeddings.

        """
        tokens = self.fc2(F.gelu(self.fc1(features)))
        out: Tensor = self.fga(tokens, self.training or self.attention_dropout, generator, share)
        return out
