"""A study's files are read strictly, its digest names everything that matters, and its orders are balanced."""

import hashlib
import json
import os
from collections import Counter
from itertools import pairwise

import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.rating.orders import balanced_square, mirrored, orders
from a2ibench.rating.study import RATER, Item, Study, order_number, shuffled, study_toml
from a2ibench.tasks import get


def study_of(clips, methods, *, design="likert", repeats=0, controls=0):
    """A study without files, for its orders."""

    def item(number, clip, kind, sides, repeat_of=None):
        return Item(
            item=f"{number:012x}",
            clip_id=f"clip-{clip:02d}",
            label="bell ringing",
            kind=kind,
            repeat_of=repeat_of,
            methods=sides,
            images=["0" * 64] * len(sides),
            shown=["0" * 12 + ".webp"] * len(sides),
        )

    treatments = [[f"m{m}"] for m in range(methods)]
    if design == "pairwise":
        treatments = [[f"m{a}", f"m{b}"] for a in range(methods) for b in range(a)]
    main = [(clip, sides) for clip in range(clips) for sides in treatments]
    items = [item(number, clip, "main", sides) for number, (clip, sides) in enumerate(main)]
    for number in range(repeats):
        old = items[number * (len(main) // repeats)]
        items.append(item(1000 + number, int(old.clip_id[-2:]), "repeat", old.methods[::-1], old.item))
    for number in range(controls):
        sides = ["real images"] if design == "likert" else ["real images", "shuffled images"]
        items.append(item(2000 + number, number % clips, "control", sides))
    return Study(
        title="t", design=design, seed=3, question="q", instructions="", consent="", scale={}, exclusion={},
        suite="s@1", clips="0", methods=[f"m{m}" for m in range(methods)], salt="0" * 32, runs={},
        items=shuffled(items, "test"),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("n", range(1, 9))
def test_the_square_is_balanced(n):
    rows = balanced_square(n)
    assert len(rows) == (n if n % 2 == 0 or n == 1 else 2 * n)
    assert all(sorted(row) == list(range(n)) for row in rows)
    places = Counter((place, treatment) for row in rows for place, treatment in enumerate(row))
    assert len(set(places.values())) == 1
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert len(follows) == n * (n - 1)
    assert len(set(follows.values())) <= 1


@pytest.mark.parametrize(("clips", "methods", "design"), [(15, 3, "likert"), (15, 4, "likert"), (6, 4, "pairwise")])
def test_over_raters_each_method_stands_equally_often_everywhere(clips, methods, design):
    study = study_of(clips, methods, design=design)
    found = orders(study)
    assert len(found) >= 32
    blocks, follows = Counter(), Counter()
    for order in found:
        seen = Counter()
        last = {}
        for place in order:
            item = study.items[place]
            treatment = tuple(item.methods)
            blocks[item.clip_id, treatment, seen[item.clip_id]] += 1
            seen[item.clip_id] += 1
            if item.clip_id in last:
                follows[item.clip_id, last[item.clip_id], treatment] += 1
            last[item.clip_id] = treatment
    treatments = len({treatment for _, treatment, _ in blocks})
    assert len(blocks) == clips * treatments**2, "a method of a clip never comes first, or second, …"
    assert len(set(blocks.values())) == 1, "a method of a clip comes earlier more often than another"
    assert len(follows) == clips * treatments * (treatments - 1), "a method never follows some other one"
    assert len(set(follows.values())) == 1, "a method follows one more often than another"


def test_a_rater_meets_all_methods_from_the_beginning_to_the_end():
    study = study_of(15, 3)
    for order in orders(study):
        for block in range(3):
            methods = Counter(study.items[place].methods[0] for place in order[15 * block : 15 * (block + 1)])
            assert len(methods) == 3
            assert min(methods.values()) >= 4


@pytest.mark.parametrize("design", ["likert", "pairwise"])
@pytest.mark.parametrize(
    ("clips", "methods", "repeats", "controls"), [(15, 3, 5, 5), (15, 2, 5, 15), (6, 5, 6, 3), (4, 3, 2, 2)]
)
def test_a_rater_never_sees_a_clip_twice_in_a_row_and_repeats_lie_far_apart(clips, methods, repeats, controls, design):
    study = study_of(clips, methods, design=design, repeats=repeats, controls=controls)
    for order in orders(study):
        assert sorted(order) == list(range(len(study.items))), "an item is missing or doubled"
        shown = [study.items[place] for place in order]
        assert all(a.clip_id != b.clip_id for a, b in pairwise(shown))
        where = {item.item: index for index, item in enumerate(shown)}
        gaps = [abs(where[item.item] - where[item.repeat_of]) for item in shown if item.repeat_of]
        assert len(gaps) == repeats
        assert min(gaps) >= len(shown) // 3


def test_orders_differ_from_rater_to_rater_and_never_from_call_to_call():
    study = study_of(15, 3, repeats=5, controls=5)
    found = orders(study)
    assert len({tuple(order) for order in found}) == len(found)
    assert orders(study_of(15, 3, repeats=5, controls=5)) == found
    assert orders(study.model_copy(update={"seed": 4})) != found
    assert orders(study.model_copy(update={"salt": "1" * 32})) != found
    # What was given once must be given for ever, or a rater who comes back sees another order.
    assert found[7][:10] == PINNED


PINNED = [24, 45, 19, 13, 4, 2, 23, 51, 26, 21]


@pytest.mark.parametrize("design", ["likert", "pairwise"])
def test_a_place_tells_little_of_what_kind_an_item_is(design):
    study = study_of(15, 3, design=design, repeats=5, controls=5)
    controls, gaps = set(), set()
    for order in orders(study):
        shown = [study.items[place] for place in order]
        where = {item.item: index for index, item in enumerate(shown)}
        controls |= {where[item.item] for item in shown if item.kind == "control"}
        gaps |= {abs(where[item.item] - where[item.repeat_of]) for item in shown if item.repeat_of}
    assert len(controls) > 0.8 * len(study.items)
    assert len(gaps) >= 15


def test_which_column_of_the_square_is_whose_follows_from_the_salt():
    study = study_of(4, 4)
    firsts = set()
    for number in range(8):
        salted = study.model_copy(update={"salt": f"{number:032x}"})
        seen = {study.items[place].clip_id: tuple(study.items[place].methods) for place in reversed(orders(salted)[0])}
        firsts.add(tuple(sorted(seen.items())))
    assert len(firsts) >= 6


def test_one_clip_and_one_method_have_an_order_as_well():
    study = study_of(1, 1, controls=1, repeats=1)
    assert all(sorted(order) == [0, 1, 2] for order in orders(study))


def test_neighbouring_raters_see_pairs_mirrored_in_the_same_method_order():
    study = study_of(4, 3, design="pairwise")
    assert [mirrored(study, number) for number in range(4)] == [False, True, False, True]
    assert not any(mirrored(study_of(4, 3), number) for number in range(4))


@pytest.mark.parametrize(
    ("rater", "number"),
    # The last two are test vectors of FNV-1a's authors.
    [("R07", 7), ("7", 7), ("anna 2", 2), ("R1234567890", 234567890), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],
)
def test_the_number_of_a_rater(rater, number):
    assert order_number(rater) == number


@pytest.mark.parametrize("name", ["R01", "anna", "Zoë Müller", "a@b.org", "x" * 64, "7", "李"])
def test_names_that_raters_may_have(name):
    assert RATER.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", " a", "=cmd", "+1", "-1", "@x", "a,b", 'a"b', "a;b", "a\nb", "x" * 65, "<b>", "_a"]
)
def test_names_that_raters_may_not_have(name):
    assert not RATER.fullmatch(name)


# ------------------------------------------------------------------------------------------------ files


def test_the_digest_changes_with_what_matters_and_with_nothing_else(tiny_study):
    folder = tiny_study()
    digest = Study.load(folder).digest
    assert len(digest) == 12
    toml, key = (folder / "study.toml").read_text(), json.loads((folder / "items.json").read_text())

    def with_toml(text):
        (folder / "study.toml").write_text(text)
        return Study.load(folder).digest

    assert with_toml("# a comment\n" + toml) == digest
    assert with_toml(toml.replace("least_control = 3.0", "least_control = 3.5")) != digest
    assert with_toml(toml.replace("very relevant", "most relevant")) != digest
    assert with_toml(toml) == digest
    (folder / "items.json").write_text(json.dumps({**key, "runs": {}}))
    assert Study.load(folder).digest == digest, "where the runs lie is not part of what was asked"
    key["items"][0]["label"] = "another"
    (folder / "items.json").write_text(json.dumps(key))
    assert Study.load(folder).digest != digest


def spoil_toml(old, new):
    return lambda folder: (folder / "study.toml").write_text((folder / "study.toml").read_text().replace(old, new))


def spoil_items(change):
    def spoil(folder):
        key = json.loads((folder / "items.json").read_text())
        change(key)
        (folder / "items.json").write_text(json.dumps(key))

    return spoil


SPOILT = {
    "no toml": (lambda folder: os.remove(folder / "study.toml"), "There is no .*study.toml"),
    "no items": (lambda folder: os.remove(folder / "items.json"), "There is no .*items.json"),
    "no TOML": (spoil_toml("[scale]", "[scale"), "study.toml can't be read"),
    "unknown key": (spoil_toml("title", "tittle"), "tittle|title"),
    "a threshold too high": (spoil_toml("least_answered = 0.9", "least_answered = 90"), "least_answered"),
    "a threshold that is no number": (spoil_toml("least_answered = 0.9", "least_answered = nan"), "least_answered"),
    "a line break in the title": (spoil_toml('title = "How', 'title = "How\\n'), "title"),
    "another design": (spoil_toml('"likert"', '"pairwise"'), "can't be changed"),
    "no design": (spoil_toml('"likert"', '"liker"'), "design"),
    "an item twice": (spoil_items(lambda key: key["items"].append(key["items"][0])), "twice"),
    "a repeat of nothing": (
        spoil_items(lambda key: [item.update(repeat_of="0" * 12) for item in key["items"] if item["repeat_of"]]),
        "not there",
    ),
    "a repeat of a control": (
        spoil_items(
            lambda key: [
                item.update(repeat_of=next(i["item"] for i in key["items"] if i["kind"] == "control"))
                for item in key["items"]
                if item["repeat_of"]
            ]
        ),
        "no main item",
    ),
    "a way out of the folder": (
        spoil_items(lambda key: key["items"][0].update(shown=["../../etc/passwd"])),
        r"items.0.shown.0.*match",
    ),
    "a sound that is none": (spoil_items(lambda key: key["items"][0].update(sound="/etc/passwd")), r"sound.*match"),
    "a line break in a name": (
        spoil_items(lambda key: key["items"][0].update(shown=["0" * 12 + ".webp\n"])),
        r"shown.*match",
    ),
    "no salt": (spoil_items(lambda key: key.pop("salt")), "salt"),
    "a short salt": (spoil_items(lambda key: key.update(salt="0")), "salt"),
    "no main item": (
        spoil_items(lambda key: key.update(items=[i for i in key["items"] if i["kind"] == "control"])),
        "nothing to rate",
    ),
    "no items at all": (spoil_items(lambda key: key.update(items=[])), "nothing to rate"),
    "an item too few": (
        spoil_items(
            lambda key: key["items"].remove(
                next(
                    i
                    for i in key["items"]
                    if i["kind"] == "main" and i["item"] not in {j["repeat_of"] for j in key["items"]}
                )
            )
        ),
        "every clip must have as many",
    ),
    "half a character": (spoil_items(lambda key: key["items"][0].update(label="\ud800")), "items.json can't be read"),
    "too deep": (lambda folder: (folder / "items.json").write_text("[" * 200_000), "items.json can't be read"),
    "no JSON": (lambda folder: (folder / "items.json").write_text("{"), "items.json can't be read"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_study_is_refused_in_one_sentence(tiny_study, what):
    spoil, pattern = SPOILT[what]
    folder = tiny_study()
    spoil(folder)
    with pytest.raises(A2IBenchError, match=pattern) as caught:
        Study.load(folder)
    assert "\n" not in str(caught.value)


def test_thresholds_may_be_absent(tiny_study):
    folder = tiny_study()
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text[: text.index("[exclusion]")])
    assert set(Study.load(folder).exclusion.model_dump().values()) == {None}


def test_studies_from_before_there_were_other_tasks_keep_their_digests_and_texts():
    """Digests that the code had which knew one task: of a study's meaning, and of a new ``study.toml``."""
    items = [
        Item(
            item=f"{n:012x}", clip_id=f"c{n}", label="bell ringing", kind="main", methods=["a", "b"],
            images=["0" * 64] * 2, shown=["0" * 12 + ".webp"] * 2, sound="0" * 12 + ".mp3",
        )
        for n in range(2)
    ]  # fmt: skip
    study = Study(
        title="t", design="pairwise", seed=0, question="q", instructions="", consent="", scale={}, exclusion={},
        suite="tiny@1", clips="digest", methods=["a", "b"], salt="0" * 32, runs={}, items=items,
    )  # fmt: skip
    assert study.digest == "89045066ccb6"
    for change in ({"task": "x"}, {"headphones": True}):
        assert Study(**study.model_dump(by_alias=True) | change).digest != study.digest
    for design, digest in (
        ("likert", "48396b97a33ab0238fbbaa1d8064cedf86b04fccaa3a6f080edf4a3acc9b3445"),
        ("pairwise", "8010280e18220fa08ffe6aedf45b1a8ecf399a65dbbbb7c5ec28520a4f8bd0a4"),
    ):
        text = study_toml(get("audio-to-image"), design, 0)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
