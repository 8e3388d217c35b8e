import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from boards import page_of, result_of, write_entry, write_images, write_sanity
from made import clip_of, renamed

from a2ibench.clips import ClipSet, load_clips
from a2ibench.pictures.gallery import write_clips
from a2ibench.show.pages import json_island, safe_link
from a2ibench.show.pages.media import Media
from a2ibench.show.pages.run import Matches, run_page

ALLOWED = frozenset(
    """html head meta link title style body a header div b nav h1 h2 h3 h4 p main section table caption span thead tbody
    tr th td small sup svg path circle ol ul li code wbr details summary dl dt dd label select option input button
    footer script article audio figure figcaption img""".split()  # noqa: SIM905  a list of them would be a page long
)


class Page(HTMLParser):
    """What a browser would make of a page, as far as it could do harm."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.inside, self.scripts, self.style = [], [], None, [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside == "style":
            self.style += data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))

    @property
    def island(self):
        return json.loads(self.scripts[0])

    def values(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def harmless(text):
    """Parse a page after checking that nothing in it came alive and nothing is loaded from elsewhere."""
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")], (
            tag,
            attributes,
        )
        for name in ("href", "src", "action", "formaction", "poster", "data", "srcset", "xlink:href"):
            address = attributes.get(name)
            if address is not None and address != "data:,":
                web = re.match(r"https?://", address) and tag == "a" and attributes.get("rel") == "noopener noreferrer"
                inside = re.match(r"data:(image/webp|audio/[a-z]+);base64,", address)
                assert address.startswith("#") or web or inside or not re.match(r"[a-z]*:|//", address), (tag, address)
    assert len(page.scripts) == 2
    assert not re.search(r"@import|url\(", page.style)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    return page


HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(1)">'"><!--&amp;{{ 7*7 }}"""
LONE = "\ud800"


@pytest.fixture(scope="module")
def clips(clip_folder):
    return load_clips(clip_folder)


@pytest.fixture(scope="module")
def board(tmp_path_factory, clips):
    """Three methods, the sanity rows, one outdated row and one that can't be read."""
    folder = tmp_path_factory.mktemp("boards") / "tiny"
    pictures = tmp_path_factory.mktemp("pictures")
    values = {
        "good": [90, 95, 85, 99, 91, 88, 97, 93],
        "middle": [60, 50, 70, 55, 65, 52, 61, 58],
        "poor": [10, 5, 15] * 2 + [12, 8],
    }
    write_sanity(
        folder, [result_of(clips, [99] * 8, method="real images"), result_of(clips, [50] * 8, method="shuffled images")]
    )
    cards = {
        "good": 'name = "Good one"\npaper = "https://example.org/paper"\nnotes = "Two\\nlines"',
        "middle": "text_labels = true",
        "poor": "test_clips = true",
    }
    for shade, (slug, each) in enumerate(values.items()):
        changes = {"licences": ["good-net: not for commercial use."]} if slug == "good" else {}
        result = result_of(clips, each, method=slug, **changes)
        write_entry(folder, clips, slug, result, cards[slug], write_images(pictures / slug, clips, 80 * shade))
    write_entry(folder, clips, "old", result_of(clips, values["poor"], method="of old", suite="tiny@0"))
    (folder / "broken").mkdir()
    (folder / "broken" / "result.json").write_text("{")
    return folder


# ---------------------------------------------------------------------------------------------------- the board


def test_the_board_reads_without_a_script(board, clips):
    page = harmless(page_of(board, clips))
    for said in ("Good one", "92.2", "[0.0, 100.0]", "± 1.00 (se)", "real images", "shuffled images", "self-reported"):
        assert said in page.text, said
    assert "good-net: not for commercial use." in page.text
    assert "Trained on test clips" in page.text
    assert "reads the labels" in page.text
    assert "AIS|v:1|n:8|suite:tiny@1" in page.text.replace(" ", "")
    assert "AIS|v:1|n:8|suite:tiny@0" in page.text.replace(" ", "")  # set apart, with its own signature
    assert "of old" in page.text
    assert "broken" in page.text
    assert "is not JSON" in page.text
    assert "Two\nlines" in "".join(page.texts)


def test_rows_are_sorted_by_the_metric_that_is_asked_for(board, clips):
    def order(**options):
        page = Page(page_of(board, **options))
        return [
            attributes["data-method"] for tag, attributes in page.tags if tag == "tr" and "data-method" in attributes
        ]

    assert order() == ["good", "middle", "poor"]
    assert order(metric="IIS.same-class") == ["poor", "middle", "good"]
    assert order(metric="FID") == ["good", "middle", "poor"]


def test_ranks_letters_and_bold_are_those_of_the_standings(board):
    page = Page(page_of(board))
    cells = [attributes for tag, attributes in page.tags if tag == "td" and "data-value" in attributes]
    assert [cell["data-rank"] for cell in cells[:2]] == ["1", "3"]
    assert "best" in cells[0]["class"]
    assert not any("best" in cell["class"] for cell in cells[1:4:2])
    tables = [attributes for tag, attributes in page.tags if tag == "th" and attributes.get("aria-sort")]
    assert [(each["data-name"], each["aria-sort"]) for each in tables] == [("AIS", "descending")]


def test_the_policy_lets_nothing_in(board, clips):
    text = page_of(board, clips)
    page = Page(text)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind, held in (("script-src", page.scripts[1]), ("style-src", page.style)):
        digest = base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()
        assert parts[kind] == f"'sha256-{digest}'"
    # The policy stands before all that it has to hold for.
    assert text.index("Content-Security-Policy") < min(text.index("<style"), text.index("<link"), text.index("<script"))


def test_the_scripts_data(board, clips):
    island = Page(page_of(board, clips)).island
    assert [method["slug"] for method in island["methods"]] == ["good", "middle", "poor"]
    ids = [clip["id"] for clip in island["clips"]]
    assert ids == list(clips.ids)
    assert island["methods"][0]["values"]["AIS"] == [90, 95, 85, 99, 91, 88, 97, 93]
    labels = np.array(clips.labels)
    for index, each in enumerate(island["classes"]):
        expected = np.array(island["methods"][0]["values"]["AIS"])[labels == each["label"]].mean()
        assert each["n"] == (labels == each["label"]).sum()
        assert island["methods"][0]["classes"]["AIS"][index] == pytest.approx(expected, rel=1e-4)
    assert [metric["key"] for metric in island["metrics"]] == ["AIS", "IIS.same-class"]
    assert all(clip["audio"].startswith("data:audio/wav;base64,") for clip in island["clips"])
    sound = base64.b64decode(island["clips"][0]["audio"].split(",")[1])
    assert sound == clips[0].file("audio").read_bytes()
    assert {name for name, sheet in island["sheets"].items() if sheet["src"].startswith("data:")} == {
        "reference",
        "condition",
    }


def test_without_clips_the_gallery_shows_what_the_entries_hold(board):
    island = harmless(page_of(board)).island
    assert len(island["clips"]) == 8
    assert island["sheets"] == {"reference": None, "condition": None}
    assert all(method["sheet"]["src"].startswith("data:image/webp") for method in island["methods"])
    assert not any(clip["audio"] for clip in island["clips"])


def test_equal_boards_make_equal_pages(board, clips):
    assert page_of(board, clips) == page_of(board, clips)


def test_an_empty_board(tmp_path):
    page = harmless(page_of(tmp_path))
    assert "no entry yet" in page.text
    assert page.island["clips"] == []


def test_published_numbers_have_no_clips(tmp_path, clips):
    result = result_of(clips, [40] * 8, method="paper")
    bare = result.model_copy(update={"items": {}, "labels": {}})
    write_entry(tmp_path, clips, "paper", bare)
    page = harmless(page_of(tmp_path))
    assert "paper" in page.text
    assert page.island["metrics"] == []


def test_texts_from_strangers_stay_texts(tmp_path, clips):
    strange = ClipSet([renamed(c, c.clip_id, f"{HOSTILE}{c.label}") for c in clips], HOSTILE)
    result = result_of(strange, [40 + n for n in range(8)], method=HOSTILE)
    fields = ("a2ibench", "python", "platform", "git_commit", "device")
    told = {
        "options": {HOSTILE: HOSTILE}, "weights": {HOSTILE: HOSTILE}, "notes": [HOSTILE], "licences": [HOSTILE],
        "details": {"category": {clips.ids[0]: [HOSTILE]}},
        "provenance": result.provenance.model_copy(update=dict.fromkeys(fields, HOSTILE)),
    }  # fmt: skip
    result = result.model_copy(update=told)
    short = HOSTILE.replace('"', '\\"')
    card = f'name = "{short[:70]}"\n' + "".join(
        f'{key} = "{short}"\n' for key in ("authors", "licence", "training_data", "notes")
    )
    slug = HOSTILE.replace("/", "")
    folder = tmp_path / slug
    images = write_images(tmp_path / "pictures", clips, 9)
    write_entry(folder, strange, slug, result, card, images)
    old = result.model_copy(update={"suite": HOSTILE, "clips": result.clips.model_copy(update={"digest": HOSTILE})})
    write_entry(folder, strange, f"z{slug}", old, card)
    (folder / f"broken{slug}").mkdir()
    text = page_of(folder, strange)
    page = harmless(text)
    text.encode()
    assert page.text.count("<script>alert(1)</script>") > 5
    assert any("alert(1)" in method["name"] for method in page.island["methods"])
    assert page.island["clips"][0]["label"].startswith(HOSTILE)
    table = Matches((HOSTILE,), (HOSTILE,), np.array([[0.8]]))
    result = result.model_copy(update={"method": HOSTILE + LONE})  # JSON may hold half a character
    report = harmless(run_page(result, strange, images, folder=tmp_path, table=table))
    assert report.text.count("<script>alert(1)</script>") > 10
    assert "49" not in report.text.replace(result.clips.digest, "")  # no template in a template


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://example.org/a?b=c#d", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt://example.org/%0aalert(1)", False),
        ("data:text/html,<script>", False),
        ("//example.org", False),
        ("file:///etc/passwd", False),
        ("https://[broken", False),
        ("https://", False),
        ("", False),
    ],
)
def test_only_links_to_the_web_are_links(text, kept):
    assert safe_link(text) == (text if kept else None)


@pytest.mark.parametrize("value", ["</script>", "<!--<script>", "\u2028\u2029&lt;", LONE, {"a": [1.5, None, HOSTILE]}])
def test_json_in_a_page(value):
    text = json_island(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_json_has_no_number_that_is_none():
    with pytest.raises(ValueError, match="JSON"):
        json_island(float("nan"))


# ------------------------------------------------------------------------------------------------------ media


def test_what_does_not_fit_is_linked(tmp_path, clips, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    size = sum(clip.file("audio").stat().st_size for clip in clips)
    inside, linked = (Media(tmp_path, True, room).files(list(clips), "audio") for room in (2 * size, size))
    assert all(address.startswith("data:audio/wav") for address in inside.values())
    for clip in clips:
        assert (tmp_path / linked[clip.clip_id]).resolve() == clip.file("audio").resolve()


def test_room_is_taken_only_once(tmp_path, clips):
    size = sum(clip.file("audio").stat().st_size for clip in clips)
    media = Media(tmp_path, True, 2 * size)
    assert media.files(list(clips), "audio")[clips.ids[0]].startswith("data:")
    assert not (media.files(list(clips), "audio")[clips.ids[0]] or "").startswith("data:")


def test_links_are_quoted_and_tell_nobodys_home(tmp_path, monkeypatch):
    home = tmp_path / "home" / "alice"
    monkeypatch.setattr(Path, "home", lambda: home)
    media = Media(tmp_path / "board", False)
    assert media.link(tmp_path / "a b#?.ogg") == "../a%20b%23%3F.ogg"
    assert media.link(home / "secret.ogg") is None
    assert Media(home / "board", False).link(home / "mine.ogg") == "../mine.ogg"


def test_a_clip_without_its_sound(tmp_path, clips):
    gone = clip_of("gone", tmp_path / "gone.wav", clips[0].file("image"), "x")
    assert Media(tmp_path, True).files([gone], "audio") == {"gone": None}


def test_a_large_board_links_its_media(tmp_path, clips):
    few = list(clips)
    many = ClipSet(
        [renamed(few[n % 8], f"c{n:03}", f"label {n % 5}") for n in range(300)],
        "many",
    )
    images = {clip.clip_id: [clip.file("image")] for clip in many}
    result = result_of(many, np.linspace(20, 80, 300))
    write_entry(tmp_path, many, "one", result, images=images)
    without = harmless(page_of(tmp_path, many)).island
    assert without["sheets"] == {"reference": None, "condition": None}
    write_clips(tmp_path, many)
    text = page_of(tmp_path, many)
    page = harmless(text)
    assert "data:image/webp" not in text
    assert "data:audio" not in text
    assert len(text) < 250_000
    assert page.island["methods"][0]["sheet"]["src"] == "one/gallery.webp"
    assert {name: sheet["src"] for name, sheet in page.island["sheets"].items()} == {
        "reference": "reference.webp",
        "condition": "condition.webp",
    }
    assert len(page.island["clips"]) == 240
    assert "240 of the 300 clips" in page.text


@pytest.mark.slow
def test_mini_with_six_methods_stays_below_12_mb(tmp_path):
    from a2ibench.suites import load_suite

    clips = load_suite("mini").clips()
    images = {clip.clip_id: [clip.file("image")] for clip in clips}
    rng = np.random.default_rng(0)
    first = write_entry(tmp_path, clips, "m0", result_of(clips, rng.uniform(0, 100, 240), method="m0"), images=images)
    for n in range(1, 6):
        folder = write_entry(tmp_path, clips, f"m{n}", result_of(clips, rng.uniform(0, 100, 240), method=f"m{n}"))
        for name in ("gallery.webp", "gallery.json"):
            (folder / name).write_bytes((first / name).read_bytes())
    text = page_of(tmp_path, clips)
    assert len(text.encode()) < 12_000_000
    island = Page(text).island
    assert all(clip["audio"].startswith("data:audio/ogg") for clip in island["clips"])
    assert all(method["sheet"]["src"].startswith("data:") for method in island["methods"])


# ----------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def run(tmp_path_factory, clips):
    folder = tmp_path_factory.mktemp("run")
    images = write_images(folder / "images", clips, 30)
    missing = clips.ids[0]
    seen = {"bell ringing": "bell", "dog barking": "dog", "rain falling": "cloud"}
    categories = {clip.clip_id: [seen[clip.label]] for clip in clips if clip.clip_id != missing}
    categories[clips.ids[-1]] = ["dog"]
    result = result_of(
        clips,
        [0, 20, 30, 40, 50, 60, 70, 80],
        method="mine",
        missing=[missing],
        details={"category": categories},
        seed=7,
        weights={"net": "ab12"},
    )
    del images[missing]
    table = Matches(
        ("bell ringing", "dog barking", "rain falling"),
        ("bell", "dog", "cloud"),
        np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.3], [0.2, 0.1, 0.74]]),
    )
    return folder, result, images, table


def test_the_report_of_a_run(run, clips):
    folder, result, images, table = run
    page = harmless(run_page(result, clips, images, folder=folder, table=table))
    for said in (
        "mine",
        "seed 7",
        "ab12",
        "1 of 8 clips have no image",
        "empirical Bayes",
        "0.740",
        "as another",
        "AIS|v:1|n:8",
    ):
        assert said in page.text, said
    # Worst and best: eight clips, one of them without an image, so three at either end, none in both.
    cards = page.values("data-clip")
    assert cards == [*clips.ids[1:4], *clips.ids[:4:-1]]
    assert len([tag for tag, _ in page.tags if tag == "audio"]) == 6
    assert page.island["methods"][0]["values"]["AIS"][:3] == [0, 20, 30]
    assert clips.ids[0] not in [clips.ids[n] for n in page.island["methods"][0]["sheet"]["clips"]]


def test_what_was_seen_is_counted(run, clips):
    from a2ibench.show.pages.run import _matched, _matrix, _seen, _seen_lists

    _, result, _, table = run
    seen = _seen(result)
    assert sum(counts.total() for counts in seen.values()) == 7
    matched = _matched(result, table.pairs())
    assert matched == {("bell ringing", "bell"), ("dog barking", "dog")}
    matrix = _matrix(seen, matched)
    total = sum(int(cell["text"] or 0) for row in matrix["rows"] for cell in row["cells"])
    assert total == 7
    lists = _seen_lists(seen, matched)
    assert lists[0]["label"] == "rain falling"
    assert [row["share"] for row in lists] == sorted(row["share"] for row in lists)


def test_a_report_of_very_many_classes_lists_what_was_seen(run, clips):
    folder, result, _, _ = run
    ids = [f"c{n}" for n in range(60)]
    large = ClipSet(
        [renamed(clips[0], clip_id, f"label {n % 20:02}") for n, clip_id in enumerate(ids)],
        "large",
    )
    result = result_of(
        large,
        np.linspace(0, 100, 60),
        details={"category": {clip_id: [f"seen {n % 25}"] for n, clip_id in enumerate(ids)}},
    )
    page = harmless(run_page(result, folder=folder))
    assert "Seen most" in page.text
    assert "label 19" in page.text


@pytest.mark.parametrize("given", ["no clips", "no images", "no items"])
def test_a_report_shows_what_there_is(run, clips, given):
    folder, result, images, _ = run
    if given == "no items":
        result = result.model_copy(update={"items": {}, "labels": {}, "details": {}, "missing": []})
    page = harmless(
        run_page(result, None if given == "no clips" else clips, images if given == "no clips" else {}, folder=folder)
    )
    assert "mine" in page.text


def test_a_report_can_link_its_sounds(run, clips, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    folder, result, images, table = run
    text = run_page(result, clips, images, folder=folder, table=table, inline=False)
    assert "data:audio" not in text
    page = harmless(text)
    assert (folder / page.island["clips"][0]["audio"]).resolve() == clips[0].file("audio").resolve()


def test_the_words_of_the_tiny_suite(tiny_suite, clips):
    from a2ibench.show.pages.run import matches
    from a2ibench.suites import load_suite

    table = matches(load_suite(str(tiny_suite)), clips.labels)
    assert table.labels == tuple(sorted(set(clips.labels)))
    assert table.categories == ("bell", "dog", "rain cloud")
    assert table.cosines.shape == (3, 3)
    assert np.abs(table.cosines).max() <= 1 + 1e-6
