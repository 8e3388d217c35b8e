"""The documents: every link leads somewhere, and every command that they name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(<?([^)>#]+)", page.read_text())
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    from typer.main import get_command

    from a2ibench.cli import app

    group = get_command(app)
    for name, sub in re.findall(r"(?:^|`| )a2ibench ([a-z]+)(?: ([a-z]+))?", page.read_text(), re.MULTILINE):
        if name in ("as", "is", "has", "answers", "computed", "reads", "ran", "runs"):
            continue  # prose
        assert name in group.commands, f"{page.name}: a2ibench {name}"
        if name in ("rate", "leaderboard") and sub:
            assert sub in group.commands[name].commands, f"{page.name}: a2ibench {name} {sub}"


def test_pictures_are_used():
    texts = "".join(page.read_text() for page in PAGES)
    unused = [picture.name for picture in (ROOT / "docs").glob("*.png") if picture.name not in texts]
    assert not unused


def test_the_architecture_page_draws_the_tree():
    """A row for each line of the import rule, in its order, and nothing that isn't there."""
    from test_package import LAYERS

    rows = re.findall(r"^\| ((?:`[a-z]+/?` ?)+)\|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    drawn = [tuple(re.findall(r"`([a-z]+)/?`", row)) for row in rows]
    there = [tuple(n for n in names if (ROOT / f"a2ibench/{n}").exists() or (ROOT / f"a2ibench/{n}.py").exists())
             for names in LAYERS]  # fmt: skip
    assert drawn == [names for names in there if names]
