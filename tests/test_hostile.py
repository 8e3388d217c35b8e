"""Hostile submissions: each is refused in one sentence or harmless, nothing is written outside, the board stays."""

import gzip
import io
import os
import shutil
import socket
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny import TINY

from a2ibench.board import unpack
from a2ibench.board.outputs import read_outputs
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError

SCRIPT = "<script>alert(1)</script>"


def tree(folder):
    """Every file under a folder with its bytes, and every folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def ground(tmp_path, own_boards, noise):
    """A folder with the board, a canary beside it, and a submission to spoil; and what it was before."""
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary/secret.png").write_bytes((noise / "dog-0.png").read_bytes()[:-1])
    shutil.copytree(noise, tmp_path / "given")
    return tmp_path


def png(size, chunks=()):
    """A PNG file of a header, chunks, and no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*each) for each in chunks) + chunk(b"IEND", b"")


def image(mode="RGB", size=(40, 40), seed=99):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


# ------------------------------------------------------------------------------- folders: spoil(folder) → words


def _put(name, data):
    def spoil(folder):
        (folder / name).write_bytes(data)

    return spoil


def _animated(kind, name):
    def spoil(folder):
        (folder / "dog-0.png").unlink()
        frames = [image(seed=s) for s in range(3)]
        frames[0].save(folder / name, kind, save_all=True, append_images=frames[1:])

    return spoil


def _link(target):
    def spoil(folder):
        (folder / "dog-0.png").unlink()
        (folder / "dog-0.png").symlink_to(target)

    return spoil


def _fifo(folder):
    (folder / "dog-0.png").unlink()
    os.mkfifo(folder / "dog-0.png")


def _fifo_card(folder):
    os.mkfifo(folder / "method.toml")


def _socket(folder):
    (folder / "dog-0.png").unlink()
    here = os.getcwd()
    os.chdir(folder)  # a socket's path may be 107 characters long
    try:
        socket.socket(socket.AF_UNIX).bind("dog-0.png")
    finally:
        os.chdir(here)


def _folder_called_png(folder):
    (folder / "dog-0.png").unlink()
    (folder / "dog-0.png").mkdir()


def _case_clash(folder):
    (folder / "DOG-0.png").write_bytes((folder / "bell-0.png").read_bytes())


def _accents(folder):
    for name in ("caf\u00e9.png", "cafe\u0301.png"):
        (folder / name).write_bytes(b"x")


def _renamed(name):
    return lambda folder: (folder / "dog-0.png").rename(folder / name)


def _resaved(name, picture, **options):
    def spoil(folder):
        (folder / "dog-0.png").unlink()
        picture.save(folder / name, **options)

    return spoil


def _card(text):
    return lambda folder: (folder / "method.toml").write_bytes(text if isinstance(text, bytes) else text.encode())


def _run(text):
    def spoil(folder):
        images = folder.parent / "images"
        folder.rename(images)
        folder.mkdir()
        images.rename(folder / "images")
        (folder / "run.json").write_text(text)

    return spoil


FOLDERS = {
    "empty image": (_put("dog-0.png", b""), "dog-0.png is empty"),
    "SVG called PNG": (_put("dog-0.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "dog-0.png is not an image"),
    "HTML called PNG": (_put("dog-0.png", f"<html>{SCRIPT}</html>".encode()), "dog-0.png is not an image"),
    "PostScript called PNG": (_put("dog-0.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"), "dog-0.png is not an image"),
    "GIF called PNG": (_resaved("dog-0.png", image("P"), format="GIF"), "dog-0.png is not an image"),
    "TIFF called PNG": (_resaved("dog-0.png", image(), format="TIFF"), "dog-0.png is not an image"),
    "cut PNG": (lambda f: (f / "dog-0.png").write_bytes((f / "dog-0.png").read_bytes()[:90]), "dog-0.png is broken"),
    "PNG of 70,000 x 70,000": (_put("dog-0.png", png((70_000, 70_000))), "too large to be read safely"),
    "PNG of 10,000 x 9,500": (_put("dog-0.png", png((10_000, 9_500))), "too large to be read safely"),
    "PNG of 60,000 x 20": (_put("dog-0.png", png((60_000, 20))), "60000 x 20 pixels"),
    "PNG without pixels": (_put("dog-0.png", png((40, 40))), "dog-0.png is broken"),
    "PNG with a text bomb": (
        _put("dog-0.png", png((40, 40), [(b"zTXt", b"a\0\0" + zlib.compress(bytes(99_000_000), 9))])),
        "dog-0.png is broken",
    ),
    "PNG of 8 x 8": (_resaved("dog-0.png", image(size=(8, 8))), "8 x 8 pixels"),
    "blank": (_resaved("dog-0.png", Image.new("RGB", (40, 40), "teal")), "dog-0.png is blank"),
    "quite transparent": (_resaved("dog-0.png", Image.new("RGBA", (40, 40), (9, 9, 9, 0))), "dog-0.png is blank"),
    "animated PNG": (_animated("PNG", "dog-0.png"), "animated (3 frames)"),
    "animated WebP": (_animated("WEBP", "dog-0.webp"), "animated (3 frames)"),
    "a link to outside": (_link("../canary/secret.png"), "a link to a place outside"),
    "a link to the system": (_link("/etc/passwd"), "a link to a place outside"),
    "a link to itself": (_link("dog-0.png"), "a broken link"),
    "a link to nothing": (_link("absent.png"), "a broken link"),
    "a FIFO": (_fifo, "no plain file"),
    "a FIFO as the card": (_fifo_card, "a special file"),
    "a socket": (_socket, "no plain file"),
    "a device": (_link("/dev/zero"), "a link to a place outside"),
    "a folder called PNG": (_folder_called_png, "no plain file"),
    "a clash of case": (_case_clash, "differ in case or accents only"),
    "a clash of accents": (_accents, "differ in case or accents only"),
    "another case": (_renamed("Dog-0.png"), "'dog-0' is one: case counts"),
    "a script as a name": (_renamed("<script>alert(1)<script>.png"), "belong to no clip"),
    "a line break in a name": (_renamed("dog\n-0.png"), "can't be printed"),
    "terminal codes in a name": (_renamed("\x1b[31mdog-0.png"), "can't be printed"),
    "bytes that are no UTF-8": (_renamed("\udcff.png"), "can't be printed"),
    "letters from right to left": (_renamed("\u202egnp.0-god.png"), "can't be printed"),
    "a name with a backslash": (_renamed("a\\..\\dog-0.png"), "leave the folder"),
    "a name of 240 letters": (_renamed("a" * 240 + ".png"), "longer than"),
    "two images for a clip": (_put("dog-0.webp", b"x"), "two images for the clip 'dog-0'"),
    "a number and none": (_put("dog-0_1.png", b"x"), "number all of its images"),
    "a gap in the numbers": (
        lambda f: [_renamed("dog-0_0.png")(f), shutil.copy(f / "dog-0_0.png", f / "dog-0_2.png")],
        "without a gap",
    ),
    "a card that is no TOML": (_card("name = "), "not TOML"),
    "a card that is no UTF-8": (_card(b"name = '\xff'"), "not TOML in UTF-8"),
    "a card of a megabyte": (_card("notes = '" + "a" * 2**20 + "'"), "larger than 64 KiB"),
    "a card with a strange field": (_card("rank = 1"), "no field 'rank'"),
    "a card with a wrong type": (_card("text_labels = 'no'"), "'text_labels'"),
    "a card with a script link": (_card("paper = 'javascript:alert(1)'"), "'paper' can't be taken"),
    "a card with a data link": (_card("code = 'data:text/html,hello'"), "'code' can't be taken"),
    "a card with a tag in a link": (_card(f"code = 'https://x.org/{SCRIPT}'"), "'code' can't be taken"),
    "a card of two lines in one": (_card('authors = "A\\nB"'), "'authors' can't be taken"),
    "a card with terminal codes": (_card('authors = "\\u001b[2J"'), "'authors' can't be taken"),
    "a card that is too long": (_card(f"authors = '{'a' * 400}'"), "'authors' can't be taken"),
    "a card of nested arrays": (_card("name = " + "[" * 20_000), "not TOML"),
    "a run.json that is none": (_run("{}"), "not the run.json of one of our methods"),
    "a run.json of nested arrays": (_run("[" * 100_000), "not the run.json of one of our methods"),
    "a run.json of a strange method": (
        _run('{"method": "x", "suite": "' + TINY + '", "seed": 0, "options": {}, "weights": {}, "clips": {}}'),
        "names no method of ours",
    ),
    "a run.json of another suite": (
        _run('{"method": "reference", "suite": "mini@1", "seed": 0, "options": {}, "weights": {}, "clips": {}}'),
        "made with the suite 'mini@1'",
    ),
}


@pytest.fixture
def refused(ground, run_cli, tiny_suite):
    """Submit, and check that it is refused in a sentence and has done nothing; gives the sentence."""

    def submit(given, *arguments):
        before = tree(ground)
        outcome = run_cli("submit", given, "--suite", tiny_suite, *(arguments or ("--name", "evil")))
        assert outcome.sentence.isprintable()
        assert tree(ground) == before
        return outcome.sentence

    return submit


@pytest.mark.parametrize("how", FOLDERS)
def test_hostile_folders(ground, refused, how):
    spoil, words = FOLDERS[how]
    spoil(ground / "given")
    assert words in refused(ground / "given")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(ground, refused):
    (ground / "given/dog-0.png").chmod(0)
    assert "dog-0.png can't be read: Permission denied" in refused(ground / "given")


def test_a_file_that_may_not_be_read(ground, refused, monkeypatch):
    """The same for root."""
    opened = Image.open

    def refuse(path, **options):
        if str(path).endswith("dog-0.png"):
            raise PermissionError(13, "Permission denied")
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", refuse)
    assert "dog-0.png can't be read: Permission denied" in refused(ground / "given")


# ---------------------------------------------------------------------------------------- archives: zip and tar


def zipped(given, *more, name="given.zip"):
    """Zip a submission, and more entries: a name or a ZipInfo, and bytes."""
    path = given.parent / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(given.iterdir()):
            archive.write(file, file.name)
        for entry, data in more:
            archive.writestr(entry, data)
    shutil.rmtree(given)
    return path


def tarred(given, *more):
    """Tar a submission, and more entries: a TarInfo, and bytes."""
    path = given.parent / "given.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(given.iterdir()):
            archive.add(file, file.name)
        for entry, data in more:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    shutil.rmtree(given)
    return path


def _zip_kind(kind, data=b"../canary/secret.png"):
    entry = zipfile.ZipInfo("rain-0.png")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    return entry, data


def _tar_entry(name, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def _nul(name):
    entry = zipfile.ZipInfo("x.png")
    entry.filename = entry.orig_filename = name
    return entry


SCENE = b"not looked at"
ZIPS = {
    "slip": (("../evil.png", SCENE), "leave the folder"),
    "slip in the middle": (("a/../../evil.png", SCENE), "leave the folder"),
    "absolute": (("/etc/evil.png", SCENE), "leave the folder"),
    "drive": (("C:evil.png", SCENE), "leave the folder"),
    "backslash": (("..\\evil.png", SCENE), "leave the folder"),
    "hidden slip": (("../.hidden", SCENE), "leave the folder"),
    "slip beside macOS": (("__MACOSX/../../evil.png", SCENE), "leave the folder"),
    "NUL": ((_nul("evil\0.png"), SCENE), "can't be printed"),
    "terminal codes": (("\x1b]0;evil\x07.png", SCENE), "can't be printed"),
    "symlink": (_zip_kind(stat.S_IFLNK), "a link, a device"),
    "FIFO": (_zip_kind(stat.S_IFIFO, b""), "a link, a device"),
    "device": (_zip_kind(stat.S_IFCHR, b""), "a link, a device"),
    "twice": (("dog-0.png", SCENE), "'dog-0.png' twice"),
    "case": (("DOG-0.PNG", SCENE), "differ in case or accents only"),
    "file in a file": (("dog-0.png/x.png", SCENE), "can't be unpacked"),
    "nested": (("more.zip", SCENE), "another archive, 'more.zip'"),
    "nested tar": (("a/more.tar.GZ", SCENE), "another archive"),
    "deep": (("a/b/c/d/e/x.png", SCENE), "folders deep"),
    "long name": (("a" * 300 + ".png", SCENE), "longer than"),
    "large": (("large.png", bytes(unpack.MOST_BYTES_EACH + 1)), "at most"),
    "stranger": (("dig-0.png", SCENE), "belong to no clip"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("how", ZIPS)
def test_hostile_zips(ground, refused, how):
    entry, words = ZIPS[how]
    assert words in refused(zipped(ground / "given", entry))


TARS = {
    "slip": (_tar_entry("../evil.png"), "leave the folder"),
    "absolute": (_tar_entry("/etc/evil.png"), "leave the folder"),
    "symlink": (_tar_entry("dig-0.png", tarfile.SYMTYPE, "../canary/secret.png"), "a link, a device"),
    "hard link": (_tar_entry("dig-0.png", tarfile.LNKTYPE, "/etc/passwd"), "a link, a device"),
    "symlinked folder": (_tar_entry("images", tarfile.SYMTYPE, ".."), "a link, a device"),
    "FIFO": (_tar_entry("dig-0.png", tarfile.FIFOTYPE), "a link, a device"),
    "device": (_tar_entry("dig-0.png", tarfile.CHRTYPE), "a link, a device"),
    "sparse": (_tar_entry("dig-0.png", tarfile.GNUTYPE_SPARSE), "can't be taken|a link, a device"),
    "twice": (_tar_entry("dog-0.png"), "'dog-0.png' twice"),
    "no UTF-8": (_tar_entry("\udcff.png"), "can't be printed"),
    "nested": (_tar_entry("more.tgz"), "another archive"),
}


@pytest.mark.parametrize("how", TARS)
def test_hostile_tars(ground, refused, how):
    entry, words = TARS[how]
    sentence = refused(tarred(ground / "given", (entry, b"")))
    assert any(each in sentence for each in words.split("|")), sentence


def test_a_zip_bomb_is_stopped_while_it_is_unpacked(ground, refused, monkeypatch, tmp_path):
    """By what really comes out of it: here its own words about the sizes are small."""
    monkeypatch.setattr(unpack, "FREE_BYTES", 2**20)
    path = zipped(ground / "given", *((f"bomb-{i}.png", bytes(8 * 2**20)) for i in range(4)))
    assert "bomb" in refused(path)
    data = path.read_bytes()
    real, told = struct.pack("<I", 8 * 2**20), struct.pack("<I", 999)
    assert data.count(real) == 8
    path.write_bytes(data.replace(real, told))
    assert "broken" in refused(path), "more than it said"


def test_a_tar_bomb_is_stopped_while_it_is_unpacked(ground, refused, monkeypatch):
    monkeypatch.setattr(unpack, "FREE_BYTES", 2**20)
    monkeypatch.setattr(unpack, "MOST_FILES", 100)
    assert "bomb" in refused(tarred(ground / "given", (_tar_entry("bomb.png"), bytes(16 * 2**20))))


def test_a_tar_header_that_claims_gigabytes_takes_no_memory(ground, refused):
    """tarfile reads a long name in one piece; what the archive claims must not decide how much that is."""
    header = _tar_entry("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    header.size = 4 * 2**30
    path = ground / "given.tgz"
    path.write_bytes(gzip.compress(header.tobuf() + bytes(2**20)))
    assert "a header in it is too long" in refused(path)


def _pax(size, count=1):
    """A tar of `count` headers in one another, each with a comment of `size` bytes."""
    header = _tar_entry("x", tarfile.XHDTYPE)
    body = b"%d comment=%s\n" % (size, b"a" * (size - 10 - len(str(size))))
    header.size = len(body)
    return (header.tobuf() + body + bytes(-len(body) % 512)) * count


@pytest.mark.parametrize("headers", [_pax(3 * 2**20), _pax(2**19, 8)], ids=["one", "many"])
def test_long_tar_headers_take_no_memory(ground, refused, headers):
    path = ground / "given.tgz"
    path.write_bytes(gzip.compress(headers + _tar_entry("dog-0.png").tobuf() + bytes(1024)))
    assert "a header in it is too long" in refused(path)


def test_headers_of_many_entries_are_no_long_header(ground, clip_folder, monkeypatch):
    """Each entry has headers of its own, and images of any size lie between."""
    monkeypatch.setattr(unpack, "_CHUNK", 4096)
    for name in (f"ignored-{number}.txt" for number in range(20)):
        (ground / "given" / name).write_bytes(bytes(9000))
    with read_outputs(tarred(ground / "given"), load_clips(clip_folder)) as found:
        assert found.problems == ()
        assert len(found.hashes) == 8


def test_a_zip_that_claims_a_long_list_takes_no_memory(ground, refused, monkeypatch):
    """zipfile reads the list of entries in one piece, as long as the archive claims."""
    monkeypatch.setattr(unpack, "MOST_BYTES_EACH", 2**20)
    path = zipped(ground / "given")
    data = path.read_bytes()
    end = bytearray(data[data.rindex(b"PK\5\6") :])
    struct.pack_into("<II", end, 12, 2**21, 4)
    path.write_bytes(b"PK\3\4" + bytes(2**21) + end)
    assert "its list of entries is too long" in refused(path)


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_archives(ground, refused, pack, kept):
    path = pack(ground / "given")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "broken or cut off" in refused(path)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_bytes_changed_anywhere_are_never_more_than_a_sentence(ground, clip_folder, pack):
    path, clips = pack(ground / "given"), load_clips(clip_folder)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    before = tree(ground / "leaderboards"), tree(ground / "canary")
    said, raised = [], 0
    for _ in range(60):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            with read_outputs(path, clips) as found:
                said += found.problems
        except A2IBenchError as error:
            said.append(str(error))
            raised += 1
    assert all(sentence.isprintable() for sentence in said)
    assert raised > 10
    assert (tree(ground / "leaderboards"), tree(ground / "canary")) == before


def test_too_many_entries(ground, refused, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_FILES", 6)
    assert "more than 6 entries" in refused(zipped(ground / "given"))


def test_encrypted_and_strangely_packed_zips(ground, refused):
    path = zipped(ground / "given")
    data = path.read_bytes()
    central = data.index(b"PK\1\2")
    for offset, value, words in ((8, 1, "encrypted"), (10, 12, "unusual way")):
        changed = bytearray(data)
        changed[central + offset] = value
        path.write_bytes(changed)
        assert words in refused(path)


def test_what_is_no_archive(ground, refused):
    for data in (b"", b"hello", b"7z\xbc\xaf\x27\x1c", b"<html>"):
        (ground / "given.zip").write_bytes(data)
        assert "no folder, .zip or .tar.gz" in refused(ground / "given.zip")
    (ground / "given.zip").write_bytes(gzip.compress(b"no tar"))
    assert "broken" in refused(ground / "given.zip")
    os.mkfifo(ground / "pipe.zip")
    assert "no folder" in refused(ground / "pipe.zip")


def test_nothing_is_left_in_the_temporary_folder(ground, refused, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    refused(zipped(ground / "given", ("../evil.png", SCENE)))
    assert not list(folder.iterdir())


# ------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "no name"),
        ("!!!", "no Latin letter"),
        ("..", "no Latin letter"),
        ("\u732b", "no Latin letter"),
        ("con", "is reserved"),
        ("LPT1", "is reserved"),
        ("sanity", "is reserved"),
        ("README", "is reserved"),
        ("a" * 81, "'name' can't be taken"),
        ("a\nb", "'name' can't be taken"),
        ("a\x1b[2Jb", "'name' can't be taken"),
        ("a\u202eb", "'name' can't be taken"),
        ("noise", "by 'A. Nobody'"),
        ("NOISE!", "by 'A. Nobody'"),
    ],
)
def test_hostile_names(ground, refused, name, words):
    assert words in refused(ground / "given", "--name", name)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/b\\c", "..\\evil", "$(evil)", "-rf evil"])
def test_paths_as_names_become_harmless(ground, run_cli, tiny_suite, name):
    before = {k: v for k, v in tree(ground).items() if not k.startswith("leaderboards/tiny")}
    outcome = run_cli("submit", ground / "given", "--suite", tiny_suite, f"--name={name}")
    assert outcome.code == 0, outcome.err
    after = tree(ground)
    assert {k: v for k, v in after.items() if not k.startswith("leaderboards/tiny")} == before
    rows = {path.split("/")[2] for path in after if path.endswith("result.json")}
    assert len(rows) == 2
    assert all(row.replace("-", "").isalnum() and row.isascii() for row in rows)


def test_scripts_and_markup_in_every_field_are_harmless(ground, run_cli, tiny_suite):
    """What is taken is shown as text: in no page and no table does it become a tag, a link or a macro."""
    hostile = "<img src=x onerror=alert(1)>" + SCRIPT + "|`[x](javascript:alert(1))` \\input{/etc/passwd} {{7*7}} =1+1"
    fields = ("authors", "licence", "training_data", "notes")
    lines = [f"{field} = '''{hostile} {field}'''" for field in fields]
    (ground / "given/method.toml").write_text("\n".join([f"name = '''{hostile[:70]}'''", *lines]))
    outcome = run_cli("submit", ground / "given", "--suite", tiny_suite)
    assert outcome.code == 0, outcome.err
    board = ground / "leaderboards/tiny"
    page, readme, latex = ((board / name).read_text() for name in ("index.html", "README.md", "leaderboard.tex"))
    assert SCRIPT not in page
    assert "<img src=x" not in page
    assert SCRIPT not in readme
    assert "<img src=x" not in readme
    assert "](javascript:" not in readme
    assert "\\input{" not in latex


def test_a_submission_that_changes_while_it_is_scored(ground, run_cli, tiny_suite, monkeypatch):
    from a2ibench.board import submit as module

    scored = module.result_of

    def change(*arguments, **options):
        result = scored(*arguments, **options)
        (ground / "given/dog-0.png").write_bytes((ground / "given/dog-1.png").read_bytes())
        return result

    monkeypatch.setattr(module, "result_of", change)
    before = tree(ground / "leaderboards")
    outcome = run_cli("submit", ground / "given", "--suite", tiny_suite, "--name", "evil")
    assert "changed while it was scored" in outcome.sentence
    assert {k: v for k, v in tree(ground / "leaderboards").items() if not k.endswith(".lock")} == {
        k: v for k, v in before.items() if not k.endswith(".lock")
    }


LOCKS = {
    "a folder": lambda lock: lock.mkdir(),
    "a link": lambda lock: lock.symlink_to("../../canary/secret.png"),
    "a link to itself": lambda lock: lock.symlink_to(".lock"),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("how", LOCKS)
def test_a_lock_that_is_none(ground, refused, how):
    lock = ground / "leaderboards/tiny/.lock"
    lock.unlink(missing_ok=True)
    LOCKS[how](lock)
    assert ".lock" in refused(ground / "given")


def test_a_row_that_is_a_link_is_not_followed(ground, refused):
    (ground / "leaderboards/tiny/evil").symlink_to(ground / "canary")
    assert "not a row of a board" in refused(ground / "given", "--name", "evil", "--replace")


def test_a_bomb_takes_little_memory(ground, refused):
    path = ground / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("dog-0.png", "w") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        sentence = refused(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "bomb" in sentence
    assert peak < 32 * 2**20
