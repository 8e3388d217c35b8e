"""IIS, image-image similarity: whether the generated image looks like its clip's photo.

AudioToken, arXiv 2305.13050. The share of other reference images that the image fits less well than its own,
by the cosine of CLIP ViT-B/32: 0..100, chance 50. :mod:`a2ibench.metrics.winrate` has the formula and the
variants.
"""

from a2ibench.metrics.winrate import similarity_metrics

METRICS = similarity_metrics(
    "IIS",
    images="generated/clip-image",
    conditions="reference/clip-image",
    summary="Image against its own reference image",
)
