"""The rating page: one file that holds everything, or the same page for the server, with its parts beside it."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from a2ibench.errors import A2IBenchError
from a2ibench.files import write_text
from a2ibench.rating.orders import mirrored, orders
from a2ibench.rating.shown import BY_SUFFIX
from a2ibench.rating.study import Item, Study, check_rater, order_number

PAGE = Path("page", "index.html")
_PARTS = Path(__file__).with_name("page")


@cache
def part(name: str) -> str:
    """Read a part of the page: index.html, style.css, check.js, media.js, page.js, watch.html, watch.js."""
    return (_PARTS / name).read_text(encoding="utf-8")


def script() -> str:
    """Give the script of the rating page."""
    return "".join(map(part, ("check.js", "media.js", "page.js")))


def media(study: Study) -> list[str]:
    """Name every file of ``media/`` that the study shows or plays."""
    return sorted({name for item in study.items for name in (*item.shown, *([item.given] if item.given else []))})


def write_page(study: Study, folder: Path, rater: str | None = None) -> Path:
    """Write ``page/index.html``: works from disk and needs no network; whoever reads its source learns no method.

    Parameters
    ----------
    study, folder
        The study and its folder.
    rater
        Write ``page/rater-CODE.html`` for this rater alone. It holds no order but this rater's; from all orders
        together one could work out much of which outputs are of one method.

    Raises
    ------
    A2IBenchError
        If that is no rater's name, or a file is missing.

    """
    if rater is not None:
        check_rater(rater)
    addresses = {name: _inside(folder / "media" / name) for name in media(study)}
    all_orders = orders(study)
    numbers = range(len(all_orders)) if rater is None else [order_number(rater) % len(all_orders)]
    chosen, mirrors = [all_orders[number] for number in numbers], [mirrored(study, number) for number in numbers]
    data = page_data(study, study.items, addresses, chosen, mirrors, None) | {"code": rater}
    style, code = part("style.css"), script()
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src {_hash(style)}; script-src {_hash(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    text = _fill(
        "index.html",
        csp=f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        title=html.escape(study.title),
        style=f"<style>{style}</style>",
        data=_data_block(data),
        script=f"<script>{code}</script>",
    )
    path = folder / (PAGE if rater is None else PAGE.with_name(f"rater-{rater}.html"))
    write_text(path, text)
    return path


def served_page(study: Study, folder: Path, all_orders: Sequence[Sequence[int]], rater: str) -> str:
    """Give the page for one rater of the server: one order only, and addresses instead of the media themselves."""
    number = order_number(rater) % len(all_orders)
    items = [study.items[place] for place in all_orders[number]]
    addresses = {name: _text(folder / "media" / name) or f"media/{name}" for name in media(study)}
    data = page_data(study, items, addresses, [list(range(len(items)))], [mirrored(study, number)], rater)
    return _fill(
        "index.html",
        csp="",  # the server sends it as a header
        title=html.escape(study.title),
        style='<link rel="stylesheet" href="style.css">',
        data=_data_block(data),
        script='<script src="page.js"></script>',
    )


def page_data(
    study: Study,
    items: Sequence[Item],
    addresses: Mapping[str, str],
    all_orders: Sequence[Sequence[int]],
    mirrors: Sequence[bool],
    rater: str | None,
) -> dict[str, Any]:
    """Choose what a rater's browser may know: no method, no clip id, no kind of item, no file of a run."""

    def shown(item: Item) -> dict[str, Any]:
        found: dict[str, Any] = {"item": item.item, "shown": [addresses[name] for name in item.shown]}
        # Beside what was given the label would say what is to be heard or seen in it.
        if item.given:
            return found | {"given": addresses[item.given]}
        return found | ({"label": item.label} if "{label}" in study.question else {})

    given = study.given_medium
    return {
        "study": study.digest,
        "design": study.design,
        "question": study.question,
        "instructions": study.instructions,
        "consent": study.consent,
        "scale": study.scale.model_dump(),
        "noun": study.declared.noun,
        "medium": study.medium.name,
        "headphones": study.headphones,
        "given": given and {"noun": study.declared.given, "medium": given.name},
        "rater": rater,
        "orders": all_orders,
        "mirrored": mirrors,
        "items": [shown(item) for item in items],
    }


def watch_page(study: Study) -> str:
    """Give the researcher's page."""
    return _fill("watch.html", title=html.escape(study.title))


def _fill(name: str, **parts: str) -> str:
    # In one pass: what is put in may itself hold an @title@.
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], part(name))


def _data_block(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":  # so that no text can end the block
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="study">{text}</script>'


def _inside(file: Path) -> str:
    """Give what stands for a file in a page that holds everything: a text itself, of others all their bytes."""
    return _text(file) or f"data:{mime(file)};base64,{base64.b64encode(_read(file)).decode()}"


def mime(file: Path) -> str:
    """Tell what a browser is told of a file of ``media/``."""
    return BY_SUFFIX[file.suffix].uniform.mime


def _text(file: Path) -> str | None:
    """Read a text; None for what is none."""
    return _read(file).decode(errors="replace") if BY_SUFFIX[file.suffix].name == "text" else None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise A2IBenchError(f"{file} can't be read: {error.strerror}; make the study again.") from None


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
