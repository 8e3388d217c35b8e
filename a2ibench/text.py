"""Escape text of strangers for Markdown, LaTeX and CSV, and list names in sentences."""

import re
from collections.abc import Sequence

_LONGEST = 300
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "*": "{*}", "–": "--", "…": r"\ldots{}",
}  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, also as full-width signs.
_FORMULA = tuple("=+-@＝＋－＠")


def plain(text: str, longest: int = _LONGEST) -> str:
    """One line of printable text: no control, no sign that turns the direction of writing, and not too long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def markdown_text(text: str) -> str:
    """Text that stays text in GitHub's Markdown, also inside a table: no mark-up, no HTML, no link of its own."""
    text = re.sub(r"[\\`*_{}\[\]()#|~$@!:^]", r"\\\g<0>", plain(text))
    text = "".join(_HTML.get(sign, sign) for sign in text)
    return re.sub(r"(?i)\b(www)\.", r"\1\\.", text)


def latex_text(text: str) -> str:
    """Text for LaTeX, where no sign of it is a command, an optional argument or a new column."""
    return "".join(_LATEX.get(sign, sign) for sign in plain(text))


def csv_text(text: str) -> str:
    """Text for a CSV cell that no spreadsheet takes for a formula."""
    text = plain(text)
    return "'" + text if text.startswith(_FORMULA) else text


def some(names: Sequence[str], most: int = 3) -> str:
    """List the first few names, quoted, and count the others: ``'a', 'b', 'c' and 4 more``."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def first_sentence(error: Exception) -> str:
    """Cut a library's message; what follows its first sentence advises on that library's arguments."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition(". ")[0].rstrip(".")
