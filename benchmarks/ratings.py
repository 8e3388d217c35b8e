"""How often do the intervals of `rate aggregate` hold what they promise? python benchmarks/ratings.py prints it.

Each study draws raters, clips and everything else anew from a known truth. The ratings are rounded to 1 … 5, so the
means near the ends are as skewed as real ones. As JSON: the share of 95 % intervals that hold the true mean
(ours; the pigeonhole bootstrap of Owen 2007; the usual sd/sqrt(n)), and the share of p-values below 0.05 where two
methods do not differ (ours; sign flips of whole clips; of whole raters). Last, how often the interval of the share
of pairs of methods that a metric orders as people do holds that share among all methods.
"""

import argparse
import json

import numpy as np

from a2ibench.metrics.crossed import crossed_mean, crossed_p_value
from a2ibench.metrics.preferences import bradley_terry
from a2ibench.metrics.stats import paired_difference, wilson_interval

RATERS, CLIPS = 17, 15
# The mean, and the standard deviations of raters, clips and the rest, before rounding.
STUDIES = {
    "middle": (3.0, 0.4, 0.6, 0.8),
    "high": (4.6, 0.4, 0.5, 0.7),
    "low": (1.4, 0.4, 0.5, 0.6),
    "near the top": (5.2, 0.3, 0.5, 0.6),
    "raters differ": (3.5, 0.8, 0.3, 0.6),
    "clips differ": (3.5, 0.2, 1.0, 0.6),
    "neither differs": (3.2, 0.1, 0.1, 1.1),
}


def studies(mean: float, rater: float, clip: float, rest: float, count: int, seed: int) -> np.ndarray:
    """Simulate ratings, [count, raters, clips]."""
    rng = np.random.default_rng(seed)
    drawn = (
        mean
        + rater * rng.standard_normal((count, RATERS, 1))
        + clip * rng.standard_normal((count, 1, CLIPS))
        + rest * rng.standard_normal((count, RATERS, CLIPS))
    )
    return np.clip(np.rint(drawn), 1, 5)


def true_mean(mean: float, rater: float, clip: float, rest: float) -> float:
    """Give the mean of the rounded ratings over all raters and clips there could be."""
    from scipy.stats import norm

    spread = np.sqrt(rater**2 + clip**2 + rest**2)
    return float(1 + sum(norm.sf((edge - mean) / spread) for edge in (1.5, 2.5, 3.5, 4.5)))


def covered(many: np.ndarray, truth: float, missing: float = 0.0) -> float:
    """How often our interval holds the truth."""
    rng = np.random.default_rng(9)
    hits = 0
    for ratings in many:
        there = np.where(rng.random(ratings.shape) < missing, np.nan, ratings)
        found = crossed_mean(there, bounds=(1, 5))
        hits += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return hits / len(many)


def covered_by_pigeonhole(many: np.ndarray, truth: float, resamples: int = 600) -> float:
    """How often the percentile interval of raters and clips drawn anew holds the truth."""
    rng, hits = np.random.default_rng(8), 0
    for ratings in many:
        raters = rng.multinomial(RATERS, np.full(RATERS, 1 / RATERS), resamples)
        clips = rng.multinomial(CLIPS, np.full(CLIPS, 1 / CLIPS), resamples)
        low, high = np.quantile(((raters @ ratings) * clips).sum(axis=1) / ratings.size, [0.025, 0.975])
        hits += low <= truth <= high
    return hits / len(many)


def covered_by_the_usual(many: np.ndarray, truth: float) -> float:
    """How often the mean with 1.96 sd / sqrt(n) on either side holds the truth."""
    half = 1.96 * many.std(axis=(1, 2), ddof=1) / np.sqrt(RATERS * CLIPS)
    return float(np.mean(np.abs(many.mean(axis=(1, 2)) - truth) <= half))


def false_alarms(count: int) -> dict[str, float]:
    """How often p < 0.05 where two methods are equally good, but each rater and clip leans one way."""
    rng = np.random.default_rng(7)
    found = {"ours": 0, "flips of clips": 0, "flips of raters": 0}
    for _ in range(count):
        shape = (RATERS, CLIPS)
        apart = 0.3 * rng.standard_normal((RATERS, 1)) + 0.4 * rng.standard_normal((1, CLIPS))
        level = 3.5 + 0.4 * rng.standard_normal((RATERS, 1)) + 0.4 * rng.standard_normal((1, CLIPS))
        a, b = (np.clip(np.rint(level + side * apart / 2 + 0.7 * rng.standard_normal(shape)), 1, 5) for side in (1, -1))
        flat = np.zeros(a.size)
        found["ours"] += crossed_p_value(a - b) < 0.05
        for name, axis in (("flips of clips", np.arange(CLIPS)[None]), ("flips of raters", np.arange(RATERS)[:, None])):
            clusters = np.broadcast_to(axis, shape).ravel().tolist()
            p = paired_difference((a - b).ravel(), flat, clusters=clusters, resamples=1000).p_value
            found[name] += p < 0.05
    return {name: hits / count for name, hits in found.items()}


def strengths_covered(count: int, resamples: int = 400) -> float:
    """How often the interval of a Bradley–Terry strength holds the true one (three methods)."""
    rng, hits = np.random.default_rng(6), 0
    true, pairs = np.array([0.8, 0.0, -0.8]), ((0, 1), (0, 2), (1, 2))
    # The raters' and clips' own tastes shrink the odds: the true strengths are those of a huge study.
    target = bradley_terry(_wins(rng, true, pairs, 600, 600).sum(axis=(0, 1)), prior=0)
    for _ in range(count):
        wins = _wins(rng, true, pairs, RATERS, CLIPS)
        raters = rng.multinomial(RATERS, np.full(RATERS, 1 / RATERS), resamples)
        clips = rng.multinomial(CLIPS, np.full(CLIPS, 1 / CLIPS), resamples)
        drawn = np.einsum("br,rcij,bc->bij", raters, wins, clips, optimize=True)
        low, high = np.quantile(bradley_terry(drawn), [0.025, 0.975], axis=0)
        hits += np.mean((low <= target) & (target <= high))
    return float(hits / count)


def _wins(
    rng: np.random.Generator, true: np.ndarray, pairs: tuple[tuple[int, int], ...], raters: int, clips: int
) -> np.ndarray:
    """Simulate who preferred what: [raters, clips, methods, methods]."""
    taste = 0.4 * rng.standard_normal((raters, 1, 3)) + 0.6 * rng.standard_normal((1, clips, 3)) + true
    wins = np.zeros((raters, clips, 3, 3))
    for i, j in pairs:
        first = rng.random((raters, clips)) < 1 / (1 + np.exp(taste[..., j] - taste[..., i]))
        wins[..., i, j], wins[..., j, i] = first, ~first
    return wins


def orders_covered(methods: int, correlation: float, count: int) -> float:
    """How often the interval of the pairs ordered alike holds the share among all methods there could be."""
    rng = np.random.default_rng(5)
    people, rest = rng.standard_normal((2, count, methods))
    metric = correlation * people + np.sqrt(1 - correlation**2) * rest
    i, j = np.triu_indices(methods, 1)
    alike = ((people[:, i] - people[:, j]) * (metric[:, i] - metric[:, j]) > 0).mean(axis=1)
    truth = 100 * (0.5 + np.arcsin(correlation) / np.pi)
    intervals = [wilson_interval(share * methods / 2, methods / 2) for share in alike]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def main() -> None:
    """Print everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000)
    count = parser.parse_args().studies
    coverage = {}
    for seed, (name, setting) in enumerate(STUDIES.items()):
        many, truth = studies(*setting, count=count, seed=seed), true_mean(*setting)
        coverage[name] = {
            "true mean": round(truth, 2),
            "ours": covered(many, truth),
            "ours, 20 % missing": covered(many, truth, missing=0.2),
            "pigeonhole": covered_by_pigeonhole(many[: count // 4], truth),
            "sd / sqrt(n)": covered_by_the_usual(many, truth),
        }
    found = {
        "raters": RATERS,
        "clips": CLIPS,
        "studies": count,
        "coverage": coverage,
        "false alarms": false_alarms(count // 4),
        "coverage of strengths": round(strengths_covered(count // 8), 3),
        "coverage of pairs ordered alike": {
            f"{methods} methods": {f"r = {r}": orders_covered(methods, r, count) for r in (0.0, 0.5, 0.8, 0.95)}
            for methods in (3, 4, 6, 10, 20)
        },
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
