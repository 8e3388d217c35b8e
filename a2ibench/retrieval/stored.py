"""What was found for clips, in a table: a line per clip and place, best first, with scores to the last bit."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_text
from a2ibench.retrieval.index import Index
from a2ibench.retrieval.search import Found

COLUMNS = ("clip_id", "rank", "item_id", "score")
_MOST_BYTES = 2**31


def write_found(file: Path, index: Index, clips: Sequence[Clip], found: Sequence[Found]) -> None:
    """Write what was found for each clip."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip, hits in zip(clips, found, strict=True):
        for rank, (row, score) in enumerate(zip(hits.rows, hits.scores, strict=True), 1):
            writer.writerow([clip.clip_id, rank, index.items[row].item_id, repr(float(score))])
    write_text(file, table.getvalue())


def read_found(file: Path) -> dict[str, list[tuple[str, float]]]:
    """Read the items that were found for each clip, the best first, with their scores.

    Raises
    ------
    A2IBenchError
        If there is no such file, or a line is not right.

    """
    try:
        text = read_limited(file, _MOST_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {file}: `a2ibench index --captions DIR` writes it.") from None
    found: dict[str, list[tuple[str, float]]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if number == 1:
            continue
        try:
            clip_id, rank, item_id, score = row
            hits = found.setdefault(clip_id, [])
            hits.append((item_id, float(score)))
            whole = int(rank) == len(hits)
        except ValueError:
            whole = False
        if not whole:
            raise A2IBenchError(
                f"{file}, line {number}: not clip, rank, item and score in their order; write it again."
            )
    return found
