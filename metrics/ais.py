"""AIS, audio-image similarity: whether the generated image fits its own sound.

AudioToken, arXiv 2305.13050. The share of other sounds that the image fits less well than its own, by the
cosine of CLIP ViT-B/32 (image) and Wav2CLIP (audio): 0..100, chance 50. :mod:`a2ibench.metrics.winrate` has
the formula and the variants.
"""

from a2ibench.metrics.winrate import similarity_metrics

METRICS = similarity_metrics(
    "AIS",
    images="generated/clip-image",
    conditions="audio/wav2clip",
    summary="Image against its own sound",
)
