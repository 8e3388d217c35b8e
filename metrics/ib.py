"""IB score: whether the generated sound fits what the video shows.

FoleyGen, arXiv 2309.10537: the cosine of ImageBind's embeddings (arXiv 2305.05665) of the video and of the sound, times
100. Real pairs reach about 30; there is no fixed chance level, so the win rate against all other videos (chance 50)
stands beside it: :mod:`a2ibench.metrics.winrate`.
"""

from a2ibench.metrics.winrate import score_metrics

METRICS = score_metrics(
    "IB",
    outputs="generated/imagebind-audio",
    conditions="condition/imagebind-video",
    summary="Sound against its own video (ImageBind)",
    others="videos",
)
