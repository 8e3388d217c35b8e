"""Boards and runs for the tests of pages: a few clips, made-up values, real files."""

import json

import numpy as np
from PIL import Image

from a2ibench.pictures.gallery import write_gallery
from a2ibench.results import Clips, Provenance, Result, Score

CREATED = "2026-01-02T03:04:05Z"


def result_of(clips, values, *, method="made up", metrics=("AIS", "IIS.same-class"), suite="tiny@1", n=None, **changes):
    """A result with the same made-up values in each metric (the second one turned round), and FID."""
    items = {
        clip_id: {name: float(value) if index == 0 else float(100 - value) for index, name in enumerate(metrics)}
        for clip_id, value in zip(clips.ids, values, strict=True)
    }
    scores = [
        Score(
            metric=name,
            value=float(np.mean([item[name] for item in items.values()])),
            low=0.0,
            high=100.0,
            n=len(clips),
            chance=50.0,
            ceiling=99.0,
            higher_is_better=True,
            unit="%",
            signature=f"{name}|v:1|n:{len(clips)}|suite:{suite}",
        )
        for name in metrics
    ]
    fid = 30 - float(np.mean(values)) / 10
    scores.append(
        Score(metric="FID", value=fid, stderr=1.0, n=len(clips), ceiling=0.0, higher_is_better=False, unit="",
              signature=f"FID|v:1|n:{len(clips)}|suite:{suite}")
    )  # fmt: skip
    made = Provenance(
        a2ibench="0.1.0", python="3.11", platform="Linux", packages={"numpy": "2.0"}, git_commit="a" * 40,
        git_dirty=False, device="CPU", threads=1, created=CREATED, seconds={"score": 1.0},
    )  # fmt: skip
    fields = {
        "method": method,
        "suite": suite,
        "clips": Clips(name=clips.name, n=n or len(clips), digest="d" * 64),
        "scores": scores,
        "items": items,
        "labels": dict(zip(clips.ids, clips.labels, strict=True)),
        "provenance": made,
    }
    return Result(**(fields | changes))


def write_images(folder, clips, shade):
    """One picture of one colour per clip, by clip id."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip_id in clips.ids:
        Image.new("RGB", (48, 40), (shade, 255 - shade, 120)).save(folder / f"{clip_id}.png")
    return {clip_id: [folder / f"{clip_id}.png"] for clip_id in clips.ids}


def write_entry(board, clips, slug, result, card="", images=None):
    """A row's folder as submit writes it, as far as a page reads it."""
    folder = board / slug
    folder.mkdir(parents=True)
    result.save(folder / "result.json")
    if card:
        (folder / "method.toml").write_text(card)
    if images:
        write_gallery(folder, clips, images)
    return folder


def write_sanity(board, results):
    board.mkdir(parents=True, exist_ok=True)
    (board / "sanity.json").write_text(json.dumps([result.model_dump() for result in results]))


def page_of(folder, clips=None, **options):
    """A board's page as write_board renders it."""
    from a2ibench.board.load import load_board
    from a2ibench.board.standings import standings
    from a2ibench.show.pages.board import board_page

    board = load_board(folder)
    return board_page(board, {name: standings(board, name) for name in board.columns}, clips, **options)
