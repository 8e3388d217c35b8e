"""The names that people give to the columns of a table of ratings, and how `--column` says others."""

import re
from collections.abc import Sequence

from a2ibench.dialects import shown
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.text import plain

_KNOWN: dict[str, tuple[str, ...]] = {
    "rater": (
        "rater raterid ratername raternumber",
        "worker workerid annotator annotatorid participant participantid prolificpid prolificid subject subjectid user "
        "userid username respondent respondentid judge judgeid evaluator evaluatorid assessor assessorid listener "
        "listenerid observer observerid person personid",
    ),
    "method": (
        "method methodid methodname",
        "model modelid modelname system systemid systemname algorithm approach generator",
        "condition",
    ),
    "clip": (
        "clip clipid clipname",
        "sound soundid audio audioid item itemid stimulus stimulusid sample sampleid video videoid ytid youtubeid",
        "file filename imageid imagename prompt promptid",
    ),
    "rating": ("rating ratings", "score value likert stars", "relevance quality grade points answer response"),
    "choice": ("choice chosen preferred preference better selected selection winner", "answer response vote result"),
    "first": ("methoda modela systema method1 model1 system1 firstmethod firstmodel leftmethod leftmodel methodleft",
              "a left first optiona option1"),
    "second": ("methodb modelb systemb method2 model2 system2 secondmethod secondmodel rightmethod rightmodel "
               "methodright", "b right second optionb option2"),
    "winner": ("winner won preferred chosen",),
    "loser": ("loser lost rejected",),
    "seconds": ("seconds worktimeinseconds durationseconds durationinseconds secs",),
    "at": ("at timestamp answeredat submittedat createdat datetime",),
    "status": ("assignmentstatus",),
}  # fmt: skip
ALIASES = {role: tuple(tuple(group.split()) for group in groups) for role, groups in _KNOWN.items()}
"""The bare names of each part of a rating, in groups: those of an earlier group are taken first."""
_ALL = frozenset(name for groups in ALIASES.values() for group in groups for name in group)
GIVEN = ("rater", "method", "clip", "rating", "first", "second", "choice", "seconds", "at", "image", "ignore")
"""What `--column` may name."""
_OTHER = (
    "hitid hittypeid assignmentid assignmentstatus accepttime submittime autoapprovaltime title description keywords "
    "reward creationtime maxassignments age gender sex comment comments remarks notes country language index row "
    "label email name consent approve reject lifetimeapprovalrate last30daysapprovalrate last7daysapprovalrate"
)
BESIDE = frozenset(_OTHER.split())
"""What stands beside ratings in forms and on crowd platforms, and is none."""


def is_known(bare: str) -> bool:
    """Whether a column of this `bare_name` is one that tables of ratings have."""
    return bare in _ALL or re.sub(r"^(input|answer)|\d+$", "", bare) in _ALL


def parse_columns(values: Sequence[str]) -> dict[str, list[str]]:
    """Read ``rater=WorkerId`` and the like.

    Raises
    ------
    A2IBenchError
        If one is no such pair, names nothing that a rating has, or names it twice.

    """
    found: dict[str, list[str]] = {}
    for text in values:
        role, equals, name = text.partition("=")
        if not equals or not name.strip():
            raise A2IBenchError(f"{shown(text)} does not say which column is what; write for example rater=WorkerId.")
        role = role.strip().lower()
        if role not in GIVEN:
            raise unknown("part of a rating that is called", plain(role, 40), GIVEN)
        if role in found and role != "ignore":
            raise A2IBenchError(f"--column names the {role} twice; name it once.")
        found.setdefault(role, []).append(name.strip())
    return found
