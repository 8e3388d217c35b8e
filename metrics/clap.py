"""CLAP score: whether the generated sound is what the caption says.

The cosine of CLAP's embeddings (arXiv 2211.06687) of caption and sound, times 100; Re-AudioLDM (arXiv 2309.08051) gives
it in per cent. The checkpoint is not named there: it stands in the signature here. The win rate against all other
captions (chance 50) stands beside it: :mod:`a2ibench.metrics.winrate`. Equal captions tie.
"""

from a2ibench.metrics.winrate import score_metrics

METRICS = score_metrics(
    "CLAP",
    outputs="generated/clap-audio",
    conditions="condition/clap-text",
    summary="Sound against its own caption (CLAP)",
    others="captions",
)
