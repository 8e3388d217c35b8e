"""Tables as spreadsheets, forms and scripts of all countries save them: one content, many bytes."""

import os
import re

import pytest

from a2ibench.dialects import bare_name, read_table
from a2ibench.errors import A2IBenchError

PLAIN = "clip_id,label,note\nc0,dog barking,x\n-c1,owl,\n"
SEMICOLONS = PLAIN.replace(",", ";")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        SEMICOLONS.encode(),
        PLAIN.replace(",", "\t").encode(),
        ("sep=;\r\n" + SEMICOLONS).encode(),
        ("\n\n" + PLAIN + "\n , , \n").encode(),
        PLAIN.replace("\n", ",,\n").encode(),
        PLAIN.replace(",", " , ").encode(),
        b'"clip_id", "label", "note"\n"c0", "dog barking", "x"\n"-c1", "owl", ""\n',
    ],
)
def test_one_content_in_many_dialects(data, tmp_path):
    (tmp_path / "t.csv").write_bytes(data)
    table = read_table(tmp_path / "t.csv")
    assert table.header == ("clip_id", "label", "note")
    assert [fields for _, fields in table.rows] == [("c0", "dog barking", "x"), ("-c1", "owl", "")]


def test_names_in_any_spelling():
    assert {bare_name(name) for name in ("Clip_ID", " clip id", "ClipId", "CLIP-ID", "ｃｌｉｐ＿ｉｄ")} == {"clipid"}
    assert bare_name("Größe (m)") == "grössem"


def test_commas_in_quotes_lines_in_fields_and_line_numbers(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n\n"dog, barking","two\nlines"\n1,2\n')
    table = read_table(tmp_path / "t.csv")
    assert table.rows == ((3, ("dog, barking", "two\nlines")), (5, ("1", "2")))
    (tmp_path / "list.txt").write_text("clip\ndog, barking; loud\n")
    assert read_table(tmp_path / "list.txt").rows == ((2, ("dog, barking; loud",)),)


def test_a_decimal_comma_is_no_delimiter(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1,5;2\n")
    assert read_table(tmp_path / "t.csv").rows == ((2, ("1,5", "2")),)


def test_two_delimiters_that_fit_are_refused_unless_the_names_tell(tmp_path):
    (tmp_path / "t.csv").write_text("rater,x;y\n1,2;3\n")
    with pytest.raises(A2IBenchError, match="can be split at commas and at semicolons alike"):
        read_table(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv", known={"rater"}.__contains__).header == ("rater", "x;y")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty; it needs a header"),
        (b"a,b\n", "has a header and no rows"),
        (b"a,b\n1\n", r"line 2: the row has 1 field and the header 2 \(split at commas\)"),
        (b"a,b\n1,2,3\n", "line 2: the row has 3 fields"),
        (b'a,b\n"1,2\n3,4\n', "line 2: this is no CSV .*is a quote left open"),
        (b"a\0b\n1\n", "is no text in UTF-8 or UTF-16"),
        ("a,b\nä,1\n".encode("latin-1"), "is no text in UTF-8 or UTF-16"),
        (b"PK\x03\x04....", "is a spreadsheet's own format"),
    ],
)
def test_what_is_refused_gets_one_sentence(data, sentence, tmp_path):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(A2IBenchError, match=sentence):
        read_table(tmp_path / "t.csv")


def test_pipes_links_to_devices_and_large_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "t.csv").write_text(PLAIN)
    (tmp_path / "link.csv").symlink_to("t.csv")
    assert read_table(tmp_path / "link.csv").header[0] == "clip_id"  # a user's own link is followed
    for name, most in (("pipe", 99), ("zero", 99), ("t.csv", 10)):
        with pytest.raises(A2IBenchError, match=r"not a plain file|larger than"):
            read_table(tmp_path / name, most=most)


def test_no_message_carries_control_characters(tmp_path):
    path = tmp_path / "t\x1b[31m.csv"
    for data in (b"\x1b]0;x\x07,b\n1\n", b'\x1b[2J,b\n"', b""):
        path.write_bytes(data)
        with pytest.raises(A2IBenchError) as caught:
            read_table(path)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(caught.value))
