"""The leaderboard as one HTML file: table, classes, and a gallery where one hears each clip."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from a2ibench.clips import ClipSet
from a2ibench.pictures.buckets import subtitle
from a2ibench.pictures.gallery import CLIP_SHEETS, MOST_CLIPS, PLAYED, Sprite, clip_sprites, load_previews, sample
from a2ibench.results import Result
from a2ibench.show.buckets import board_plots
from a2ibench.show.numbers import format_score
from a2ibench.show.pages import render
from a2ibench.show.pages.buckets import on_page
from a2ibench.show.pages.media import Media, script_clips, script_task
from a2ibench.show.pages.scores import Scale, cell, clip_values, head, plain_means, scale_of, script_metric, short
from a2ibench.show.tables import MOST_REMARKS, index_mark, listed, outputs_marks, why_gone
from a2ibench.tasks import DEFAULT, Task, tasks
from a2ibench.tasks import get as get_task

if TYPE_CHECKING:
    from a2ibench.board.load import Board, Entry
    from a2ibench.board.standings import Standing

_LEGEND = (
    "An interval: with other clips of the same kind the score would lie there, with 95 % confidence (bootstrap over "
    "clips; Wilson's interval for a share of clips). FID and KID, of whole sets, have a standard error (se) instead.",
    "A rank is an interval: the best and the worst place that the data leave open. Two methods that share a small "
    "letter in a column are not told apart there, by a paired test over the same clips (FID and KID: by their "
    "standard errors), with Holm's correction over all pairs of methods.",
    "Bold is significantly better than every other method of the column. Where nothing is bold, nothing is.",
    "Real images are the ceiling; shuffled images, each beside another clip's sound, are chance. They take no rank.",
    "A signature names every choice that changes the number. Two signatures never share a column.",
    "Checked – self-reported: as it was sent in; hash-checked: the images are those that were scored; re-scored: the "
    "scores were computed again from the images; re-generated: the images were made again too. A name behind it: the "
    "row says that this method of a2ibench drew the images; reference are the real ones.",
)
_YES = {True: "yes", False: "no", None: "not said"}


def board_page(
    board: "Board",
    standings_by_metric: Mapping[str, Sequence["Standing"]],
    clips: ClipSet | None = None,
    inline: bool = True,
    *,
    metric: str | None = None,
) -> str:
    """Render a board as one HTML file that opens from disk and loads nothing from elsewhere.

    Parameters
    ----------
    board, standings_by_metric
        The board, and the standings in each of its columns.
    clips
        The board's clips, for their sounds, real images and spectrograms; without them the gallery shows what
        the entries hold.
    inline
        Whether sounds and pictures go into the page, as far as it stays below 12 MB and there are at most 240
        clips. What does not is linked relative to the board's folder: see `a2ibench.pictures.gallery.write_clips`.
    metric
        The column that the rows are sorted by; the first where it is not given.

    Returns
    -------
    The page. Equal boards make equal pages.

    """
    from a2ibench.board.load import is_chance
    from a2ibench.board.states import STATES

    primary = metric or next(iter(standings_by_metric), "")
    order = {each.entry.slug: place for place, each in enumerate(standings_by_metric.get(primary, ()))}
    entries = sorted(board.entries, key=lambda entry: order.get(entry.slug, len(order)))
    ranked = {(name, each.entry.slug): each for name, every in standings_by_metric.items() for each in every}
    held = {name: [s for entry in entries if (s := board.score(entry.result, name))] for name in board.columns}
    scales = {name: scale_of(scores) for name, scores in held.items()}
    footnotes: dict[str, int] = {}
    rows = [_row(board, entry, primary, ranked, scales, footnotes) for entry in entries]
    # Never from a row: a stranger would name the clips of all the others.
    labels = dict(zip(clips.ids, clips.labels, strict=True)) if clips is not None else board.labels
    island = _island(board, entries, clips, labels, inline)
    task = tasks().get(board.task) or get_task(DEFAULT)
    return render(
        "board.html",
        island,
        title=f"{board.title} – a2ibench leaderboard",
        heading=board.title,
        facts=_facts(board, entries, labels.values()),
        lead=task.lead
        or f"How good is each method at making {task.summary}, and which differences are more than luck?",
        task=script_task(task),
        primary=primary,
        columns=[
            {**head(score), "ranked": any((name, entry.slug) in ranked for entry in entries)}
            for name, score in board.columns.items()
        ],
        rows=rows,
        plots=on_page(board_plots(board, standings_by_metric.get(primary, ())), subtitle(board.suite, board.clips)),
        steps=len(STATES),
        ceilings=[_sanity(board, result) for result in board.sanity if not is_chance(result)],
        chance=[_sanity(board, result) for result in board.sanity if is_chance(result)],
        whiskers=any(scales.values()),
        footnotes=footnotes,
        broken=board.broken.items(),
        outdated=[_outdated(board, entry) for entry in board.outdated],
        withdrawn=[(board.names[entry.slug], why_gone(entry)) for entry in board.withdrawn],
        pictures=_pictures(board, island),
        metrics=island["metrics"],
        labels=sorted({clip["label"] for clip in island["clips"]} - {""}),
        orders=[
            *([("disagree", "methods disagree most")] if len(entries) > 1 else []),
            *([("worst", "worst first"), ("best", "best first")] if island["metrics"] else []),
            ("class", "by class"),
        ],
        methods=island["methods"],
        legend=(*board.cautions, *board.notes, *(_of_task(sentence, task) for sentence in _LEGEND)),
    )


def _of_task(sentence: str, task: Task) -> str:
    """Say of a task's outputs what a sentence says of images drawn from sounds."""
    if task.output == "image":
        return sentence
    words = {"images": f"{task.noun}s", "drew": "made", "another clip's sound": f"another clip's {task.given}"}
    return re.sub("|".join(words), lambda match: words[match[0]], sentence)


def _facts(board: "Board", entries: Sequence["Entry"], labels: Iterable[str]) -> list[str]:
    if board.clips is None:
        return [board.suite] if board.suite else []
    days = sorted(entry.result.provenance.created[:10] for entry in entries)
    classes = set(labels)
    return [
        board.suite,
        f"{board.clips.n:,} clips" + (f" of {len(classes)} classes" if classes else ""),
        f"{len(entries)} method{'' if len(entries) == 1 else 's'}",
        *([f"scored {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "")] if days else []),
        f"clips sha256 {board.clips.digest[:12]}",
    ]


# ------------------------------------------------------------------------------------------------ the table


def _row(
    board: "Board",
    entry: "Entry",
    primary: str,
    ranked: Mapping[tuple[str, str], "Standing"],
    scales: Mapping[str, Scale | None],
    footnotes: dict[str, int],
) -> dict[str, Any]:
    from a2ibench.board.states import STATES

    marks = [footnotes.setdefault(note, len(footnotes) + 1) for note in _footnotes(board, entry)]
    cells = []
    for name in board.columns:
        score, standing = board.score(entry.result, name), ranked.get((name, entry.slug))
        ranks = {"tie": standing.letters, "best": standing.best, "rank": standing.rank} if standing else {"tie": ""}
        cells.append(cell(score, scales[name]) | ranks if score else None)
    first = ranked.get((primary, entry.slug))
    return {
        "slug": entry.slug,
        "name": board.names[entry.slug],
        "under": "reads the labels" if entry.card.text_labels else "",
        "marks": marks,
        "rank": first.rank if first else "–",
        "cells": cells,
        "state": entry.state,
        "ours": entry.run.method if entry.run else "",
        "step": STATES.index(entry.state) + 1,
        "authors": entry.card.authors,
        "facts": _method(entry),
        "links": [(what, to) for what, to in (("Paper", entry.card.paper), ("Code", entry.card.code)) if to],
        "notes": entry.card.notes,
    }


def _sanity(board: "Board", result: Result) -> dict[str, Any]:
    scores = [board.score(result, name) for name in board.columns]
    return {"name": result.method, "cells": [cell(score) | {"tie": ""} if score else None for score in scores]}


def _footnotes(board: "Board", entry: "Entry") -> list[str]:
    result = entry.result
    notes = [f"Licence: {licence}." for licence in (each.rstrip(".") for each in result.licences[:MOST_REMARKS])]
    if len(result.licences) > MOST_REMARKS:
        notes.append(f"And {len(result.licences) - MOST_REMARKS} more licences in its result.json.")
    if entry.card.test_clips:
        notes.append("Trained on test clips, as its card says.")
    notes += index_mark(entry)
    notes += outputs_marks(entry)
    apart = [score for score in board.apart(entry) if score.metric in board.columns]
    others = [score.metric for score in board.apart(entry) if score.metric not in board.columns]
    if others:
        notes.append(f"Its result.json also has {listed(others)}: no column of this board.")
    if apart:
        shown = ", ".join(f"{score.metric} {format_score(score)} ({score.signature})" for score in apart)
        notes.append(f"Not in the table, since their signatures are others than their columns': {shown}.")
    return notes


def _method(entry: "Entry") -> list[tuple[str, str]]:
    result, card, made = entry.result, entry.card, entry.result.provenance
    facts = {
        "Checked": entry.checked,
        "Licence": card.licence,
        "Trained on": card.training_data,
        "Reads the labels": _YES[card.text_labels],
        "Trained on test clips": _YES[card.test_clips],
        "Outputs per clip": str(result.outputs_per_clip),
        "Seed": "" if result.seed is None else str(result.seed),
        "Options": ", ".join(f"{name} = {value}" for name, value in result.options.items()),
        "Scored": f"{made.created} with a2ibench {made.a2ibench}"
        + (f", commit {made.git_commit[:10]}" if made.git_commit else "")
        + (" with changes" if made.git_dirty else ""),
    }
    return [(name, text) for name, text in facts.items() if text]


def _outdated(board: "Board", entry: "Entry") -> dict[str, Any]:
    result = entry.result
    scores = [{"name": s.metric, "text": format_score(s), "signature": s.signature} for s in result.scores]
    why = board.why_outdated(entry)
    return {"name": board.names[entry.slug], "why": why, "clips": result.clips.n, "scores": scores}


# ---------------------------------------------------------------------------------------------- the gallery


def _island(
    board: "Board", entries: Sequence["Entry"], clips: ClipSet | None, labels: Mapping[str, str], inline: bool
) -> dict[str, Any]:
    """Put together what the script reads: a sample's values and media, and the mean of each class."""
    loaded = {entry.slug: Sprite.load(entry.folder) for entry in entries}
    if clips is not None:
        shown = sample(clips)
        chosen = shown.ids
    else:
        tiles = chain.from_iterable(sprite.sheet.clips for sprite in loaded.values() if sprite)
        known = set(board.clip_ids).union(labels)
        shown, chosen = None, tuple(dict.fromkeys(clip_id for clip_id in tiles if clip_id in known))[:MOST_CLIPS]
    count = board.clips.n if board.clips else len(chosen)
    media = Media(board.folder, inline and count <= MOST_CLIPS)
    # In this order they get what room there is: a clip is nothing without its sound.
    task = clips.task if clips is not None else tasks().get(board.task) or get_task(DEFAULT)
    told = (
        script_clips(list(shown), task, media)
        if shown
        else [
            {"index": n, "id": c, "label": labels.get(c, ""), "audio": None, "text": None, "real": None}
            for n, c in enumerate(chosen)
        ]
    )
    if clips is not None and count <= MOST_CLIPS:
        sheets = media.sheets(dict(zip(CLIP_SHEETS, clip_sprites(clips), strict=True)), {}, chosen)
    else:
        beside = {name: Sprite.load(board.folder, name) for name in CLIP_SHEETS}
        sheets = media.sheets(beside, {name: f"{name}.webp" for name in CLIP_SHEETS}, chosen)
    pictures = media.sheets(loaded, {slug: f"{slug}/gallery.webp" for slug in loaded}, chosen)
    per_clip = [name for name in board.columns if any(name in entry.values for entry in entries)]
    classes, counts, means = _classes(board, entries, labels)
    played = {entry.slug: load_previews(entry.folder) if task.output in PLAYED else {} for entry in entries}
    return {
        "task": script_task(task),
        "seconds": 10,  # of a sound, on its spectrogram
        "metrics": [
            script_metric(board.columns[name], [x for each in means for x in each.get(name, ()) if x is not None])
            for name in per_clip
        ],
        "classes": [{"label": label, "n": n} for label, n in zip(classes, counts, strict=True)],
        "methods": [
            {
                "slug": entry.slug,
                "name": board.names[entry.slug],
                "classes": mean,
                "values": clip_values(entry.result, [name for name in per_clip if name in entry.values], chosen),
                "sheet": pictures[entry.slug],
                "outputs": media.previews(played[entry.slug], chosen),
            }
            for entry, mean in zip(entries, means, strict=True)
        ],
        "clips": told,
        "sheets": sheets,
    }


def _classes(
    board: "Board", entries: Sequence["Entry"], labels: Mapping[str, str]
) -> tuple[list[str], list[int], list[dict[str, list[float | None]]]]:
    """Give the classes, their clips, and for each entry by metric the mean of each class."""
    if not labels:
        return [], [], [{} for _ in entries]
    known = [labels.get(clip_id, "") for clip_id in board.clip_ids]
    classes = sorted(set(known))
    number = {label: index for index, label in enumerate(classes)}
    place = np.array([number[label] for label in known], dtype=np.intp)
    count = Counter(known)
    means = [
        {
            name: short(plain_means(values, place, len(classes)))
            for name, values in entry.values.items()
            if board.score(entry.result, name)
        }
        for entry in entries
    ]
    return classes, [count[label] for label in classes], means


def _pictures(board: "Board", island: Mapping[str, Any]) -> str:
    """Say what the gallery shows; nothing where there is nothing to see or hear."""
    seen = any(island["sheets"].values()) or any(method["sheet"] for method in island["methods"])
    count, every = len(island["clips"]), board.clips.n if board.clips else 0
    if not count or not (seen or any(clip["audio"] or clip["text"] for clip in island["clips"])):
        return ""
    which = f"All {count} clips" if count == every else f"{count} of the {every:,} clips, spread over the classes"
    task = island["task"]
    if task["made"] == "image":
        return f"{which}: the sound, its spectrogram, the real image, and what each method drew; below it, its score."
    return f"{which}: the {task['given']}, the {task['real']}, and what each method made; below it, its score."
