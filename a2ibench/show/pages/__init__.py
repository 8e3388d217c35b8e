"""Pages: one file each, with its style and script inside, that loads nothing and trusts no text put into it."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from a2ibench import __version__

_FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["link"] = safe_link
    environment.filters["bars"] = _breakable
    return environment


def render(template: str, island: Any, **context: Any) -> str:
    """Render a template of this folder with its style, its script and its data.

    Parameters
    ----------
    template
        The template's name, as ``board.html``.
    island
        What the script reads: anything that JSON can hold.
    context
        What the template reads. All texts are escaped.

    """
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    # From disk, 'self' is nothing that every browser agrees on; a page from the web can't load files anyway.
    policy = (
        "default-src 'none'; img-src data: 'self' file:; media-src data: 'self' file:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    page = (
        _environment()
        .get_template(template)
        .render(
            **context,
            version=__version__,
            policy=policy,
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            island=json_island(island),
        )
    )
    # JSON may hold half a surrogate pair, which no file can.
    return page.encode("utf-8", "replace").decode()


def _breakable(signature: str) -> Markup:
    """Let a line break after the bars of a signature: half a hash can't be searched for."""
    return Markup("|<wbr>").join(signature.split("|"))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def json_island(value: Any) -> Markup:
    """Write JSON for a script element: nothing in it can end that element or begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":  # U+2028 and all else beyond ASCII is escaped already
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  escaped above


def safe_link(text: str) -> str | None:
    """Give the address if it is one of the web, else None: a card is a stranger's, and so is its link."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.hostname else None


def data_uri(kind: str, content: bytes) -> str:
    """Put a file into an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
