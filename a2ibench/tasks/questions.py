"""What raters are asked in a human study: a task's own words, or the usual ones, made of what its media are called."""

from dataclasses import dataclass
from typing import Literal

Design = Literal["likert", "pairwise"]
"""Each output is rated from 1 to 5, or two methods' outputs of one clip are compared."""
Gives = Literal["label", "condition", "together"]
"""What raters get besides the outputs: the clip's label, in the question; the condition itself, to hear, see, watch or
read; or the condition and the output in one, a video with a sound."""

_VERBS = {"audio": "hear", "image": "see", "video": "watch", "text": "read"}
_QUIET = " Please wear headphones, or sit in a quiet place."


@dataclass(frozen=True)
class Question:
    """What raters are asked: where a study's ``study.toml`` begins from.

    Attributes
    ----------
    title
        What stands on top.
    text
        What is asked of each item; ``{label}`` stands for the clip's label.
    instructions
        What raters read first; a blank line begins a new paragraph.
    gives
        What they get besides the outputs.
    low, high
        What the ends of the scale mean (likert).
    headphones
        Whether ``study.toml`` offers the check of headphones, switched off.

    """

    title: str
    text: str
    instructions: str
    gives: Gives
    low: str = "not at all"
    high: str = "very well"
    headphones: bool = False


@dataclass(frozen=True)
class Words:
    """The words of a question in one design: ``{noun}`` an output, ``{a_noun}`` "a sound", ``{given}`` what was given.

    Attributes
    ----------
    title, text
        As `Question`'s.
    task
        The sentence that says what to do.
    judge
        What alone is to be judged.

    """

    title: str
    text: str
    task: str
    judge: str


@dataclass(frozen=True)
class Aspect:
    """What of an output raters are asked about: the words for rating one output, and for comparing two."""

    likert: Words
    pairwise: Words
    low: str = "not at all"
    high: str = "very well"
    tie: str = "fit equally well"
    """What both outputs may do, so that raters choose as they feel."""


RELEVANCE = Aspect(
    likert=Words(
        "How well do these {noun}s fit?",
        "How well does this {noun} fit the {given}?",
        "Say how well the {noun} fits the {given}, from 1 (not at all) to 5 (very well).",
        "Judge only whether the two belong together, not how good the {noun} is by itself.",
    ),
    pairwise=Words(
        "Which {noun} fits the {given}?",
        "Which {noun} fits the {given} better?",
        "Choose the {noun} that fits the {given} better.",
        "Judge only whether they belong together, not how good {a_noun} is by itself.",
    ),
)
"""REL: whether an output belongs to what was given."""
QUALITY = Aspect(
    likert=Words(
        "How good are these {noun}s?",
        "How good is this {noun}, all in all?",
        "Say how good the {noun} is, all in all, from 1 (bad) to 5 (excellent).",
        "Judge the {noun} as a whole: how natural and how clear it is, and whether it is what one would expect for the "
        "{given}.",
    ),
    pairwise=Words(
        "Which {noun} is better?",
        "Which {noun} is better, all in all?",
        "Choose the {noun} that is better, all in all.",
        "Judge each {noun} as a whole: how natural and how clear it is, and whether it is what one would expect for "
        "the {given}.",
    ),
    low="bad",
    high="excellent",
    tie="are equally good",
)
"""OVR: overall quality."""
ALIGNMENT = Aspect(
    likert=Words(
        "Do these {noun}s come at the right moment?",
        "How well is this {noun} in time with the {given}?",
        "Say how well the {noun} is in time with the {given}, from 1 (not at all) to 5 (very well).",
        "Judge only whether what happens in both happens at the same moments, not whether the {noun} is the right one "
        "or how good it is by itself.",
    ),
    pairwise=Words(
        "Which {noun} comes at the right moment?",
        "Which {noun} is better in time with the {given}?",
        "Choose the {noun} that is better in time with the {given}.",
        "Judge only whether what happens in both happens at the same moments, not whether {a_noun} is the right one or "
        "how good it is by itself.",
    ),
    tie="are equally well in time",
)
"""ALI: alignment in time."""


def usual(design: Design, given: str, noun: str, condition: str, output: str, aspect: Aspect = RELEVANCE) -> Question:
    """Word a question about an output, by default whether it fits what was given.

    Parameters
    ----------
    design
        ``likert`` or ``pairwise``.
    given, noun
        What the condition and an output are called, as "video" and "sound".
    condition, output
        Their media.
    aspect
        What is asked about.

    """
    given = f"given {given}" if given == noun else given
    together = {condition, output} == {"audio", "video"}
    pairs = design == "pairwise"
    words = aspect.pairwise if pairs else aspect.likert
    called = {"noun": noun, "given": given, "a_noun": _a(noun)}
    if together:
        first = _together(pairs, sound=output == "audio")
    else:
        made = f"two {noun}s that were" if pairs else f"one {noun} that was"
        first = f"You will {_VERBS[condition]} {_a(given)}, and {_VERBS[output]} {made} made for it."
    rest = words.judge.format(**called) + (
        f" If both {aspect.tie}, choose the one you would rather believe. You can go back, and you can stop and go on "
        "later."
        if pairs
        else " There are no right or wrong answers. You can go back, and you can stop and go on later."
    )
    if {condition, output} & {"audio", "video"}:
        rest += _QUIET
    return Question(
        title=words.title.format(**called),
        text=words.text.format(**called),
        instructions=f"{first} {words.task.format(**called)}\n\n{rest}",
        gives="together" if together else "condition",
        low=aspect.low,
        high=aspect.high,
        headphones=output == "audio",
    )


def _together(pairs: bool, *, sound: bool) -> str:
    if sound:
        return (
            "You will watch a video twice, each time with another sound."
            if pairs
            else "You will watch videos, one at a time, each with a sound that was made for it."
        )
    return (
        "You will watch two videos that were made for one sound, each with that sound."
        if pairs
        else "You will watch videos, one at a time, each with the sound that it was made for."
    )


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
