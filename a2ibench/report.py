"""What people look at: score tables for the terminal and for Markdown, and the contact sheet."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from a2ibench.clips import Clip, ClipSet, read_audio, read_image
from a2ibench.errors import A2IBenchError
from a2ibench.files import save_image
from a2ibench.results import Result, Score

# ------------------------------------------------------------------------------------------------- numbers


def _digits(score: Score) -> int:
    """Decimals: one for per cent and other large scales, more where the number is small."""
    if score.unit == "%":
        return 1
    size = abs(score.value)
    return 1 if size >= 100 else 2 if size >= 0.1 or size == 0 else 4


def format_value(score: Score) -> str:
    """The score alone: ``84.1``."""
    return f"{score.value:.{_digits(score)}f}"


def format_score(score: Score) -> str:
    """The score with its uncertainty: ``84.1 [81.9, 86.2]`` or ``52.85 ± 1.20 (se)``."""
    digits = _digits(score)
    if score.low is not None and score.high is not None:
        return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    if score.stderr is not None:
        return f"{score.value:.{digits}f} ± {score.stderr:.{digits}f} (se)"
    return format_value(score)


def _bound(value: float | None, score: Score) -> str:
    return "–" if value is None else f"{value:.{_digits(score)}f}"


def _arrow(score: Score) -> str:
    return "↑" if score.higher_is_better else "↓"


def _unit(score: Score) -> str:
    return f" {score.unit}" if score.unit else ""


# -------------------------------------------------------------------------------------------------- tables

_MOST_COLUMNS = 8  # metrics side by side at 80 columns


def score_table(results: Sequence[Result], sanity: Sequence[Result] = ()) -> Table:
    """Lay out scores for the terminal.

    Parameters
    ----------
    results
        What was measured. One alone gives a row per metric, with interval, chance and ceiling; several give
        a row per method and a column per metric, the best of each column bold.
    sanity
        Rows to hold it against (real images, shuffled images, drawn afresh), set apart by a line.

    Returns
    -------
    A table that is legible at 80 columns and without colours. `signatures` gives what belongs below it.

    """
    if not results:
        raise A2IBenchError("There is no result to show; run 'a2ibench eval' first.")
    return _metric_rows(results[0]) if len(results) == 1 and not sanity else _method_rows(results, sanity)


def score_report(results: Sequence[Result], sanity: Sequence[Result] = ()) -> Group:
    """All there is to say: each result metric by metric, all rows side by side, the signatures, the notes."""
    parts: list[Table | Text] = [_metric_rows(result) for result in results]
    if len(results) + len(sanity) > 1:
        parts.append(score_table(results, sanity))
    parts.append(signatures([*results, *sanity]))
    notes = list(dict.fromkeys(note for result in results for note in result.notes))
    licences = list(dict.fromkeys(licence for result in results for licence in result.licences))
    parts.extend(Text(f"Licence: {licence}") for licence in licences)
    parts.extend(Text(f"Note: {note}") for note in notes)
    return Group(*(part for each in parts for part in (each, Text())))


def signatures(results: Sequence[Result]) -> Text:
    """Every signature once, in the order of the columns: what makes the numbers comparable."""
    text = Text("Signatures", style="dim")
    for name, signature in _columns(results):
        metric = _by_signature(results, signature).metric
        line = "  " + name.removeprefix(metric).strip().ljust(4 if name != metric else 0)
        for part in signature.replace("|", "|\0").split("\0"):
            # Broken at the bars only: half a hash can't be searched for.
            if len(line) + len(part) > 78:
                text.append(f"\n{line}")
                line = "      "
            line += part
        text.append(f"\n{line}")
    return text


def markdown_table(results: Sequence[Result]) -> str:
    """The same as GitHub Markdown: a row per method, a column per metric, the signatures below."""
    columns = _columns(results)
    heads = [_by_signature(results, signature) for _, signature in columns]
    lines = [
        "| " + " | ".join(["method", *(_head(n, s) for (n, _), s in zip(columns, heads, strict=True))]) + " |",
        "| :-- |" + " --: |" * len(columns),
    ]
    for result in results:
        held = {score.signature: score for score in result.scores}
        cells = [format_score(held[key]) if key in held else "–" for _, key in columns]
        lines.append("| " + " | ".join([escape_markdown(result.method), *cells]) + " |")
    lines += ["", *(f"- `{signature}`" for _, signature in columns)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Keep a text from meaning anything in Markdown, on one line."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())


def _metric_rows(result: Result) -> Table:
    title = Text.assemble((result.method, "bold"), f"  {result.suite}, {result.clips.n} clips")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, title_style="")
    table.add_column("metric", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column(Text("95 % interval"), no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("chance", justify="right", style="dim", no_wrap=True)
    table.add_column("real images", justify="right", style="dim", no_wrap=True)
    for score in result.scores:
        spread = format_score(score).removeprefix(format_value(score)).strip()
        table.add_row(
            Text.assemble(score.metric, (f" {_arrow(score)}{_unit(score)}", "dim")),
            Text(format_value(score), style="bold"),
            Text(spread or "–"),
            Text(str(score.n)),
            Text(_bound(score.chance, score)),
            Text(_bound(score.ceiling, score)),
        )
    return table


def _method_rows(results: Sequence[Result], sanity: Sequence[Result]) -> Table:
    every = [*results, *sanity]
    columns = _columns(every)
    best = {key: _best(results, key) for _, key in columns} if len(results) > 1 else {}

    def cell(result: Result, key: str) -> Text:
        score = next((score for score in result.scores if score.signature == key), None)
        if score is None:
            return Text("–")
        wins = any(result is each for each in results) and score.value == best.get(key)
        return Text(format_value(score), style="bold" if wins else "")

    heads = [_head(name, _by_signature(every, key)) for name, key in columns]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    if len(columns) > _MOST_COLUMNS:  # then 80 columns hold the methods rather than the metrics
        table.add_column("metric", no_wrap=True)
        for index, result in enumerate(every):
            style = "" if index < len(results) else "dim"
            table.add_column(Text(result.method), justify="right", vertical="bottom", style=style, overflow="fold")
        for head, (_, key) in zip(heads, columns, strict=True):
            table.add_row(Text(head), *(cell(result, key) for result in every))
        return table
    table.add_column("method", overflow="fold", min_width=12)
    for head in heads:
        # A dot is where a variant's name may be broken.
        table.add_column(Text(head.replace(".", ".\n")), justify="right", vertical="bottom")
    for index, result in enumerate(every):
        table.add_row(
            Text(result.method),
            *(cell(result, key) for _, key in columns),
            style="" if index < len(results) else "dim",
            end_section=index == len(results) - 1,
        )
    return table


def _best(results: Sequence[Result], signature: str) -> float | None:
    held = [score for result in results for score in result.scores if score.signature == signature]
    if not held:
        return None
    return (max if held[0].higher_is_better else min)(score.value for score in held)


def _columns(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Column names with signatures: two signatures never share a column, so a name may need a mark."""
    pairs = list(dict.fromkeys((score.metric, score.signature) for each in results for score in each.scores))
    names = [metric for metric, _ in pairs]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    pairs.sort(key=lambda pair: order[pair[0]])
    seen: dict[str, int] = {}
    columns = []
    for metric, signature in pairs:
        seen[metric] = seen.get(metric, 0) + 1
        columns.append((f"{metric} ({seen[metric]})" if names.count(metric) > 1 else metric, signature))
    return columns


def _by_signature(results: Sequence[Result], signature: str) -> Score:
    return next(score for each in results for score in each.scores if score.signature == signature)


def _head(name: str, score: Score) -> str:
    return f"{name} {_arrow(score)}"


# --------------------------------------------------------------------------------------------- run folders


def write_run(folder: Path, result: Result, clips: ClipSet, images: Mapping[str, Sequence[Path]]) -> None:
    """Write what a run folder holds beside the images: ``result.json``, ``items.csv`` and ``contact.png``."""
    result.save(folder / "result.json")
    result.write_items(folder / "items.csv")
    sheet = contact_sheet(
        clips,
        {clip_id: files[0] for clip_id, files in images.items() if files},
        title=result.method,
        subtitle=f"{result.suite} · {clips.name} · {len(clips)} clips"
        + (f" · seed {result.seed}" if result.seed is not None else ""),
        method=result.method,
    )
    save_image(folder / "contact.png", sheet)


# -------------------------------------------------------------------------------------------- contact sheet

_TILE = 144
_SOUND = 208
_GAP = 6  # between the tiles of a clip
_GUTTER = 36  # between clips
_MARGIN = 56
_PAPER, _INK, _GREY, _FAINT = (252, 251, 248), (32, 30, 38), (124, 120, 130), (232, 229, 224)
_RATE = 16_000
_BANDS = 72
# Dark violet to pale yellow, even in lightness: matplotlib's "magma" at eleven points.
_MAGMA = (
    (0, 0, 4), (20, 14, 54), (59, 15, 112), (100, 26, 128), (140, 41, 129), (183, 55, 121), (222, 73, 104),
    (247, 112, 92), (254, 159, 109), (254, 207, 146), (252, 253, 191),
)  # fmt: skip


def contact_sheet(
    clips: Sequence[Clip],
    images: Mapping[str, Path],
    *,
    title: str,
    subtitle: str,
    method: str = "generated",
    per_class: int | None = None,
) -> Image.Image:
    """Lay out some clips of every class: the sound's spectrogram, the real image and the generated one.

    Parameters
    ----------
    clips
        The clips; only some are shown.
    images
        The generated image of each clip, by clip id; a clip without one gets an empty tile.
    title, subtitle
        Above the sheet.
    method
        What the column of generated images is called.
    per_class
        How many clips of each class; by default 2 up to 16 classes, else 1. At most 24 classes are shown
        where there are more than 16.

    Returns
    -------
    RGB, about 2200 pixels wide where there are many classes.

    Raises
    ------
    A2IBenchError
        If there is no clip, or a file can't be read.

    """
    shown = _chosen(clips, per_class)
    if not shown:
        raise A2IBenchError("There is no clip to show on a contact sheet.")
    across = 4 if len(shown) > 6 else 3 if len(shown) > 4 else min(2, len(shown))
    cell, row, top = _SOUND + 2 * _TILE + 2 * _GAP, _TILE + 64, 176
    width = across * (cell + _GUTTER) - _GUTTER
    height = top + -(-len(shown) // across) * row
    sheet = Image.new("RGB", (width + 2 * _MARGIN, height + _MARGIN - 30), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 44), _fit(title, 38, width), _INK, _font(38), anchor="lt")
    draw.text((_MARGIN, 96), _fit(subtitle, 19, width), _GREY, _font(19), anchor="lt")
    places = ((0, "sound"), (_SOUND + _GAP, "real"), (_SOUND + _TILE + 2 * _GAP, method))
    for index, clip in enumerate(shown):
        place = index % across
        x, y = _MARGIN + place * (cell + _GUTTER), top + index // across * row
        if index < across:
            for offset, name in places:
                draw.text((x + offset, 152), _fit(name, 15, _TILE), _GREY, _font(15), anchor="ls")
        if place == 0 or shown[index - 1].label != clip.label:
            # One heading over all clips of a class that stand side by side.
            beside = sum(other.label == clip.label for other in shown[index : index + across - place])
            span = beside * (cell + _GUTTER) - _GUTTER
            draw.line((x, y - 10, x + span, y - 10), _FAINT, 1)
            draw.text((x, y + 14), _fit(clip.label, 19, span), _INK, _font(19), anchor="ls")
        made = images.get(clip.clip_id)
        tiles = (spectrogram(clip.audio), _square(clip.image), _square(made) if made else _empty())
        for (offset, _), tile in zip(places, tiles, strict=True):
            sheet.paste(tile, (x + offset, y + 26), _corners(*tile.size))
    return sheet


def comparison_sheet(
    clips: Sequence[Clip],
    rows: Sequence[tuple[str, Mapping[str, Path]]],
    *,
    title: str,
    subtitle: str,
    most: int = 12,
) -> Image.Image:
    """Lay out methods side by side, as the paper's Figure 3: a column per clip, its sound on top, a row per method.

    Parameters
    ----------
    clips
        Of these one per label is shown, the first by id: nothing is picked by hand.
    rows
        The name of each row, with its images by clip id; a clip without one gets an empty tile.
    title, subtitle
        Above the sheet.
    most
        The most columns; further labels are left out.

    Returns
    -------
    RGB, about 2100 pixels wide for twelve columns.

    """
    shown = _chosen(clips, 1)[:most]
    if not shown:
        raise A2IBenchError("There is no clip to show.")
    names, step, top = 230, _TILE + _GAP, 150
    left = _MARGIN + names
    size = (left + len(shown) * step - _GAP + _MARGIN, top + 40 + (1 + len(rows)) * step + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 44), _fit(title, 38, size[0] - 2 * _MARGIN), _INK, _font(38), anchor="lt")
    draw.text((_MARGIN, 96), _fit(subtitle, 19, size[0] - 2 * _MARGIN), _GREY, _font(19), anchor="lt")
    for column, clip in enumerate(shown):
        x = left + column * step
        draw.text((x + _TILE / 2, top + 26), _fit(clip.label, 15, _TILE), _INK, _font(15), anchor="ms")
        sound = spectrogram(clip.audio).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        sheet.paste(sound, (x, top + 40), _corners(_TILE, _TILE))
        for row, (_, images) in enumerate(rows, 1):
            made = images.get(clip.clip_id)
            tile = _square(made) if made else _empty()
            sheet.paste(tile, (x, top + 40 + row * step), _corners(_TILE, _TILE))
    for row, name in enumerate(["sound", *(name for name, _ in rows)]):
        y = top + 40 + row * step + _TILE / 2
        draw.text((_MARGIN, y), _fit(name, 19, names - 12), _INK if row else _GREY, _font(19), anchor="lm")
    return sheet


def _chosen(clips: Sequence[Clip], per_class: int | None) -> list[Clip]:
    ordered = ClipSet(clips, "")
    labels = sorted(set(ordered.labels))
    few = len(labels) <= 16
    count = per_class or (2 if few else 1)
    return [
        clip
        for label in (labels if few else labels[:24])
        for clip in [clip for clip in ordered if clip.label == label][:count]
    ]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fit(text: str, size: int, room: float) -> str:
    """Shorten a text to its room."""
    font = _font(size)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


@cache
def _corners(width: int, height: int) -> Image.Image:
    """A mask with rounded corners, smoothed by drawing it four times as large."""
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), 4 * 7, fill=255)
    return large.reduce(4)


def _square(path: Path) -> Image.Image:
    return ImageOps.fit(read_image(path), (_TILE, _TILE), Image.Resampling.LANCZOS)


def _empty() -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE), _FAINT)
    ImageDraw.Draw(tile).text((_TILE / 2, _TILE / 2), "no image", _GREY, _font(15), anchor="mm")
    return tile


@cache
def _colours() -> NDArray[np.uint8]:
    anchors = np.array(_MAGMA, dtype=np.float64)
    places = np.linspace(0, len(anchors) - 1, 256)
    table = np.stack([np.interp(places, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], axis=1)
    return np.round(table).astype(np.uint8)


@cache
def _mel_bank(bins: int) -> NDArray[np.float32]:
    """Triangular mel filters from 40 Hz to 8 kHz, [bands, bins]."""
    hertz = np.linspace(0, _RATE / 2, bins)
    low, high = (2595 * np.log10(1 + f / 700) for f in (40.0, _RATE / 2))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    # The lowest bands are narrower than a bin: without a least width they would be black lines.
    least = hertz[1]
    rise = (hertz - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], least)[:, None]
    fall = (edges[2:, None] - hertz) / np.maximum(edges[2:] - edges[1:-1], least)[:, None]
    bank: NDArray[np.float32] = np.clip(np.minimum(rise, fall), 0, None).astype(np.float32)
    return bank


def spectrogram(path: Path) -> Image.Image:
    """The log-mel spectrogram of a sound's first ten seconds, low tones below."""
    wave = read_audio(path, _RATE)[: 10 * _RATE]
    size = 1024
    starts = np.linspace(0, len(wave), _SOUND).astype(np.int64)
    padded = np.pad(wave, size // 2)
    padded = np.pad(padded, (0, max(0, size + len(wave) - len(padded))))
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32) ** 2
    decibels = 10 * np.log10(_mel_bank(power.shape[1]) @ power.T + 1e-10)
    # The loudest point is white; 65 dB below is black, but never less than the quietest tenth.
    top = float(decibels.max())
    floor = max(top - 65, float(np.quantile(decibels, 0.1)))
    shade = np.clip((decibels - floor) / max(top - floor, 1e-6), 0, 1)
    pixels = _colours()[np.round(shade[::-1] * 255).astype(np.uint8)]
    return Image.fromarray(pixels).resize((_SOUND, _TILE), Image.Resampling.BICUBIC)
