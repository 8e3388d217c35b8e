"""Rating files as raters, spreadsheets and other programs leave them: read as what they mean, or refused by name."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.rating import readers
from a2ibench.rating.readers import read_ratings, study_of
from a2ibench.rating.study import ANSWER_COLUMNS, Item, Study

HEADER = ",".join(ANSWER_COLUMNS)
AT = "2026-01-31T12:00:00.000Z"


def made(design="likert", title="t"):
    """A study without files."""
    sides = {"likert": ["alphadraw"], "pairwise": ["alphadraw", "betapaint"]}[design]
    items = [
        Item(
            item=f"{0xABC000 + number:012x}",
            clip_id=f"clip-{number}",
            label="bell ringing",
            kind="main",
            methods=sides,
            images=["0" * 64] * len(sides),
            shown=["0" * 12 + ".webp"] * len(sides),
        )
        for number in range(3)
    ]
    return Study(
        title=title, design=design, seed=0, question="q", instructions="", consent="", scale={}, exclusion={},
        suite="s@1", clips="0", methods=["alphadraw", "betapaint"], salt="0" * 32, runs={}, items=items,
    )  # fmt: skip


@pytest.fixture(scope="module")
def study():
    return made()


@pytest.fixture
def folder(tmp_path):
    """What makes a folder a study's."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.toml").write_text("")
    return tmp_path / "study"


@pytest.fixture
def line(study):
    """One row of a CSV file: ``line(0, 4)`` is the answer 4 to the first item."""

    def make(item=0, value="4", *, rater="R1", seconds="3.5", at=AT, digest=None):
        item = study.items[item].item if isinstance(item, int) else item
        return f"{digest or study.digest},{rater},{item},{value},{seconds},{at}"

    return make


def csv_file(folder, *lines, header=HEADER, name="r.csv", encoding="utf-8", end="\n"):
    file = folder / name
    file.write_bytes((end.join((header, *lines)) + end).encode(encoding))
    return file


def found(study, *files):
    """What was read: (rater, number of the item, value, seconds)."""
    place = {item.item: index for index, item in enumerate(study.items)}
    return [(a.rater, place[a.item], a.value, a.seconds) for a in read_ratings(list(files), study).answers]


# ------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_spreadsheets_ways_of_saving(tmp_path, study, line, encoding, delimiter, end):
    lines = [line(0, 4, rater="Zoë"), line(1, " 2 ", rater="Zoë", seconds="")]
    lines = [text.replace(",", delimiter) for text in lines]
    file = csv_file(tmp_path, *lines, header=HEADER.replace(",", delimiter), encoding=encoding, end=end)
    assert sorted(found(study, file)) == [("Zoë", 0, 4, 3.5), ("Zoë", 1, 2, None)]


def test_columns_in_any_order_more_columns_decimal_comma_and_whole_decimals(tmp_path, study):
    item = study.items[0].item
    file = csv_file(
        tmp_path, f"{AT};x;4.0;{item};R1;2,25;{study.digest}", header="at;note;Value;item;rater ;seconds;study"
    )
    (answer,) = read_ratings([file], study).answers
    assert (answer.value, answer.seconds) == (4, 2.25)
    assert type(answer.value) is int
    assert answer.at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_csv_json_and_sqlite_hold_the_same(tmp_path, study, line, folder):
    typed = [(0, 1), (1, 5), (2, 3)]
    answers = [{"item": study.items[i].item, "value": v, "seconds": 3.5, "at": AT} for i, v in typed]
    exported = tmp_path / "r.json"
    exported.write_text(json.dumps({"study": study.digest, "rater": "R1", "answers": answers}))
    database = folder / "ratings.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"CREATE TABLE answers ({', '.join(ANSWER_COLUMNS)}, extra)")
        rows = [(study.digest, "R1", a["item"], a["value"], a["seconds"], a["at"], None) for a in answers]
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    before, beside = database.read_bytes(), sorted(folder.iterdir())
    plain = csv_file(tmp_path, *(line(i, v) for i, v in typed))
    expected = sorted(("R1", i, v, 3.5) for i, v in typed)
    for given in (exported, database, folder, plain):
        assert sorted(found(study, given)) == expected
    together = read_ratings([exported, database, plain], study)
    assert (len(together.answers), together.repeated, together.changed) == (3, 6, ())
    assert database.read_bytes() == before
    assert sorted(folder.iterdir()) == beside


def test_a_database_in_use_is_read_with_its_log(study, folder):
    connection = sqlite3.connect(folder / "ratings.sqlite")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"CREATE TABLE answers ({', '.join(ANSWER_COLUMNS)})")
        row = (study.digest, "R1", study.items[0].item, 2, 1.0, AT)
        connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.commit()
        assert (folder / "ratings.sqlite-wal").stat().st_size > 0
        assert found(study, folder) == [("R1", 0, 2, 1.0)]
    finally:
        connection.close()


def test_a_folder_of_files(tmp_path, study, line):
    sent = tmp_path / "sent"
    sent.mkdir()
    csv_file(sent, line(0, 4))
    csv_file(sent, line(0, 2, rater="R2"), name="other.CSV")
    (sent / "note.txt").write_text("thanks")
    assert len(found(study, sent)) == 2
    assert read_ratings([sent, sent / "r.csv"], study).repeated == 0  # one file, named twice


def test_the_same_twice_counts_once(tmp_path, study, line):
    ratings = read_ratings([csv_file(tmp_path, line(0, 4), line(0, 4), line(0, "4.0"), line(1, 4))], study)
    assert (len(ratings.answers), ratings.repeated, ratings.changed) == (2, 2, ())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (2, 0, 1), (1, 0, 2)])
def test_of_different_answers_the_latest_counts(tmp_path, study, line, order):
    times = ("2026-01-31T12:00:00Z", "2026-01-31T14:00:01+02:00", "2026-01-31T12:00:02")  # one second apart
    lines = [line(0, value, at=at) for value, at in zip((3, 5, 3), times, strict=True)]
    ratings = read_ratings([csv_file(tmp_path, *(lines[i] for i in order))], study)
    (answer,) = ratings.answers
    assert (answer.value, answer.at.second) == (3, 2)
    assert ratings.changed == ("R1",)


def test_pairs_are_read(tmp_path):
    study = made("pairwise")
    rows = [f"{study.digest},R1,{study.items[i].item},{v},2,{AT}" for i, v in enumerate(("first", "second"))]
    assert [v for _, _, v, _ in found(study, csv_file(tmp_path, *rows))] == ["first", "second"]
    with pytest.raises(A2IBenchError, match="the value '3' is none that can be given; the study takes first, second"):
        found(study, csv_file(tmp_path, rows[0].replace("first", "3")))


def test_the_study_is_found_where_the_answers_lie(tmp_path, folder):
    sent = folder / "sent"
    sent.mkdir()
    file = csv_file(sent)
    other = tmp_path / "other"
    other.mkdir()
    (other / "study.toml").write_text("")
    for path in (folder, sent, file, folder / "ratings.sqlite"):
        assert study_of([path]).resolve() == folder.resolve()
    with pytest.raises(A2IBenchError, match="Give its folder with --study"):
        study_of([csv_file(tmp_path)])
    with pytest.raises(A2IBenchError, match="lie in several studies"):
        study_of([folder, other])


# ---------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": "6"}, "line 2: the value '6' is none that can be given; the study takes 1, 2, 3, 4, 5"),
        ({"value": "0"}, "the value '0'"),
        ({"value": "3.5"}, "the value '3.5'"),
        ({"value": "4_0"}, "the value '4_0'"),
        ({"value": ""}, "the value ''"),
        ({"value": "nan"}, "the value 'nan'"),
        ({"value": "first"}, "the value 'first'"),
        ({"item": "0123456789ab"}, "no item '0123456789ab' in the study; is it a file of another study"),
        ({"item": "1.23E+11"}, "no item '1.23E.11' in the study; a spreadsheet took it for a number"),
        ({"rater": ""}, "'' is no rater's name"),
        ({"rater": "=cmd()"}, "'=cmd..' is no rater's name"),
        ({"digest": "ffffffffffff"}, "of the study 'ffffffffffff', and this one is"),
        ({"seconds": "-1"}, "the seconds '-1' are not a number of 0 or more"),
        ({"seconds": "inf"}, "the seconds 'inf'"),
        ({"at": "31/01/2026 12:00"}, "the time '31/01/2026 12:00' is not like 2026-01-31T12:00:00Z"),
        ({"at": AT + ",x"}, "line 2: the row has 7 fields and the header 6"),
        ({"rater": '"R1'}, "this is no CSV"),
    ],
    ids=str,
)
def test_a_wrong_row_is_named(tmp_path, study, line, change, sentence):
    with pytest.raises(A2IBenchError, match=sentence) as error:
        found(study, csv_file(tmp_path, line(**change)))
    assert str(tmp_path / "r.csv") in str(error.value)


@pytest.mark.parametrize("column", ANSWER_COLUMNS)
def test_a_missing_or_doubled_column_is_named(tmp_path, study, column):
    header = [name for name in ANSWER_COLUMNS if name != column]
    for names in (header, [*header, column, column]):
        with pytest.raises(A2IBenchError, match=f"'{column}' is missing or there twice, found: "):
            found(study, csv_file(tmp_path, header=",".join(names)))


@pytest.mark.parametrize(
    ("at", "other"), [("", ""), (AT, ""), ("", AT), (AT, AT)], ids=["none", "first only", "second only", "equal"]
)
def test_contradictions_without_a_later_one_are_refused(tmp_path, study, line, at, other):
    with pytest.raises(A2IBenchError, match=r"line 3: R1 answered .* with 5 and elsewhere with 4, and no time says"):
        found(study, csv_file(tmp_path, line(0, 4, at=at), line(0, 5, at=other)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not whole JSON"),
        ("[" * 100_000, "is not whole JSON"),
        ("[]", "not what the page saves"),
        ('{"answers": []}', "not what the page saves"),
        ('{"study": "STUDY", "rater": "R1", "answers": {}}', "not what the page saves"),
        ('{"study": "STUDY", "rater": 1, "answers": []}', "not what the page saves"),
        ('{"study": "STUDY", "rater": "R1", "answers": [4]}', "answer 1: an answer must have 'item' and 'value'"),
        ('{"study": "STUDY", "rater": "R1", "answers": [{"item": "ITEM"}]}', "must have 'item' and 'value'"),
        ('{"study": "STUDY", "rater": "R1", "answers": [{"item": "ITEM", "value": true}]}', "the value 'True'"),
        ('{"study": "STUDY", "rater": "R1", "answers": [{"item": "ITEM", "value": 3.5}]}', "the value '3.5'"),
        ('{"study": "STUDY", "rater": "R1", "answers": [{"item": "ITEM", "value": NaN}]}', "the value 'nan'"),
        ('{"study": "STUDY", "rater": "R1", "answers": [{"item": null, "value": 3}]}', "there is no item ''"),
        (
            '{"study": "STUDY", "rater": "R1", "answers": [{"item": "ITEM", "value": 3, "rater": "R2"}]}',
            "another study",
        ),
        ('{"study": "x", "rater": "R1", "answers": [{"item": "ITEM", "value": 3}]}', "of the study 'x'"),
        ('{"study": "STUDY", "rater": "R1", "answers": []}', "There is no answer in"),
    ],
    ids=range(15),
)
def test_json_that_is_no_export(tmp_path, study, text, sentence):
    file = tmp_path / "r.json"
    file.write_text(text.replace("STUDY", study.digest).replace("ITEM", study.items[0].item))
    with pytest.raises(A2IBenchError, match=sentence):
        read_ratings([file], study)


def _foreign(file):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE moz_places (url)")


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda file: file.write_bytes(b""), "is empty; ask the rater to save"),
        (lambda file: file.write_bytes(b" \r\n \n"), "is empty"),
        (lambda file: file.write_bytes("näme".encode("latin-1")), "is no text in UTF-8 or UTF-16"),
        (lambda file: file.write_bytes(b"\xff\xd8\xff\xe0JFIF\0\0"), "is no text in UTF-8 or UTF-16"),
        (lambda file: file.write_bytes("a,b".encode("utf-16-le")), "is no text in UTF-8 or UTF-16"),
        (lambda file: file.write_bytes(b"hello"), "must have the columns study, rater, item"),
        (lambda file: file.write_bytes(HEADER.encode()), "There is no answer in"),
        (lambda file: file.write_bytes(b"SQLite format 3\0" + bytes(2000)), "can't be read as SQLite"),
        (_foreign, "not one of 'a2ibench rate serve'"),
        (lambda file: None, "There is no .*r.csv; name the files"),
        (lambda file: file.mkdir(), "There are no answers in"),
    ],
)
def test_files_that_are_something_else(tmp_path, study, write, sentence):
    file = tmp_path / "r.csv"
    write(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(A2IBenchError, match=sentence):
        read_ratings([file], study)
    if before is not None:
        assert file.read_bytes() == before
        assert list(tmp_path.glob("r.csv-*")) == []


def test_a_study_without_answers_says_so(study, folder):
    with pytest.raises(A2IBenchError, match=r"There are no answers in .*'a2ibench rate serve' keeps them"):
        read_ratings([folder], study)


def test_a_huge_file_is_not_read(tmp_path, study, line, monkeypatch):
    file = tmp_path / "r.csv"
    with file.open("wb") as stream:
        stream.truncate(readers.MOST_BYTES + 1)  # a hole: it takes no room
    with pytest.raises(A2IBenchError, match="has 100 MB, and at most 100 are read"):
        read_ratings([file], study)
    monkeypatch.setattr(readers, "MOST_ANSWERS", 1)
    with pytest.raises(A2IBenchError, match="more than 1 answers"):
        read_ratings([csv_file(tmp_path, line(0, 4), line(1, 4))], study)


@pytest.mark.parametrize("blank", ["", "\n", "\n\n\n", " \r\n\r\n"])
def test_the_line_of_a_fault_counts_blank_lines(tmp_path, study, line, blank):
    file = tmp_path / "r.csv"
    file.write_bytes((blank + "\n".join((HEADER, line(0), "", line(1, "9")))).encode())
    number = blank.count("\n") + 4
    with pytest.raises(A2IBenchError, match=rf"r\.csv, line {number}: the value '9'"):
        read_ratings([file], study)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x" * 300, None),
        ("r.json", "[" * 200_000),
        ("r.json", '{"study": "s", "rater": "\\ud800", "answers": [{"item": "\\ud800", "value": 1}]}'),
    ],
)
def test_files_that_would_break_the_reader_are_one_sentence(tmp_path, study, path, text):
    if text is not None:
        (tmp_path / path).write_text(text)
    for work in (lambda: read_ratings([tmp_path / path], study), lambda: study_of([tmp_path / path])):
        with pytest.raises(A2IBenchError) as caught:
            work()
        str(caught.value).encode()
        assert "\n" not in str(caught.value)


def test_a_value_as_deep_as_json_may_be_is_refused(tmp_path, study):
    for depth in (5, 400, 900, 960, 990):
        answers = f'[{{"item": "{study.items[0].item}", "value": {"[" * depth}{"]" * depth}}}]'
        (tmp_path / "r.json").write_text(f'{{"study": "{study.digest}", "rater": "R1", "answers": {answers}}}')
        with pytest.raises(A2IBenchError, match=r"none that can be given|not whole JSON"):
            read_ratings([tmp_path / "r.json"], study)
