"""Files are whole or not there: whatever goes wrong, the old file stays and no litter is left."""

import errno
import os
import stat
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from a2ibench import files
from a2ibench.errors import A2IBenchError
from a2ibench.files import (
    building,
    check_space,
    check_writable,
    read_limited,
    read_state,
    reserve,
    sha256_file,
    sweep,
    write_bytes,
    write_state,
    write_text,
)
from a2ibench.media.image import save_image


def failing(code):
    def fail(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def test_writes_text_as_it_is_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "deep" / "a.txt"
    write_text(path, "naïve ↑\nline\r\n")
    assert path.read_bytes() == "naïve ↑\nline\r\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_replaces_a_file_and_respects_the_umask(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    before = os.umask(0o022)
    try:
        write_bytes(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("where", ["replace", "fsync"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_killed_in_the_middle_keeps_the_old_file_and_leaves_no_litter(tmp_path, monkeypatch, where, error):
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def killed(*_args):
        raise error

    monkeypatch.setattr(files.os, where, killed)
    with pytest.raises(error):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "no space"),
        (errno.EDQUOT, "no space"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "only be read"),
        (errno.EIO, "choose another place"),
    ],
)
def test_errors_name_the_path_and_the_reason_in_one_sentence(tmp_path, monkeypatch, code, says):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    monkeypatch.setattr(files.os, "fsync", failing(code))
    with pytest.raises(A2IBenchError, match=says) as caught:
        write_bytes(path, b"new")
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_while_writing(tmp_path, monkeypatch):
    opened = Path.open

    def full(self, mode="r", *args, **kwargs):
        file = opened(self, mode, *args, **kwargs)
        if "x" not in mode:
            return file

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def fileno(self):
                return file.fileno()

            def write(self, data):
                file.write(data[:1])
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(A2IBenchError, match="free some space"):
        write_bytes(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_a_device_and_a_file_in_the_way(tmp_path):
    with pytest.raises(A2IBenchError, match="not a file"):
        write_bytes(tmp_path, b"")
    with pytest.raises(A2IBenchError, match="not a file"):
        write_bytes(Path(os.devnull), b"")
    write_bytes(tmp_path / "file", b"")
    with pytest.raises(A2IBenchError, match="file"):
        write_bytes(tmp_path / "file" / "a", b"")
    with pytest.raises(A2IBenchError, match="file stands where a folder should"):
        check_writable(tmp_path / "file")
    with pytest.raises(A2IBenchError, match="too long"):
        write_bytes(tmp_path / ("x" * 300), b"")


def test_images_without_metadata(tmp_path):
    image = Image.new("RGB", (4, 3), (1, 2, 3))
    image.info.update(dpi=(72, 72), icc_profile=b"x" * 99, comment="secret")
    image.getexif()[0x10E] = "secret"
    plain = Image.new("RGB", (4, 3), (1, 2, 3))
    note = PngInfo()
    note.add_text("prompt", "secret")
    image.save(tmp_path / "before.png", pnginfo=note)
    with Image.open(tmp_path / "before.png") as opened:
        save_image(tmp_path / "a.png", opened)
    save_image(tmp_path / "b.png", image)
    save_image(tmp_path / "c.png", plain)
    found = {(tmp_path / f"{name}.png").read_bytes() for name in "abc"}
    assert len(found) == 1
    assert b"secret" not in found.pop()
    assert image.info["comment"] == "secret"  # the caller's image is left alone


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_images_of_any_mode(tmp_path, mode):
    save_image(tmp_path / "a.png", Image.new(mode, (2, 2)))
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.size == (2, 2)


def test_check_writable(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == [], "a command that is refused later leaves nothing behind"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", failing(errno.EACCES))
        with pytest.raises(A2IBenchError, match="no permission"):
            check_writable(tmp_path / "other")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", failing(errno.ENOSPC))
        with pytest.raises(A2IBenchError, match="no space"):
            check_writable(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_only_be_read(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(A2IBenchError, match="no permission"):
        write_bytes(tmp_path / "a", b"")
    tmp_path.chmod(0o700)


def test_a_strangers_file_is_read_only_where_it_is_one(tmp_path):
    from a2ibench.files import read_limited

    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    assert read_limited(plain, 5) == b"12345"
    with pytest.raises(A2IBenchError, match="larger than 4 bytes"):
        read_limited(plain, 4)
    with pytest.raises(FileNotFoundError):
        read_limited(tmp_path / "absent", 5)
    (tmp_path / "link").symlink_to(plain)
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "zero", "loop", "fifo", "."):
        with pytest.raises(A2IBenchError) as error:
            read_limited(tmp_path / name, 5)
        assert "plain file" in str(error.value)
    with pytest.raises(A2IBenchError, match="too long"):
        read_limited(tmp_path / ("x" * 400), 5)


# -------------------------------------------------------------------------------- state, litter, folders, space


def test_state_that_was_damaged_is_never_believed(tmp_path):
    path = tmp_path / "state.json"
    assert read_state(path, "fix it") is None
    write_state(path, {"failed": ["bell-0"], "ü": 1.5})
    assert read_state(path, "fix it") == {"failed": ["bell-0"], "ü": 1.5}
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(A2IBenchError):  # else it was a blank between two values
            assert read_state(path, "fix it") == {"failed": ["bell-0"], "ü": 1.5}
    for text in ("", "null", "[]", "5", '{"failed": 5}', "[" * 100_000, "\0" * 40):
        path.write_text(text)
        with pytest.raises(A2IBenchError, match="is broken; fix it"):
            read_state(path, "fix it")


def test_a_sweep_takes_what_is_dead_and_leaves_what_is_written_now(tmp_path, monkeypatch):
    (tmp_path / ".a.png.0123abcd.part").write_bytes(b"half")
    (tmp_path / ".b.0123abcd.folder-part").mkdir()
    (tmp_path / ".b.0123abcd.folder-part/file").touch()
    (tmp_path / ".row.0123abcd.part").mkdir()  # a board's
    kept = (".c.part", ".d.0123abcd.part.old", "a.0123abcd.part", ".e.0123ABCD.part")
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".link.0123abcd.part").symlink_to(tmp_path / ".c.part")
    synced = os.fsync

    def meanwhile(descriptor):
        sweep(tmp_path)
        synced(descriptor)

    monkeypatch.setattr(files.os, "fsync", meanwhile)
    write_bytes(tmp_path / "f", b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole"
    with building(tmp_path / "g") as part:
        (part / "one").touch()
        sweep(tmp_path)
    assert (tmp_path / "g/one").exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {
        *kept,
        ".link.0123abcd.part",
        ".row.0123abcd.part",
        "f",
        "g",
    }
    (tmp_path / ".a.0123abcd.part").touch()
    (tmp_path / ".b.0123abcd.part").touch()
    sweep(tmp_path, "a")
    assert not (tmp_path / ".a.0123abcd.part").exists()
    assert (tmp_path / ".b.0123abcd.part").exists()
    check_writable(tmp_path)
    assert not (tmp_path / ".b.0123abcd.part").exists()


def test_a_sweep_that_comes_between_making_and_locking_costs_a_second_try(tmp_path, monkeypatch):
    lock, swept = files._lock, []

    def late(descriptor, **how):
        if not swept:
            swept.append(descriptor)
            sweep(tmp_path)
        return lock(descriptor, **how)

    monkeypatch.setattr(files, "_lock", late)
    write_bytes(tmp_path / "a", b"whole")
    assert swept
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_a_folder_is_built_whole_or_not_at_all(tmp_path):
    def stopped():
        with building(tmp_path / "a") as part:
            (part / "one").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    with building(tmp_path / "link") as part:
        (part / "one").touch()
    assert (tmp_path / "a/one").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "link"]
    with pytest.raises(A2IBenchError, match="can't be written"), building(tmp_path / "a"):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "link"]


def test_errors_name_the_folder_that_is_meant(tmp_path):
    def fail():
        with building(tmp_path / "a") as part:
            (part / "one").mkdir()
            write_bytes(part / "one", b"")

    with pytest.raises(A2IBenchError, match=rf"^{tmp_path}/a/one can't be written"):
        fail()


def test_space_is_reserved_or_refused(tmp_path):
    with (tmp_path / "a").open("w+b") as file:
        reserve(file, 1_000_000)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 1_000_000
    check_space(tmp_path / "new/deep", 1, "a test")
    with pytest.raises(A2IBenchError, match=r"of space left, and a test needs 1,000,000,000,000 MB"):
        check_space(tmp_path / "new/deep", 10**18, "a test")


def test_only_plain_files_are_hashed(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(A2IBenchError, match="plain file"):
        sha256_file(tmp_path / "fifo")
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    assert sha256_file(tmp_path / "link") == sha256_file(tmp_path / "a")


def test_a_small_file_is_read_in_little_room_whatever_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        assert read_limited(tmp_path / "a", 10**9) == b"x" * 1000
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert read_limited(tmp_path / "a", 1000) == b"x" * 1000
    with pytest.raises(A2IBenchError, match="larger than 999 bytes"):
        read_limited(tmp_path / "a", 999)


def test_a_cache_that_cant_be_written_names_its_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("A2IBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(A2IBenchError, match="set A2IBENCH_CACHE to a folder elsewhere"):
        check_writable(tmp_path / "file" / "cache" / "features")
    with pytest.raises(A2IBenchError) as error:
        check_writable(tmp_path / "file" / "out")
    assert "A2IBENCH_CACHE" not in str(error.value)
