"""A cluster of two Ray nodes on this machine: each with a copy of the code, one folder of data for both."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.runs.pools import open_workers

ROOT = Path(__file__).resolve().parents[1]


def _free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379"])
def test_an_address_that_does_not_answer_is_told_within_seconds(address):
    pytest.importorskip("ray", reason="Ray is not installed (an extra: pip install a2ibench[ray])")
    began = time.monotonic()
    with pytest.raises(A2IBenchError, match="No Ray cluster answers at"):
        open_workers(ray=address)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("address", ["", "x", "host:", ":1:", "host:port"])
def test_what_is_no_address_is_refused(address):
    pytest.importorskip("ray", reason="Ray is not installed (an extra: pip install a2ibench[ray])")
    with pytest.raises(A2IBenchError, match=r"no address|answers"):
        open_workers(ray=address)


def test_without_ray_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(A2IBenchError, match=r"pip install 'a2ibench\[ray\]'"):
        open_workers(ray="auto")


# ------------------------------------------------------------------------------------------------- two nodes


@pytest.fixture
def cluster(hum, hum_package, tmp_path):
    """Two nodes of a core each; gives the address and the folders of their code."""
    pytest.importorskip("ray", reason="Ray is not installed (an extra: pip install a2ibench[ray])")
    port, sockets = _free_port(), tempfile.mkdtemp(prefix="a2i-")  # the path of a socket must be short
    codes = [tmp_path / "node0", tmp_path / "node1"]
    head = ["--head", f"--port={port}", f"--temp-dir={sockets}", "--include-dashboard=false"]
    try:
        _start(codes[0], hum_package, head)
        _start(codes[1], hum_package, [f"--address=127.0.0.1:{port}"])
        yield f"127.0.0.1:{port}", codes
    finally:
        _end(sockets)


def _start(code, plugin, place):
    """Start a node that has its own copy of the package."""
    kept = shutil.ignore_patterns("*.safetensors", "*.png", "*.ogg", "*.mp4", "__pycache__")
    shutil.copytree(ROOT / "a2ibench", code / "a2ibench", ignore=kept)
    environ = {
        **os.environ,
        "PYTHONPATH": f"{code}{os.pathsep}{plugin}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # it takes the loopback address for a sign of these
    }
    rest = ("--node-ip-address=127.0.0.1", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=80000000")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *place, *rest, "--disable-usage-stats"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=code, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def _end(sockets):
    """End the processes of this cluster, and no other: their command lines name its folder."""
    for _ in range(2):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if sockets in line and int(folder.name) != os.getpid():
                try:
                    os.kill(int(folder.name), signal.SIGKILL)
                except ProcessLookupError:
                    continue
        time.sleep(0.5)
    shutil.rmtree(sockets, ignore_errors=True)


@pytest.mark.slow
def test_two_nodes_make_the_same_bytes_though_workers_are_killed(cluster, run_cli, tmp_path):
    address, codes = cluster
    seen = tmp_path / "seen"
    seen.mkdir()
    words = ("eval", "--method", "hum", "--suite", "hum", "--metric", "HUM", "--batch-size", 1)
    assert run_cli(*words, "--out", "whole").code == 0
    over, killed = threading.Event(), []

    def kill():
        chance = random.Random(0)  # noqa: S311
        while len(killed) < 2 and not over.wait(0.5):
            pids = sorted({int(file.name.split("-")[0]) for file in seen.iterdir()} - set(killed))
            if len(pids) > len(killed):
                killed.append(chance.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        outcome = run_cli(
            *words,
            "--out",
            "cluster",
            "--ray",
            address,
            "--set",
            f"seen={seen}",
            "--set",
            "slow=1",
            "--set",
            "kills=dog-1",
        )
    finally:
        over.set()
        thread.join()
    assert outcome.code == 0, outcome.err
    assert killed
    ran = {file.read_text() for file in seen.iterdir()}
    assert ran == {str(code / "a2ibench/__init__.py") for code in codes}, "each node ran its own copy"
    images = {file.name: file.read_bytes() for file in Path("whole/images").iterdir()}
    del images["dog-1.png"]
    assert {file.name: file.read_bytes() for file in Path("cluster/images").iterdir()} == images
    assert "'dog-1'" in outcome.out + outcome.err
    assert len(list(Path("cluster/units/features").glob("*.safetensors"))) >= 1
