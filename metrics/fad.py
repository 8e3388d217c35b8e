"""FAD, Fréchet audio distance: how far the generated sounds are, as a set, from the real ones.

arXiv 1812.08466. The Fréchet distance of :mod:`a2ibench.metrics.fid` on VGGish embeddings, 128 numbers for each
0.96 s of sound, **without PCA and without the last activation**, as frechet-audio-distance and
av-benchmark have it. All windows of all sounds are one set; the standard error is over sounds, whose
windows are not independent.

FAD falls with the number of windows: compare only at equal N, and print N.
"""

from a2ibench.metrics.base import Metric
from a2ibench.metrics.fid import frechet_statistic

METRICS = (
    Metric(
        name="FAD",
        version=1,
        needs=("generated/vggish", "reference/vggish"),
        least=2,
        summary="Fréchet distance between the sets of generated and reference sounds (VGGish, no PCA).",
        higher_is_better=False,
        bounds=(0.0, float("inf")),
        unit="",
        options={"net": "vggish", "pca": "no", "rows": "windows"},
        digits=2,
        statistic=lambda rows: frechet_statistic(rows, ("generated/vggish", "reference/vggish")),
    ),
)
