"""Bradley and Terry's model (1952): from paired comparisons to a scale.

Method i is preferred to j with the probability ``1 / (1 + exp(s_j - s_i))``: a difference of strengths is a log odds.
"""

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray

PRIOR = 0.5
_STEPS = 200


def bradley_terry(wins: AnyArray, *, prior: float = PRIOR) -> FloatArray:
    """Fit the strengths of methods to their wins over one another.

    A method that won all its comparisons has no finite most likely strength. So each pair is given `prior`
    wins on either side beforehand: half a win, as in Haldane's and Anscombe's log odds
    ``log((a + 1/2) / (b + 1/2))``, which is what two methods alone get. It pulls the strengths together, by
    little where there are many answers.

    Parameters
    ----------
    wins
        How often the row's method was preferred to the column's, [..., methods, methods]; the diagonal is
        ignored. Leading axes are fits of their own (resamples).
    prior
        Wins put on either side of each pair. With 0 the fit is the most likely one, if there is one.

    Returns
    -------
    Strengths, [..., methods], with the mean 0.

    Raises
    ------
    A2IBenchError
        If `wins` is not square, negative or not finite, or (with no prior) if no finite fit exists: some
        methods then won against others and never lost to them, or were never compared.

    """
    if wins.ndim < 2 or wins.shape[-1] != wins.shape[-2] or not np.isfinite(wins).all() or (wins < 0).any():
        raise A2IBenchError(
            f"Wins must be counts, [methods, methods], finite and not negative; found the shape {wins.shape}."
        )
    if prior < 0:
        raise A2IBenchError(f"The prior must be 0 or more wins; found {prior}.")
    size = wins.shape[-1]
    apart = 1.0 - np.eye(size)
    counts = (wins.astype(np.float64) + prior).reshape(-1, size, size) * apart
    if prior == 0 and not all(_connected(one) for one in counts):
        raise A2IBenchError(
            "No finite strengths fit these wins: some methods never lost to the others, or never met them; "
            "give a prior, or collect more answers."
        )
    strengths = np.zeros(counts.shape[:2])
    likelihood = _log_likelihood(counts, strengths)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(np.clip(strengths[:, None, :] - strengths[:, :, None], -700, 700)))
        games = counts + counts.transpose(0, 2, 1)
        slope = (counts - games * chance).sum(axis=2)
        weight = games * chance * (1 - chance)
        # The likelihood does not change when all strengths move together; the ones pin their mean down.
        curve = weight.sum(axis=2)[:, :, None] * np.eye(size) - weight + 1 / size
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        # Newton may overshoot: halve what does not improve.
        for _ in range(30):
            better = _log_likelihood(counts, strengths + step)
            worse = better < likelihood - 1e-12 * np.abs(likelihood)
            if not worse.any():
                break
            step[worse] /= 2
        strengths, likelihood = strengths + step, better
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    centred: FloatArray = strengths - strengths.mean(axis=1, keepdims=True)
    return centred.reshape(wins.shape[:-1])


def _log_likelihood(counts: FloatArray, strengths: FloatArray) -> FloatArray:
    apart = strengths[:, None, :] - strengths[:, :, None]
    total: FloatArray = -(counts * np.logaddexp(0, apart)).sum(axis=(1, 2))
    return total


def _connected(counts: FloatArray) -> bool:
    """Whether each method beat each other one directly or through others (Ford 1957)."""
    reach = (counts > 0) | np.eye(len(counts), dtype=bool)
    for _ in range(len(counts)):
        reach = (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    return bool(reach.all())
