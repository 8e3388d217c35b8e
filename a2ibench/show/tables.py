"""The board as tables: Markdown, CSV and LaTeX. Names and notes come from strangers, and are only ever text here."""

import csv
import io
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from a2ibench.board.load import Board, Entry, is_chance
from a2ibench.board.standings import Standing
from a2ibench.results import Clips, Result, Score
from a2ibench.scoring.alike import marks
from a2ibench.show.buckets import board_plots
from a2ibench.show.numbers import format_score, format_value
from a2ibench.tasks import tasks
from a2ibench.text import csv_text, latex_text, markdown_text, plain

MOST_REMARKS = 20
"""So many licences and notes of a row are shown; the others stand in its result.json."""
Ranked = Mapping[str, Sequence[Standing]]
"""The standings of each column."""


def _code(text: str) -> str:
    return "`" + plain(text, 1000).replace("`", "'") + "`"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Name the first few, and count the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _link(name: str, url: str) -> str:
    # The card takes only http and https; what could end the link is encoded all the same.
    return f"[{name}](<{quote(url, safe=':/?#@!$&*+,;=%~-._')}>)" if url else ""


# ---------------------------------------------------------------------------------------------------- rows


def _rows(board: Board, ranked: Ranked, metric: str | None) -> list[Entry]:
    """All entries: in the order of the column, then those that have no score in it, by name."""
    placed = [standing.entry for standing in ranked[metric]] if metric else []
    slugs = {entry.slug for entry in placed}
    others = [entry for entry in board.entries if entry.slug not in slugs]
    return placed + sorted(others, key=lambda entry: (entry.name.casefold(), entry.slug))


def _sanity(board: Board) -> tuple[list[Result], list[Result]]:
    """The sanity rows above the methods, and those below."""
    below = [row for row in board.sanity if is_chance(row)]
    return [row for row in board.sanity if not is_chance(row)], below


def _by_slug(ranked: Ranked) -> dict[str, dict[str, Standing]]:
    return {metric: {each.entry.slug: each for each in column} for metric, column in ranked.items()}


def _head(score: Score) -> str:
    return f"{score.metric} {'↑' if score.higher_is_better else '↓'}"


def why_gone(entry: Entry) -> str:
    """Say when a row was withdrawn, and why."""
    return f"withdrawn on {entry.withdrawn.when}: {entry.withdrawn.why}" if entry.withdrawn else ""


def outputs_marks(entry: Entry) -> list[str]:
    """Say that the outputs of a row repeat or copy references, as its counts tell."""
    counts, task = entry.result.outputs, tasks().get(entry.result.task)
    found = marks(counts, task.noun if task else "output") if counts else []
    if entry.run and entry.run.method == "reference":
        found.append("This row is the method reference: its outputs are the references, on purpose.")
    return found


def index_mark(entry: Entry) -> list[str]:
    """Say that a row looked up examples in an index that may hold clips of the test, as its options tell."""
    if entry.result.options.get("index_with_test") is not True:
        return []
    return ["Examples were looked up in an index that may hold clips of the test (index_with_test)."]


def _remarks(board: Board, entry: Entry) -> list[str]:
    """What a reader must know of a row, a sentence each, as plain text."""
    result, card = entry.result, entry.card
    found = []
    if result.outputs_per_clip > 1:
        found.append(f"{result.outputs_per_clip} images per clip; a clip's value is their mean.")
    if card.test_clips:
        found.append("Trained on the test clips.")
    found += index_mark(entry)
    if card.text_labels:
        found.append("Reads the clips' text labels.")
    found += [mark for mark in outputs_marks(entry) if mark not in result.notes]
    found += [
        f"{s.metric} of {s.n} is {format_score(s)} and not in the column, since its signature differs: {s.signature}"
        for s in board.apart(entry)
        if s.metric in board.columns
    ]
    others = [s.metric for s in board.apart(entry) if s.metric not in board.columns]
    if others:
        found.append(f"Its result.json also has {listed(others)}: no column of this board.")
    shared = set(board.notes)
    own = [f"Licence: {licence}" for licence in result.licences] + [n for n in result.notes if n not in shared]
    if len(own) > MOST_REMARKS:
        own[MOST_REMARKS:] = [f"And {len(own) - MOST_REMARKS} more notes in its result.json."]
    return found + own


# ------------------------------------------------------------------------------------------------ Markdown

_LEGEND = """\
- Scores with their 95 % intervals over clips; FID and KID ± their standard errors. ↑ higher is better, ↓ lower.
- **Rank** by {metric}, as an interval: from one more than the number of methods that are significantly better, to the
  number of methods less those that are significantly worse. Tested in pairs, clip by clip, by sign flips; Holm's
  correction over all pairs of the column, 5 %. FID and KID are tested by their standard errors, conservatively.
- Raised letters: in that column, two methods share a letter if, and only if, they are not told apart.
- **Bold**: the best of its column, told apart from every other. Where nothing is bold, no method is proven the best.
- The tests speak of these clips' kind and of these images; another seed or another training is another row.
- *Italic* rows are no methods: what real, shuffled or newly drawn images score. They take no rank.
- State: how far a2ibench recomputed the row; self-reported < hash-checked < re-scored < re-generated. A name
  behind it: the row says that this method of a2ibench drew the images; `reference` are the real ones.
"""


def markdown_page(board: Board, ranked: Ranked, metric: str | None) -> str:
    """The board as GitHub Markdown: the table by one column, its legend, remarks, and what stands apart.

    Parameters
    ----------
    board
        What to show.
    ranked
        The standings of each of its columns.
    metric
        The column to sort by; None where there is none.

    """
    rows = _rows(board, ranked, metric)
    lines = [f"# Leaderboard: {markdown_text(board.title)}", "", _summary(board), ""]
    remarks: dict[str, int] = {}
    if metric is not None:
        lines += [*_markdown_rows(board, ranked, metric, rows, remarks), ""]
    lines += [f"<sup>{number}</sup> {markdown_text(remark)}<br>" for remark, number in remarks.items()]
    if remarks:
        lines.append("")
    for plot in board_plots(board, ranked[metric] if metric else ()):
        lines += [f"![{markdown_text(plot.title)}]({plot.file})", ""]
    if metric is not None:
        lines += ["## How to read it", "", _LEGEND.format(metric=markdown_text(metric))]
        lines += ["The columns' signatures; what has another one is never in the same column:", ""]
        lines += [f"- {_code(head.signature)}" for head in board.columns.values()]
        lines.append("")
    if rows:
        lines += ["## The methods", "", *_cards(board, rows), ""]
    if board.outdated:
        lines += [
            "## Without a rank",
            "",
            "Incomplete, of another version of the suite, of other clips, or scored in another way: not comparable.",
        ]
        lines += ["", *_outdated(board), ""]
    if board.withdrawn:
        lines += ["## Withdrawn", "", "Taken out of the ranks, and why:", ""]
        lines += [
            f"- **{markdown_text(board.names[entry.slug])}**, {markdown_text(why_gone(entry))}"
            for entry in board.withdrawn
        ]
        lines.append("")
    if board.broken:
        lines += ["## Broken", "", "Rows that can't be read, and why:", ""]
        lines += [f"- {markdown_text(slug)}: {markdown_text(why)}" for slug, why in board.broken.items()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _summary(board: Board) -> str:
    if board.clips is None:
        return "There is no row yet; `a2ibench submit` adds one."
    count = len(board.entries)
    where = f"{markdown_text(board.suite)}, {_clips(board.clips)}"
    methods = f"{count} method{'' if count == 1 else 's'}"
    notes = " ".join(markdown_text(note) for note in (*board.cautions, *board.notes))
    return f"{methods} on {where}. {notes}".rstrip()


def _clips(clips: Clips) -> str:
    return f"{clips.n} clips ({markdown_text(clips.name)}, digest {markdown_text(clips.digest[:8])})"


def _markdown_rows(
    board: Board, ranked: Ranked, metric: str, rows: Sequence[Entry], remarks: dict[str, int]
) -> list[str]:
    heads = ["rank", "method", "state", *(markdown_text(_head(head)) for head in board.columns.values())]
    lines = ["| " + " | ".join(heads) + " |", "| :-: | :-- | :-- |" + " --: |" * len(board.columns)]
    above, below = _sanity(board)
    standing = _by_slug(ranked)

    def sanity_line(row: Result) -> str:
        scores = [board.score(row, name) for name in board.columns]
        cells = ["–" if score is None else f"*{format_value(score)}*" for score in scores]
        return "| " + " | ".join(["", f"*{markdown_text(row.method)}*", "", *cells]) + " |"

    lines += [sanity_line(row) for row in above]
    for entry in rows:
        numbers = [remarks.setdefault(remark, len(remarks) + 1) for remark in _remarks(board, entry)]
        name = markdown_text(board.names[entry.slug])
        if numbers:
            name += f" <sup>{', '.join(map(str, numbers))}</sup>"
        place = standing[metric].get(entry.slug)
        cells = [_markdown_cell(standing[each].get(entry.slug)) for each in board.columns]
        lines.append(
            "| " + " | ".join([place.rank if place else "–", name, markdown_text(entry.checked), *cells]) + " |"
        )
    return lines + [sanity_line(row) for row in below]


def _markdown_cell(standing: Standing | None) -> str:
    if standing is None:
        return "–"
    value = format_value(standing.score)
    text = format_score(standing.score).replace("[", "\\[").removesuffix(" (se)")
    if standing.best:
        text = f"**{value}**{text.removeprefix(value)}"
    return text + (f" <sup>{standing.letters}</sup>" if standing.letters else "")


def _cards(board: Board, rows: Sequence[Entry]) -> list[str]:
    said = {True: "yes", False: "no", None: "–"}
    heads = ("method", "by", "links", "licence", "trained on", "labels read", "test clips seen", "scored")
    lines = ["| " + " | ".join(heads) + " |", "| :-- " * len(heads) + "|"]
    for entry in rows:
        card, made = entry.card, entry.result.provenance
        links = " · ".join(filter(None, (_link("paper", card.paper), _link("code", card.code))))
        cells = [
            markdown_text(board.names[entry.slug]),
            markdown_text(card.authors) or "–",
            links or "–",
            markdown_text(card.licence) or "–",
            markdown_text(card.training_data) or "–",
            said[card.text_labels],
            said[card.test_clips],
            f"{made.created[:10]}, a2ibench {markdown_text(made.a2ibench)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _outdated(board: Board) -> list[str]:
    lines = []
    for entry in board.outdated:
        result = entry.result
        why = markdown_text(board.why_outdated(entry))
        lines.append(f"- **{markdown_text(board.names[entry.slug])}**, {why}")
        lines += [f"  - {format_score(score)}: {_code(score.signature)}" for score in result.scores]
    return lines


# ----------------------------------------------------------------------------------------------------- CSV

_CSV_HEAD = (
    "kind", "slug", "method", "state", "suite", "clips", "metric", "value", "low", "high", "stderr", "n", "chance",
    "ceiling", "higher_is_better", "unit", "rank_low", "rank_high", "letters", "best", "behind", "behind_low",
    "behind_high", "p_value", "outputs_per_clip", "missing", "distinct", "copies", "created", "withdrawn",
    "why", "signature",
)  # fmt: skip


def csv_table(board: Board, ranked: Ranked) -> str:
    """The board as CSV: a row per method and metric, numbers at full precision.

    ``distinct`` and ``copies`` count outputs that differ from each other, and that copy a reference. ``kind`` is
    method, sanity, apart (the score's signature is not the column's), outdated or withdrawn (then ``withdrawn`` and
    ``why`` say when and why). ``behind`` is the
    difference from the first of the column with its 95 % interval, ``p_value`` that of the difference, with
    Holm's correction over all pairs of the column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_HEAD)
    for column in ranked.values():
        for each in column:
            writer.writerow(_csv_row("method", each.entry, each.score, board.names[each.entry.slug], each))
    for entry in board.entries:
        writer.writerows(_csv_row("apart", entry, s, board.names[entry.slug]) for s in board.apart(entry))
    for entry in board.outdated:
        writer.writerows(_csv_row("outdated", entry, s, board.names[entry.slug]) for s in entry.result.scores)
    for entry in board.withdrawn:
        writer.writerow(_csv_gone(entry, board.names[entry.slug]))
    for result in board.sanity:
        writer.writerows(_csv_row("sanity", result, score, result.method) for score in result.scores)
    return text.getvalue()


def _csv_row(kind: str, of: Entry | Result, score: Score, name: str, standing: Standing | None = None) -> list[str]:
    result, slug, state = (of.result, of.slug, of.state) if isinstance(of, Entry) else (of, "", "")
    gap = standing.gap if standing else None
    # The draws are summed up by BLAS, whose last bits depend on the machine.
    behind = [float(f"{part:.9g}") for part in gap[:3]] + [gap.p_value] if gap else [None] * 4
    seen = result.outputs
    counts = (seen.distinct, seen.copies) if seen else (None, None)
    cells: list[str | float | int | bool | None] = [
        kind, csv_text(slug), csv_text(name), state, csv_text(result.suite), csv_text(result.clips.digest),
        csv_text(score.metric), score.value, score.low, score.high, score.stderr, score.n, score.chance,
        score.ceiling, score.higher_is_better, csv_text(score.unit),
        *((standing.low, standing.high, standing.letters, standing.best) if standing else [None] * 4),
        *behind, result.outputs_per_clip, len(result.missing), *counts, result.provenance.created,
        "", "", csv_text(score.signature),
    ]  # fmt: skip
    return ["" if cell is None else cell if isinstance(cell, str) else _number(cell) for cell in cells]


def _csv_gone(entry: Entry, name: str) -> list[str]:
    """The one line of a row that was withdrawn: no score, but when and why."""
    result, gone = entry.result, entry.withdrawn
    told = {
        "kind": "withdrawn", "slug": entry.slug, "method": name, "state": entry.state, "suite": result.suite,
        "clips": result.clips.digest, "created": result.provenance.created,
        "withdrawn": gone.when if gone else "", "why": gone.why if gone else "",
    }  # fmt: skip
    return [csv_text(told.get(column, "")) for column in _CSV_HEAD]


def _number(value: float | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


# --------------------------------------------------------------------------------------------------- LaTeX


def latex_table(board: Board, ranked: Ranked, metric: str | None) -> str:
    r"""The board as a LaTeX ``tabular`` for ``\input``; it needs the package booktabs."""
    arrows = {True: r"$\uparrow$", False: r"$\downarrow$"}
    standing = _by_slug(ranked)
    heads = ["rank", "method", *(f"{latex_text(n)} {arrows[s.higher_is_better]}" for n, s in board.columns.items())]
    above, below = _sanity(board)

    def sanity_line(row: Result) -> str:
        scores = [board.score(row, name) for name in board.columns]
        cells = ["--" if score is None else _latex_number(format_value(score)) for score in scores]
        return _latex_line(["", rf"\textit{{{latex_text(row.method)}}}", *cells])

    middle = []
    for entry in _rows(board, ranked, metric):
        place = standing[metric].get(entry.slug) if metric else None
        cells = [_latex_cell(standing[each].get(entry.slug)) for each in board.columns]
        rank = place.rank.replace("–", "--") if place else "--"
        middle.append(_latex_line([rank, latex_text(board.names[entry.slug]), *cells]))
    blocks = [[_latex_line(heads)], [sanity_line(row) for row in above], middle, [sanity_line(row) for row in below]]
    lines = [
        r"% \usepackage{booktabs}; \usepackage[T1]{fontenc}",
        r"% Scores with 95 % intervals over clips, or standard errors; letters: methods that share one are not told",
        r"% apart; bold: the best, told apart from every other.",
        r"\begin{tabular}{cl" + "r" * len(board.columns) + "}",
        r"\toprule",
    ]
    for place_, block in enumerate(block for block in blocks if block):
        lines += [r"\midrule"] * (place_ > 0) + block
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    # The braces keep a row that begins with a bracket or a star from being read as an argument.
    return "{}" + " & ".join(cells) + r" \\"


def _latex_cell(standing: Standing | None) -> str:
    if standing is None:
        return "--"
    score = standing.score
    value, text = format_value(score), format_score(score)
    number = _latex_number(value)
    spread = _latex_number(text.removeprefix(value).replace("(se)", "").strip())
    return (
        (rf"\textbf{{{number}}}" if standing.best else number)
        + (rf" {{\scriptsize {spread}}}" if spread else "")
        + (rf"\textsuperscript{{{standing.letters}}}" if standing.letters else "")
    )


def _latex_number(text: str) -> str:
    return text.replace("±", r"$\pm$").replace("-", "$-$")
