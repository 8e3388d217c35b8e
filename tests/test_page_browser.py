"""The pages in a real browser, without a window; skipped where there is no Chromium or no playwright."""

import re
import shutil

import numpy as np
import pytest
from boards import page_of, result_of, write_entry, write_images, write_sanity
from made import renamed

from a2ibench.clips import ClipSet, load_clips
from a2ibench.pictures.gallery import write_clips
from a2ibench.show.pages.run import run_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt install chromium")

NAMES = {"loud": "Loud <i>method</i>", "quiet": "Quiet", "wild": "Wild"}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory, clip_folder):
    """A board's page, the same with its media linked, and a run's page."""
    clips, home = load_clips(clip_folder), tmp_path_factory.mktemp("pages")
    board = home / "board"
    values = {
        "loud": [90, 80, 70, 60, 90, 80, 70, 60],
        "quiet": [50, 40, 30, 20] * 2,
        "wild": [1, 99, 20, 20, 5, 90, 30, 30],
    }
    write_sanity(board, [result_of(clips, [99] * 8, method="real images")])
    for shade, (slug, each) in enumerate(values.items()):
        pictures = write_images(home / slug, clips, 90 * shade)
        write_entry(board, clips, slug, result_of(clips, each), f'name = "{NAMES[slug]}"', pictures)
    (board / "index.html").write_text(page_of(board, clips))
    few = list(clips)
    many = ClipSet(
        [renamed(few[n % 8], f"c{n:03}", f"label {n % 5}") for n in range(250)],
        "many",
    )
    large = home / "large"
    write_entry(
        large, many, "one", result_of(many, np.linspace(20, 80, 250)), "", {c.clip_id: [c.file("image")] for c in many}
    )
    write_clips(large, many)
    (large / "index.html").write_text(page_of(large, many))
    result = result_of(clips, values["wild"], method="wild", details={"category": {c.clip_id: ["dog"] for c in clips}})
    (home / "report.html").write_text(run_page(result, clips, pictures, folder=home))
    odd, names = home / "odd", ("AIS", "constructor", "__proto__")
    strange = ClipSet([renamed(c, c.clip_id, names[n % 3]) for n, c in enumerate(few)], "strange")
    write_sanity(odd, [result_of(strange, [99] * 8, metrics=names)])
    for slug, metrics in {"all": names, "some": names[:1]}.items():
        pictures = write_images(home / slug, strange, 90)
        write_entry(odd, strange, slug, result_of(strange, [50] * 8, metrics=metrics), "", pictures)
    (odd / "index.html").write_text(page_of(odd, strange))
    return {
        "odd": odd / "index.html",
        "board": board / "index.html",
        "large": large / "index.html",
        "run": home / "report.html",
    }


@pytest.fixture
def visit(browser, files):
    """Open a page; at the end of the test nothing may have been complained about, or asked for elsewhere."""
    opened = []

    def go(name="board", *, wide=1280, **options):
        context = browser.new_context(viewport={"width": wide, "height": 900}, **options)
        tab, problems = context.new_page(), []
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        # Only the board of linked media may read files beside itself.
        own = ("data:", "file:") if name == "large" else ("data:", files[name].as_uri())
        tab.on("request", lambda request: request.url.startswith(own) or problems.append(request.url))
        tab.set_default_timeout(20_000)
        tab.goto(files[name].as_uri())
        opened.append((context, problems))
        return tab

    yield go
    for context, problems in opened:
        context.close()
        assert problems == []


def _rows(tab):
    return tab.eval_on_selector_all("tr[data-method]", "rows => rows.map(row => row.dataset.method)")


def _cards(tab):
    return tab.eval_on_selector_all("#cards .card", "cards => cards.map(card => card.dataset.clip)")


def test_columns_sort(visit):
    tab = visit()
    assert _rows(tab) == ["loud", "wild", "quiet"]
    head = tab.locator("th[data-name='IIS.same-class']")
    head.locator("button").click()
    assert _rows(tab) == ["quiet", "wild", "loud"]
    assert head.get_attribute("aria-sort") == "descending"
    assert tab.locator("th[aria-sort]").count() == 1
    assert tab.locator("[data-rank-of]").inner_text() == "IIS.same-class"
    assert tab.locator("tr[data-method=quiet] td.rank").inner_text() in ("1", "1–2")
    head.locator("button").press("Enter")
    assert _rows(tab) == ["loud", "wild", "quiet"]
    assert head.get_attribute("aria-sort") == "ascending"
    tab.locator("th[data-name=name] button").click()
    assert _rows(tab) == ["loud", "quiet", "wild"]
    tab.locator("th[data-name=FID] button").click()  # less is better: the best first all the same
    assert _rows(tab) == ["loud", "wild", "quiet"]


def test_a_row_opens_into_its_classes(visit):
    tab = visit()
    button = tab.locator("tr[data-method=wild] .opener")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    tab.keyboard.press("Space")
    assert button.get_attribute("aria-expanded") == "true"
    detail = tab.locator("#classes-wild")
    assert detail.is_visible()
    bars = detail.locator(".bars li")
    assert bars.count() == 3
    means = [float(text) for text in detail.locator(".mean").all_inner_texts()]
    assert means == sorted(means, reverse=True)
    assert detail.locator("li").first.locator("line").count() == 2  # the other two methods
    first = detail.inner_text()
    detail.locator("select").select_option(label="IIS.same-class")
    assert detail.inner_text() != first
    tab.locator("th[data-name=name] button").click()  # what is open moves with its row
    assert tab.eval_on_selector("tr[data-method=wild]", "row => row.nextElementSibling.id") == "classes-wild"
    button.click()
    assert not detail.is_visible()


def test_the_gallery_in_every_order(visit, clip_folder):
    tab, ids = visit(), load_clips(clip_folder).ids
    assert len(_cards(tab)) == 8
    # AIS of loud, quiet and wild; the first clip has 90, 50, 1: the widest spread.
    table = np.array([[90, 80, 70, 60] * 2, [50, 40, 30, 20] * 2, [1, 99, 20, 20, 5, 90, 30, 30]])
    assert _cards(tab)[:2] == [ids[n] for n in np.argsort(-table.std(axis=0))[:2]]
    tab.select_option("#order", "worst")
    assert _cards(tab)[0] == ids[int(table.mean(axis=0).argmin())]
    tab.select_option("#order", "best")
    assert _cards(tab)[0] == ids[int(table.mean(axis=0).argmax())]
    tab.select_option("#order", "class")
    labels = tab.locator("#cards h3").all_inner_texts()
    assert labels == sorted(labels)
    tab.select_option("#class", "dog barking")
    assert set(tab.locator("#cards h3").all_inner_texts()) == {"dog barking"}
    tab.select_option("#class", "")
    tab.locator("summary", has_text="Methods shown").click()
    tab.locator("input[value=wild]").uncheck()
    assert "Wild" not in tab.locator("#cards").inner_text()
    tab.select_option("#order", "worst")
    tab.select_option("#metric", label="IIS.same-class")
    assert _cards(tab)[0] == ids[int(table[:2].mean(axis=0).argmax())]


def test_a_clip_is_heard_and_seen(visit):
    tab = visit()
    card = tab.locator(".card").first
    card.locator("canvas").nth(4).wait_for()
    names = card.locator("canvas").evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
    assert sorted(name.split(" on ")[0].split(" of ")[0] for name in names) == [
        "Loud <i>method</i>", "Quiet", "Real image", "Spectrogram", "Wild",
    ]  # fmt: skip
    audio = card.locator("audio")
    assert audio.get_attribute("preload") == "none"
    assert audio.get_attribute("controls") is not None
    heard = audio.evaluate("async audio => { audio.muted = true; await audio.play(); return audio.duration; }")
    assert heard == pytest.approx(1.0, abs=0.05)
    # Every picture shows its own tile: the methods' are of one colour each.
    canvas = card.get_by_label("Quiet on").first
    pixel = canvas.evaluate("c => [...c.getContext('2d').getImageData(20, 20, 1, 1).data]")
    assert np.abs(np.array(pixel[:3]) - (90, 165, 120)).max() < 12


def test_a_large_board_shows_linked_media(visit):
    tab = visit("large")
    assert len(_cards(tab)) == 12
    tab.locator(".card canvas").nth(2).wait_for()
    tab.locator("#more").click()
    assert len(_cards(tab)) == 36
    assert tab.locator("#told").inner_text() == "36 of 240 clips shown."
    audio = tab.locator("audio").first
    assert not audio.get_attribute("src").startswith("data:")
    assert audio.evaluate("async audio => { audio.muted = true; await audio.play(); return audio.duration; }") > 0.9


def test_where_linked_media_are_absent_a_placeholder_stands(browser, files, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(files["large"].read_text())
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.locator(".picture .none").nth(2).wait_for()
    assert tab.locator(".card").first.locator(".none").all_inner_texts() == ["not here"] * 3
    tab.locator("audio").first.evaluate("audio => audio.play().catch(() => 0)")
    tab.locator("p.none").first.wait_for()
    assert tab.locator("p.none").first.inner_text() == "The sound is not here."
    context.close()


def test_the_board_is_whole_without_javascript(visit):
    tab = visit(java_script_enabled=False)
    text = tab.locator("body").inner_text()
    for said in ("Loud <i>method</i>", "real images", "AIS|v:1|", "needs JavaScript", "How to read it"):
        assert said in text
    assert not tab.locator("#cards").is_visible()
    assert tab.locator("tr[data-method]").count() == 3
    assert tab.locator("tr[data-method]").first.is_visible()


@pytest.mark.parametrize("name", ["board", "run"])
@pytest.mark.parametrize("wide", [390, 320])
def test_no_page_is_wider_than_a_phone(visit, name, wide):
    tab = visit(name, wide=wide)
    for button in tab.locator(".opener").all():
        button.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= wide
    if name == "board":
        box = tab.locator(".scroll").first
        box.evaluate("box => { box.scrollLeft = 200; }")
        assert box.evaluate("box => box.scrollLeft") > 0
        first = tab.locator("tr[data-method] th.first").first.bounding_box()
        assert first["x"] >= 0  # the names stay in sight


CONTRAST = """
(selector) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(each).backgroundColor);
      layers.push([r, g, b, a]);
      if (a === 1) break;
    }
    const over = (under, [r, g, b, a]) => [r, g, b].map((x, i) => a * x + (1 - a) * under[i]);
    return layers.reverse().reduce(over, [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll(selector)) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    if (!element.checkVisibility()) continue;
    const [one, other] = [parse(getComputedStyle(element).color).slice(0, 3), behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, element.tagName + "." + element.className]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["board", "run"])
def test_all_text_stands_out(visit, name, scheme):
    tab = visit(name, color_scheme=scheme)
    for button in tab.locator(".opener").all():
        button.click()
    tab.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = tab.evaluate(CONTRAST, "body *:not(script)")
    assert len(found) > 60
    assert [each for each in found if each[0] < 4.5] == []
    paper = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 200) == (scheme == "dark")


def test_everything_has_a_name(visit):
    tab = visit()
    tab.locator(".card canvas").nth(4).wait_for()
    named = tab.locator("body").aria_snapshot()
    # In a snapshot a name follows its role in quotes; a control or picture without one stands alone.
    assert re.findall(r"^ *- (?:button|combobox|checkbox|img|link|table|region)(?::|$)", named, re.M) == []
    assert 'img "Quiet on dog barking"' in named
    assert tab.locator("th:not([scope])").count() == 0
    assert tab.locator("h1").count() == 1


def test_the_keyboard_shows_where_it_is(visit):
    tab = visit()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_run_shows_its_worst_clips_first(visit, clip_folder):
    tab, ids = visit("run"), load_clips(clip_folder).ids
    assert _cards(tab)[0] == ids[0]
    assert tab.locator("#ends audio").count() == 8
    assert tab.locator("#ends img").first.evaluate("image => image.naturalWidth") > 0
    head = tab.locator("#classes th[data-name='IIS.same-class']")
    head.locator("button").click()
    values = tab.eval_on_selector_all(
        "#classes tbody tr", "rows => rows.map(row => Number(row.cells[3].dataset.value))"
    )
    assert values == sorted(values)


def test_metrics_and_classes_called_like_parts_of_the_language(visit):
    tab = visit("odd")
    assert len(_cards(tab)) == 8
    for slug, metrics in (("all", ["AIS", "__proto__", "constructor"]), ("some", ["AIS"])):
        tab.locator(f"tr[data-method={slug}] .opener").click()
        detail = tab.locator(f"#classes-{slug}")
        assert sorted(detail.locator("option").all_inner_texts()) == metrics
        for metric in metrics:
            detail.locator("select").select_option(label=metric)
            assert sorted(detail.locator(".bars .label").all_inner_texts()) == ["AIS", "__proto__", "constructor"]
            others = 1 if metric == "AIS" else 0 if slug == "all" else 1
            assert detail.locator(".bars line").count() == 3 * others
    tab.select_option("#metric", label="constructor")
    tab.select_option("#class", "__proto__")
    captions = tab.locator("#cards .card").first.locator("figcaption").all_inner_texts()
    assert [caption.split("\n")[-1] for caption in captions][2:] == ["50.0", "–"]
