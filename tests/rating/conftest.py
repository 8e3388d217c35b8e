"""What the tests of the human study share: small clips and runs of random images, and studies made of them."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from browsing import CHROMIUM, watch
from PIL import Image

METHODS = ("alphadraw", "betapaint", "gammanet")
LABELS = ("bell ringing", "dog barking", "rain falling")


def _picture(seed, size):
    """A random picture with metadata that would tell whose it is."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def rating_data(tmp_path_factory):
    """A folder with ``clips/`` (six clips of three labels) and ``runs/METHOD/images/``, whose files name the method."""
    from PIL.PngImagePlugin import PngInfo

    root = tmp_path_factory.mktemp("rating")
    (root / "clips").mkdir()
    rows = ["clip_id,audio,image,label"]
    for number in range(6):
        clip_id, label = f"clipid-{number}", LABELS[number % 3]
        time = np.arange(16_000) / 16_000
        soundfile.write(root / "clips" / f"{clip_id}.wav", 0.3 * np.sin(2 * np.pi * (300 + 90 * number) * time), 16_000)
        _picture(number, (48, 36)).save(root / "clips" / f"{clip_id}.png")
        rows.append(f"{clip_id},{clip_id}.wav,{clip_id}.png,{label}")
        for place, method in enumerate(METHODS):
            note = PngInfo()
            note.add_text("prompt", f"drawn by {method} of {clip_id}")
            folder = root / "runs" / method / "images"
            folder.mkdir(parents=True, exist_ok=True)
            _picture(100 * place + number + 50, (32, 32)).save(folder / f"{clip_id}.png", pnginfo=note)
    (root / "clips" / "clips.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def _made(rating_data, tmp_path_factory):
    """Each kind of study is made once."""
    from a2ibench.clips import load_clips
    from a2ibench.rating import make

    made = {}

    def get(design, methods, clips, repeats, controls, seed):
        key = (design, methods, clips, repeats, controls, seed)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("studies") / "study"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("a2ibench.media.image.UNIFORM_SIDE", 64)  # the size changes nothing but the time it takes
                make.make_study(
                    make.read_runs([str(rating_data / "runs" / method) for method in methods], "tiny@1"),
                    load_clips(rating_data / "clips"),
                    made[key],
                    suite="tiny@1",
                    design=design,
                    count=clips,
                    repeats=repeats,
                    controls=controls,
                    seed=seed,
                    salt="5a17" * 8,
                )
        return made[key]

    return get


@pytest.fixture
def tiny_study(_made, tmp_path):
    """Make a study folder that the test may spoil: ``tiny_study(design="pairwise", methods=…, clips=4, …)``."""

    def make(*, design="likert", methods=METHODS, clips=4, repeats=2, controls=2, seed=0):
        source = _made(design, tuple(methods), clips, repeats, controls, seed)
        return shutil.copytree(source, tmp_path / f"study-{design}-{len(methods)}-{clips}-{seed}", dirs_exist_ok=True)

    return make


# ------------------------------------------------------------------------------------------------- server


class Server:
    """``a2ibench rate serve`` as a process of its own."""

    def __init__(self, folder, port=0):
        code = "from a2ibench.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "rate", "serve", str(folder), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )
        self.said = [self.process.stdout.readline(), self.process.stdout.readline()]
        self.address = re.search(r"http://\S+:\d+", self.said[0])[0]
        self.watch = urlsplit(re.search(r"http://\S+", self.said[1])[0]).path
        self.port = urlsplit(self.address).port

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=20)
        return "".join(self.said) + rest


@pytest.fixture
def start_server():
    """Start the server of a study; what still runs at the end is killed."""
    started = []

    def start(folder, port=0):
        started.append(Server(folder, port))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.end()


@pytest.fixture
def kept():
    """Read the answers of a study's server, past the server: ``kept(folder)[rater, item]`` is a value."""

    def read(folder):
        with contextlib.closing(sqlite3.connect(folder / "ratings.sqlite")) as connection:
            rows = connection.execute("SELECT rater, item, value FROM answers").fetchall()
        assert len({row[:2] for row in rows}) == len(rows), "an answer is doubled"
        return {(rater, item): value for rater, item, value in rows}

    return read


@pytest.fixture
def invite():
    """Make links for the next raters of a study: ``invite(folder, 3)`` gives their secrets by their codes."""
    from a2ibench.rating.store import Store
    from a2ibench.rating.study import Study

    def make(folder, count):
        with contextlib.closing(Store(folder, Study.load(folder))) as store:
            return store.invite(store.next_raters(count))

    return make


# ------------------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def chromium():
    """The browser; its pages fail a test that throws an error or breaks the page's own policy."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the path")
    with playwright.sync_playwright() as started:
        yield started.chromium


@pytest.fixture(scope="module")
def browser(chromium):
    launched = chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield launched
    launched.close()


@pytest.fixture
def opened(browser):
    """Open an address in a browser that knows nothing yet: ``opened(url, viewport=…)``."""
    contexts, problems = [], []

    def open_page(url, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        watch(page, problems)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems
