"""Tables that turn into lines where a terminal is too narrow: whatever is cut, a score is not."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_BETWEEN = 3  # characters between two columns, at most


class Fitting:
    """A table where there is room for it, else a paragraph per row: its first cell, then ``name value`` for the others.

    A column that may not wrap needs the width of its widest cell, another one its longest word or its `min_width`.
    An empty first cell stands for the one above it.

    >>> from rich.console import Console
    >>> table = Table("metric", Column("score", no_wrap=True))
    >>> table.add_row("AIS", "84.1")
    >>> Console(width=12).print(Fitting(table))
    AIS
      score 84.1
    """

    def __init__(self, table: Table):
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose between both by the width that there is."""
        if _needed(self.table, console, options) <= options.max_width:
            yield self.table
            return
        if self.table.title:
            yield self.table.title if isinstance(self.table.title, Text) else Text(str(self.table.title))
        heads = [_text(column.header) for column in self.table.columns]
        cells = [[_text(cell) for cell in column.cells] for column in self.table.columns]
        first = Text()
        for row in zip(*cells, strict=True):
            first = _joined(row[0]) if row[0].plain.strip() else first
            yield first
            told = [
                Text.assemble((_joined(head).plain.strip(), "dim"), " ", cell)
                for head, cell in zip(heads[1:], row[1:], strict=True)
                if cell.plain.strip() and cell.plain != "–"
            ]
            yield from _lines(told, options.max_width)


def _needed(table: Table, console: Console, options: ConsoleOptions) -> int:
    wide = options.update(max_width=10_000)

    def width(column: Column) -> int:
        found = [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        widest = max(each.maximum if column.no_wrap else each.minimum for each in found)
        return max(widest, column.min_width or 0)

    return sum(width(column) for column in table.columns) + _BETWEEN * (len(table.columns) - 1)


def _lines(parts: Iterable[Text], width: int) -> Iterable[Text]:
    """Put parts side by side, two blanks between them, as many as fit; none is broken that fits alone."""
    line = Text()
    for part in parts:
        if line and len(line) + len(part) + 4 > width:
            yield Text.assemble("  ", line)
            line = Text()
        line = Text.assemble(line, "  ", part) if line else part
    if line:
        yield Text.assemble("  ", line)


def _joined(cell: Text) -> Text:
    """Undo the breaks that a name has in a narrow column."""
    return Text("").join(cell.split("\n"))


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))
