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


def usual(design: Design, given: str, noun: str, condition: str, output: str) -> Question:
    """Word the question whether an output fits what was given.

    Parameters
    ----------
    design
        ``likert`` or ``pairwise``.
    given, noun
        What the condition and an output are called, as "video" and "sound".
    condition, output
        Their media.

    """
    given = f"given {given}" if given == noun else given
    together = {condition, output} == {"audio", "video"}
    pairs = design == "pairwise"
    if together:
        first = _together(pairs, sound=output == "audio")
    else:
        made = f"two {noun}s that were" if pairs else f"one {noun} that was"
        first = f"You will {_VERBS[condition]} {_a(given)}, and {_VERBS[output]} {made} made for it."
    if pairs:
        first += f" Choose the {noun} that fits the {given} better."
        rest = (
            f"Judge only whether they belong together, not how good {_a(noun)} is by itself. If both fit equally well, "
            "choose the one you would rather believe. You can go back, and you can stop and go on later."
        )
    else:
        first += f" Say how well the {noun} fits the {given}, from 1 (not at all) to 5 (very well)."
        rest = (
            f"Judge only whether the two belong together, not how good the {noun} is by itself. There are no right or "
            "wrong answers. You can go back, and you can stop and go on later."
        )
    if {condition, output} & {"audio", "video"}:
        rest += _QUIET
    return Question(
        title=f"Which {noun} fits the {given}?" if pairs else f"How well do these {noun}s fit?",
        text=f"Which {noun} fits the {given} better?" if pairs else f"How well does this {noun} fit the {given}?",
        instructions=f"{first}\n\n{rest}",
        gives="together" if together else "condition",
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
