"""Downloads against a server on this machine: resumed, verified, atomic; and every error in one sentence."""

import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file

from a2ibench import A2IBenchError
from a2ibench.files import cache_dir, sha256_file
from a2ibench.weights.entries import Checkpoint, published
from a2ibench.weights.fetch import locate, status, verify
from a2ibench.weights.read import read_checkpoint, read_state_dict

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serve ``BODY`` in the ways that servers do and fail to."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://example.com/file")
            self.end_headers()
            return
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.path != "/norange" else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        if start:
            first = start + (self.path == "/shifted")
            self.send_header("Content-Range", f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        rest = BODY[start:]
        self.wfile.write(rest[: len(rest) // 2] if self.path == "/breaks" else rest)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("A2IBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("A2IBENCH_WEIGHTS", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def entry(server):
    server.asked = []

    def entry(*paths, **changes):
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{path}" for path in paths)
        base = Checkpoint("net", "net.pt", "MIT", urls, sha256=SHA256, bytes=len(BODY))
        return replace(base, **changes)

    return entry


def fetch(checkpoint):
    return locate(checkpoint, _loopback=True)


def weights_folder():
    return cache_dir() / "weights"


def left_over():
    """What a download left, besides its lock."""
    return sorted(path.name for path in weights_folder().iterdir() if path.suffix != ".lock")


def test_download(entry, server):
    path = fetch(entry("file"))
    assert path == weights_folder() / "net.pt"
    assert path.read_bytes() == BODY
    assert left_over() == ["net.pt"]
    assert fetch(entry("file")) == path
    assert len(server.asked) == 1


def test_resumes_after_a_break(entry, server):
    with pytest.raises(A2IBenchError, match=f"broke after {len(BODY) // 2} of {len(BODY)} bytes"):
        fetch(entry("breaks"))
    assert left_over() == ["net.pt.part"]
    assert fetch(entry("file")).read_bytes() == BODY
    assert server.asked[-1] == ("/file", f"bytes={len(BODY) // 2}-")
    assert left_over() == ["net.pt"]


def test_starts_over_where_the_server_knows_no_ranges(entry):
    weights_folder().mkdir(parents=True)
    (weights_folder() / "net.pt.part").write_bytes(b"x" * 100)
    assert fetch(entry("norange")).read_bytes() == BODY


def test_starts_over_where_the_part_is_too_long(entry):
    weights_folder().mkdir(parents=True)
    (weights_folder() / "net.pt.part").write_bytes(b"x" * (len(BODY) + 1))
    assert fetch(entry("file")).read_bytes() == BODY


def test_another_part_than_asked_for_is_refused(entry):
    weights_folder().mkdir(parents=True)
    (weights_folder() / "net.pt.part").write_bytes(BODY[:100])
    with pytest.raises(A2IBenchError, match="another part"):
        fetch(entry("shifted"))
    assert fetch(entry("file")).read_bytes() == BODY


def test_wrong_hash_leaves_nothing(entry):
    with pytest.raises(A2IBenchError, match=f"sha256 {SHA256}, expected 00"):
        fetch(entry("file", sha256="00" * 32))
    assert left_over() == []


def test_wrong_size_leaves_nothing(entry):
    with pytest.raises(A2IBenchError, match=f"sent {len(BODY)} bytes, expected 5"):
        fetch(entry("file", bytes=5))
    assert left_over() == []


def test_the_next_source_is_tried(entry):
    assert fetch(entry("missing", "file")).read_bytes() == BODY


def test_absent_says_everything_in_one_sentence(entry, server):
    with pytest.raises(A2IBenchError) as error:
        fetch(entry("missing"))
    for part in ("net.pt", "1.0 MB", "licence MIT", "HTTP 404", "/missing", "a2ibench doctor"):
        assert part in str(error.value)
    assert str(weights_folder() / "net.pt") in str(error.value)
    assert "\n" not in str(error.value)


def test_the_place_to_put_it_is_the_users_own(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("A2IBENCH_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(A2IBenchError, match=f"put it at {tmp_path / 'mine' / 'net.pt'},"):
        fetch(entry("missing"))


def test_offline_asks_nobody(entry, server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(A2IBenchError, match="network is switched off"):
        fetch(entry("file"))
    assert server.asked == []
    assert locate(entry("file"), offline=False, _loopback=True).is_file()
    assert fetch(entry("file")).is_file()  # what is here needs no network


def test_only_https(entry):
    with pytest.raises(A2IBenchError, match="is not https"):
        locate(entry("file"))
    with pytest.raises(A2IBenchError, match=r"http://example.com/file is not https"):
        fetch(entry("elsewhere"))


def test_a_users_own_file_is_checked_not_downloaded(entry, server, tmp_path, monkeypatch):
    monkeypatch.setenv("A2IBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.pt").write_bytes(BODY)
    assert fetch(entry("file")) == tmp_path / "net.pt"
    (tmp_path / "net.pt").write_bytes(BODY[:-1])
    with pytest.raises(A2IBenchError, match=f"is truncated: {len(BODY) - 1} bytes, expected {len(BODY)}"):
        fetch(entry("file"))
    (tmp_path / "net.pt").write_bytes(BODY[::-1])
    with pytest.raises(A2IBenchError, match=f"sha256 .* expected {SHA256}"):
        fetch(entry("file"))
    assert server.asked == []


def test_prefix_and_git_hashes(entry, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(BODY)
    git = hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()  # noqa: S324
    loose = entry("file", sha256="", sha256_prefix=SHA256[:8], git_blob=git)
    assert verify(path, loose) == SHA256 == sha256_file(path)
    with pytest.raises(A2IBenchError, match="git blob sha1"):
        verify(path, replace(loose, git_blob="0" * 40))
    with pytest.raises(A2IBenchError, match=f"sha256 {SHA256}, expected 1234abcd"):
        verify(path, replace(loose, sha256_prefix="1234abcd"))
    assert verify(path, replace(loose, sha256_prefix="", git_blob="")) == SHA256


def test_a_remembered_hash_knows_a_changed_file(entry, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(BODY)
    verify(path, entry("file"))
    assert not (cache_dir() / "hashes.json").exists()  # too young: it could change within the clock's tick
    os.utime(path, (1e9, 1e9))
    assert verify(path, entry("file")) == verify(path, entry("file")) == SHA256
    assert (cache_dir() / "hashes.json").is_file()
    path.write_bytes(BODY[::-1])
    with pytest.raises(A2IBenchError, match="expected"):
        verify(path, entry("file"))
    (cache_dir() / "hashes.json").write_text("{broken")
    path.write_bytes(BODY)
    assert verify(path, entry("file")) == SHA256


def test_status(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("A2IBENCH_WEIGHTS", str(tmp_path))
    assert status(entry("file")) == "absent"
    (tmp_path / "net.pt").write_bytes(BODY)
    assert status(entry("file")) == "present"
    (tmp_path / "net.pt").write_bytes(b"x")
    assert status(entry("file")) == "wrong"


def test_a_hub_file(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def download(repo, file, *, revision, local_files_only):
        asked.append((repo, file, revision, local_files_only))
        if local_files_only:
            raise OSError("not in the cache\nmore lines")
        (tmp_path / file).write_bytes(BODY)
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    hub = Checkpoint("net", "net.pt", "MIT", hub="a/b", revision="c0ffee", sha256=SHA256)
    with pytest.raises(A2IBenchError, match=r"switched off .*; a/b: not in the cache\)"):
        locate(hub, offline=True)
    assert locate(hub) == tmp_path / "net.pt"
    assert asked == [("a/b", "net.pt", "c0ffee", True), ("a/b", "net.pt", "c0ffee", False)]
    with pytest.raises(A2IBenchError, match="expected 00"):
        locate(replace(hub, sha256="00" * 32))


def test_a_hub_folder(tmp_path, monkeypatch):
    import huggingface_hub

    folder = Checkpoint("sd", "sd", "MIT", hub="a/b", files=("model_index.json", "unet/config.json"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(tmp_path / "snapshot"))
    (tmp_path / "snapshot" / "unet").mkdir(parents=True)
    (tmp_path / "snapshot" / "model_index.json").touch()
    with pytest.raises(A2IBenchError, match=r"snapshot in .* has no unet/config\.json\): get it from"):
        locate(folder)
    assert status(folder) == "absent"
    (tmp_path / "snapshot" / "unet" / "config.json").touch()
    assert locate(folder) == tmp_path / "snapshot"
    assert status(folder) == "present"
    own = weights_folder() / "sd"
    own.mkdir(parents=True)
    with pytest.raises(A2IBenchError, match=r"has no model_index\.json"):  # a user's own folder comes first
        locate(folder)


def test_wrong_name():
    with pytest.raises(A2IBenchError, match="did you mean 'wav2clip'"):
        locate("wav2clop")


def test_published_entries_are_well_formed():
    entries = published()
    assert {"clip-vit-b-32", "wav2clip", "resnet50-v2", "fid-inception", "beats"} <= set(entries)
    for entry in entries.values():
        assert entry.licence
        assert entry.used_by
        assert entry.urls or entry.hub
        assert all(url.startswith("https://") for url in entry.urls)
        assert entry.bytes or entry.about
        assert len(entry.sha256) in (0, 64)
        int(entry.sha256 or "0", 16)
        if not entry.hash_known and not entry.is_folder:
            assert "not published" in entry.note
        if entry.hub:
            assert entry.files
            assert len(entry.revision) == 40 or "Not pinned" in entry.note


def test_no_encoder_file_is_a_pickle_of_code():
    """The CLIP weights are safetensors: OpenAI's own file is a TorchScript archive, which runs code."""
    assert published()["clip-vit-b-32"].file.endswith(".safetensors")


def test_read_both_formats(tmp_path):
    state = {"w": torch.arange(6.0).reshape(2, 3)}
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pt")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"cfg": {"layers": 12}, "model": state}, tmp_path / "beats.pt")
    for name in ("a.safetensors", "a.pt", "old.pth", "beats.pt"):
        read = read_state_dict(tmp_path / name)
        assert list(read) == ["w"]
        assert torch.equal(read["w"], state["w"])
    assert read_checkpoint(tmp_path / "beats.pt")["cfg"] == {"layers": 12}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_broken_files_are_named(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    state = {"w": torch.zeros(1000)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>404</html>" * 100):
        path.write_bytes(content)
        with pytest.raises(A2IBenchError, match=rf"net{suffix} .{len(content)} bytes. cannot be read") as error:
            read_state_dict(path)
        assert "\n" not in str(error.value)


def test_what_is_no_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(A2IBenchError, match="holds a list"):
        read_state_dict(tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(A2IBenchError, match="no state dict; its keys begin \\['epoch'\\]"):
        read_state_dict(tmp_path / "none.pt")
    with pytest.raises(A2IBenchError, match="does not exist"):
        read_state_dict(tmp_path / "nowhere.pt")


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_no_code_is_run(tmp_path, capsys):
    torch.save({"w": torch.zeros(1), "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(A2IBenchError, match="cannot be read"):
        read_state_dict(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


def test_cache_dir(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("A2IBENCH_CACHE")
    assert "a2ibench" in cache_dir().name


def test_the_import_is_light():
    heavy = {"torch", "huggingface_hub", "rich", "numpy"}
    code = f"import sys, a2ibench.weights.fetch; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_half_downloaded_hub_folder_is_named_before_any_work(tmp_path):
    import numpy as np
    from safetensors.numpy import save

    weights = save({"a": np.zeros(100, np.float32), "b": np.ones(3, np.float16)})
    folder = Checkpoint("sd", "sd", "MIT", hub="a/b", files=("model_index.json", "unet/net.safetensors"))
    own = weights_folder() / "sd"
    (own / "unet").mkdir(parents=True)
    (own / "model_index.json").write_text("{}")
    file = own / "unet/net.safetensors"
    file.write_bytes(weights)
    assert locate(folder) == own
    for part in (weights[:-1], weights[:20], weights[:3], b"", weights + b"x", b"\xff" * 50, b"\2" + b"\0" * 7 + b"[]"):
        file.write_bytes(part)
        with pytest.raises(A2IBenchError, match=r"net\.safetensors is truncated") as error:
            locate(folder)
        assert "a/b" in str(error.value)
    assert status(folder) == "wrong"
    file.unlink()
    with pytest.raises(A2IBenchError, match=r"has no unet/net\.safetensors"):
        locate(folder)


def test_a_pipe_or_a_link_in_place_of_a_part_is_taken_away(entry, tmp_path):
    for put in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "elsewhere")):
        weights_folder().mkdir(parents=True, exist_ok=True)
        put(weights_folder() / "net.pt.part")
        path = fetch(entry("file"))
        assert path.read_bytes() == BODY
        path.unlink()
    assert not (tmp_path / "elsewhere").exists()
