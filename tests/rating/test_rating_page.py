"""The rating page in a real browser: by keyboard, closed in the middle, gone on with, and finished."""

import csv
import json
import re
import shutil
import signal
from itertools import cycle
from pathlib import Path

import pytest
from browsing import CHROMIUM, LISTENED, READY, begin, place, rate, watch

from a2ibench.rating.orders import orders
from a2ibench.rating.render import write_page
from a2ibench.rating.study import ANSWER_COLUMNS, RATER, Study, order_number

# ------------------------------------------------------------------------------------------------- served


@pytest.mark.slow
def test_an_invited_rater_rates_by_keyboard_leaves_comes_back_and_finishes(
    tiny_study, start_server, invite, kept, opened
):
    folder = tiny_study()
    study = Study.load(folder)
    total = len(study.items)
    secrets = invite(folder, 2)
    server = start_server(folder)
    link = f"{server.address}/r/{secrets['R01']}/"

    page = opened(link)
    assert page.get_by_label("Your name").is_hidden()
    page.get_by_role("button", name="Begin").click()
    assert page.locator("#rating").is_hidden(), "one begins only after agreeing"
    begin(page)
    typed = rate(page, 5, cycle("41523"))
    page.get_by_text("Saved.").wait_for()
    page.context.close()

    page = opened(link)  # another browser, which knows nothing of the first
    page.get_by_text(f"Welcome back: 5 of {total} are done.").wait_for()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(READY)
    assert place(page) == 6
    page.keyboard.press("Backspace")
    page.locator("#place", has_text="5 of").wait_for()
    page.wait_for_selector(READY)
    assert page.get_by_role("button", pressed=True).inner_text() == typed[5]
    typed |= rate(page, 1, ["1"])  # another answer to the fifth
    typed |= rate(page, total, cycle("25314"))
    page.get_by_text("All your answers are saved").wait_for()

    order = orders(study)[order_number("R01")]
    expected = {("R01", study.items[order[number - 1]].item): int(key) for number, key in typed.items()}
    assert len(expected) == total
    assert kept(folder) == expected

    page = opened(f"{server.address}{server.watch}")
    page.get_by_text("1 of 2 raters are done").wait_for()
    page.get_by_role("row", name=re.compile(f"R01.*{total} of {total}")).wait_for()


@pytest.mark.parametrize("rater", ["R01", "R02"])
def test_in_pairs_the_side_that_is_chosen_is_the_image_that_was_there(
    rater, tiny_study, start_server, invite, kept, opened
):
    folder = tiny_study(design="pairwise", methods=("alphadraw", "betapaint"), clips=2, repeats=1, controls=1)
    study = Study.load(folder)
    secrets = invite(folder, 2)
    server = start_server(folder)
    page = opened(f"{server.address}/r/{secrets[rater]}/")
    begin(page)
    expected = {}
    for key in ("ArrowLeft", "ArrowRight", "ArrowLeft"):
        page.wait_for_selector(LISTENED)
        images = page.locator("#outputs img")
        chosen = images.nth(0 if key == "ArrowLeft" else 1).get_attribute("src").removeprefix("media/")
        (item,) = [item for item in study.items if chosen in item.shown]
        expected[rater, item.item] = ("first", "second")[item.shown.index(chosen)]
        assert study.by_id[item.item].label not in page.locator("body").inner_text()
        rate(page, 1, [key], LISTENED)
    # The last one by a click on the image itself.
    page.wait_for_selector(LISTENED)
    chosen = page.locator("#outputs img").nth(1)
    name = chosen.get_attribute("src").removeprefix("media/")
    (item,) = [item for item in study.items if name in item.shown]
    expected[rater, item.item] = ("first", "second")[item.shown.index(name)]
    chosen.click()
    page.get_by_text("All your answers are saved").wait_for()
    assert kept(folder) == expected


@pytest.mark.slow
def test_an_answer_waits_for_a_server_that_is_away(tiny_study, start_server, invite, kept, opened):
    folder = tiny_study()
    secrets = invite(folder, 1)
    server = start_server(folder)
    page = opened(f"{server.address}/r/{secrets['R01']}/")
    begin(page)
    rate(page, 1, "3")
    page.get_by_text("Saved.").wait_for()
    page.wait_for_selector(READY)
    server.end(signal.SIGKILL)
    page.keyboard.press("4")
    page.get_by_text("Not saved yet").wait_for()
    assert list(kept(folder).values()) == [3]
    start_server(folder, server.port)
    page.get_by_text("Saved.", exact=True).wait_for()
    assert sorted(kept(folder).values()) == [3, 4]


def test_a_link_that_has_ended_is_said_so(tiny_study, start_server, invite, run_cli, opened):
    folder = tiny_study()
    secrets = invite(folder, 1)
    server = start_server(folder)
    page = opened(f"{server.address}/r/{secrets['R01']}/")
    begin(page)
    page.wait_for_selector(READY)
    assert run_cli("rate", "invite", folder, "--rater", "R01").code == 0
    page.keyboard.press("4")
    page.get_by_text("this link is not valid any more").wait_for()


# --------------------------------------------------------------------------------------------------- static


@pytest.mark.slow
@pytest.mark.parametrize("design", ["likert", "pairwise"])
def test_the_page_from_disk_keeps_answers_and_gives_them_as_files(tiny_study, chromium, tmp_path, design):
    folder = tiny_study(design=design, methods=("alphadraw", "betapaint"), clips=3, repeats=1, controls=1)
    study = Study.load(folder)
    total = len(study.items)
    keys, ready = (cycle("52413"), READY) if design == "likert" else (cycle(["ArrowLeft", "ArrowRight"]), LISTENED)
    alone = shutil.copy(folder / "page" / "index.html", tmp_path / "sent.html")  # as a rater gets it
    problems, asked, typed = [], [], {}

    def launch():
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"], "offline": True}
        context = chromium.launch_persistent_context(tmp_path / "profile", **options)
        page = context.new_page()
        watch(page, problems)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(Path(alone).as_uri())
        return context, page

    context, page = launch()
    begin(page, "=cmd")
    page.get_by_text("Use letters, digits").wait_for()
    begin(page, "Zoë 3")
    typed |= rate(page, 3, keys, ready)
    page.wait_for_selector(ready)
    context.close()

    context, page = launch()
    assert page.get_by_label("Your name").input_value() == "Zoë 3"
    page.get_by_text(f"Welcome back: 3 of {total} are done.").wait_for()
    begin(page)
    typed |= rate(page, total, keys, ready)
    with page.expect_download() as csv_file:
        page.get_by_role("button", name="Download CSV").click()
    with page.expect_download() as json_file:
        page.get_by_role("button", name="Download JSON").click()
    assert csv_file.value.suggested_filename == f"ratings-{study.digest}-Zoë_3.csv"
    rows = list(csv.DictReader(Path(csv_file.value.path()).read_text("utf-8").splitlines()))
    found = json.loads(Path(json_file.value.path()).read_bytes())
    context.close()

    assert not problems
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}, "the page asks the network"
    assert sorted(typed) == list(range(1, total + 1))
    order = orders(study)[order_number("Zoë 3")]
    values = {"ArrowLeft": "second", "ArrowRight": "first"}  # an odd number: the sides are exchanged
    expected = {study.items[order[n - 1]].item: values.get(key, key) for n, key in typed.items()}
    assert (found["study"], found["rater"]) == (study.digest, "Zoë 3")
    assert {row["item"]: str(row["value"]) for row in found["answers"]} == expected
    assert tuple(rows[0]) == ANSWER_COLUMNS
    assert rows == [{column: str(row[column]) for column in ANSWER_COLUMNS} for row in found["answers"]]
    assert {type(row["value"]) for row in found["answers"]} == {int if design == "likert" else str}
    for row in found["answers"]:
        assert 0 < row["seconds"] < 60
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["at"])


def test_keys_that_are_no_answer_change_nothing(tiny_study, opened):
    page = opened((tiny_study() / "page" / "index.html").as_uri())
    begin(page, "R05")
    page.wait_for_selector(READY)
    for key in ("0", "6", "a", "Control+1", "Alt+2", "Enter", "ArrowLeft", "Backspace", "Shift+Tab"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert place(page) == 1
    page.keyboard.down("2")
    for _ in range(5):
        page.keyboard.down("2")  # a key that is held repeats
    page.locator("#place", has_text="2 of").wait_for()
    page.wait_for_selector(READY)
    page.keyboard.down("2")
    page.wait_for_timeout(300)
    assert place(page) == 2


def test_names_have_the_same_order_in_the_page_and_here(tiny_study, opened):
    page = opened((tiny_study() / "page" / "index.html").as_uri(), bypass_csp=True)
    names = [
        "R01",
        "7",
        "anna",
        "Zoë",
        "李",
        "a b.c@d-e_f",
        "R1234567890",
        "x9y",
        "=x",
        "_a",
        "",
        "a,b",
        "é" * 64,
        "🙂",
    ]
    found = page.evaluate("names => names.map(name => [orderNumber(name), RATER.test(name)])", names)
    assert found == [[order_number(name), bool(RATER.fullmatch(name))] for name in names]


def test_a_broken_memory_does_no_harm(tiny_study, opened):
    folder = tiny_study()
    study = Study.load(folder)
    page = opened((folder / "page" / "index.html").as_uri(), bypass_csp=True)
    good = {"item": study.items[0].item, "value": 3, "seconds": 1, "at": "2026-01-01T00:00:00.000Z"}
    for kept, count in (("{", 0), ("null", 0), ('{"a": 1}', 0), (json.dumps([None, {**good, "value": 9}, good]), 1)):
        page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [f"a2ibench/{study.digest}/R05", kept])
        page.reload()
        page.get_by_label("Your name").fill("R05")
        expected = f"Welcome back: {count} of" if count else f"{len(study.items)} images"
        page.locator("#amount", has_text=expected).wait_for()


def test_a_page_for_one_rater_proposes_the_code_and_has_that_order(tiny_study, opened):
    folder = tiny_study()
    study = Study.load(folder)
    page = opened(write_page(study, folder, "R07").as_uri())
    assert page.get_by_label("Your name").input_value() == "R07"
    begin(page)
    page.wait_for_selector(READY)
    rate(page, 2, "45")
    kept = json.loads(page.evaluate("localStorage.getItem(Object.keys(localStorage).find((k) => k.endsWith('R07')))"))
    assert {row["item"] for row in kept} == {study.items[place].item for place in orders(study)[7][:2]}


def test_texts_of_the_study_are_shown_as_text(tiny_study, opened):
    folder = tiny_study()
    evil = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    text = (folder / "study.toml").read_text()
    for old in (
        "How relevant are these images?",
        "You will see",
        "I take part",
        "not at all relevant",
        "How relevant is",
    ):
        text = text.replace(old, f"{evil} {old}")
    (folder / "study.toml").write_text(text)
    write_page(Study.load(folder), folder)
    page = opened((folder / "page" / "index.html").as_uri())
    assert page.locator("#welcome").get_by_text(evil).count() == 3
    begin(page, "R01")
    page.wait_for_selector(READY)
    assert evil in page.locator("#question").inner_text()
    assert page.locator("main img").count() == 1


# --------------------------------------------------------------------------------------------- for everybody


@pytest.mark.parametrize("design", ["likert", "pairwise"])
@pytest.mark.parametrize("width", [320, 1280])
def test_all_fits_and_has_a_name(tiny_study, opened, design, width):
    page = opened(
        (tiny_study(design=design) / "page" / "index.html").as_uri(),
        bypass_csp=True,
        viewport={"width": width, "height": 640},
    )
    for screen in ("welcome", "rating"):
        if screen == "rating":
            begin(page, "R01")
            page.wait_for_selector(LISTENED)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{screen} scrolls sideways"
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 40, "too small for a thumb"
        tree = page.locator("body").aria_snapshot()
        assert not re.search(r"(button|textbox|checkbox|img)( \[.*)?$", tree, re.MULTILINE), f"without a name: {tree}"
        assert page.evaluate("document.activeElement.tagName") == "H1" or screen == "welcome"
    names = [button.get_attribute("aria-label") for button in page.locator("#choices button").all()]
    wanted = ["The left image", "The right image"]
    if design == "likert":
        wanted = ["1, not at all relevant", "2", "3", "4", "5, very relevant"]
    assert names == wanted


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_colours_have_contrast(theme):
    from a2ibench.rating.render import part

    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part("style.css").split(":root {")[theme + 1]))
    pairs = [(ink, on) for ink in ("ink", "quiet", "problem", "accent") for on in ("ground", "card")]
    for ink, on in [*pairs, ("on-accent", "accent")]:
        bright, dark = sorted((luminance(colours[ink]), luminance(colours[on])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {on} (WCAG AA)"
