"""Numbers as people read them: digits, intervals, p-values."""

from a2ibench.metrics import metrics
from a2ibench.results import Score


def digits_of(score: Score) -> int:
    """Decimals: one for per cent and other large scales, more where the number is small."""
    declared = metrics().get(score.metric) or metrics().get(score.metric.partition(".")[0])
    if declared is not None and declared.digits is not None:
        return declared.digits
    if score.unit == "%":
        return 1
    size = abs(score.value)
    return 1 if size >= 100 else 2 if size >= 0.1 or size == 0 else 4


def format_value(score: Score) -> str:
    """The score alone: ``84.1``."""
    return f"{score.value:.{digits_of(score)}f}"


def format_score(score: Score) -> str:
    """The score with its uncertainty: ``84.1 [81.9, 86.2]`` or ``52.85 ± 1.20 (se)``."""
    digits = digits_of(score)
    if score.low is not None and score.high is not None:
        return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    if score.stderr is not None:
        return f"{score.value:.{digits}f} ± {score.stderr:.{digits}f} (se)"
    return format_value(score)


def format_p(value: float) -> str:
    """A p-value to four decimals: ``0.0030`` or ``<0.0001``."""
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def format_bound(value: float | None, score: Score) -> str:
    """A chance level or a ceiling with the digits of its score; a dash for none."""
    return "–" if value is None else f"{value:.{digits_of(score)}f}"


def arrow(score: Score) -> str:
    """The direction in which a score is better."""
    return "↑" if score.higher_is_better else "↓"


def unit(score: Score) -> str:
    """The unit with a space before it, where there is one."""
    return f" {score.unit}" if score.unit else ""
