"""The cache of rows: by content and encoder, decoded once, and one sentence where it can't be used."""

import os
import shutil
import sqlite3
import threading
import time

import numpy as np
import pytest
from encode import audio_rows, image_rows, text_rows
from PIL import Image

from a2ibench.encoders.base import Encoder
from a2ibench.errors import A2IBenchError
from a2ibench.scoring import features
from a2ibench.scoring.features import FeatureCache, encode_files, in_order, readers_for

pytestmark = pytest.mark.usefixtures("fresh_cache")


class Counting(Encoder):
    """Rows are a digest of the pixels; the items of each call are kept."""

    modality = "image"
    configuration = {}  # noqa: RUF012

    def __init__(self, name="counting", weights="0" * 64, preprocessing="1", rate=0):
        self.name, self.weights, self.preprocessing, self.rate = name, weights, preprocessing, rate
        self.modality = "audio" if rate else "image"
        self.at_once = 2
        self.calls = []

    def encode(self, items):
        self.calls.append(len(items))
        return np.stack([self.row(item) for item in items])

    def row(self, item):
        if isinstance(item, str):
            return np.array([len(item), 1], np.float32)
        pixels = np.asarray(item, np.float32)
        return np.array([pixels.sum(), pixels.size, len(self.name)], np.float32)


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8 + number, 8), (10 * number, 5, 5)).save(path)
    return paths


@pytest.fixture
def decoded(monkeypatch):
    """The paths that were decoded, in order."""
    found = []
    read = features.read_image
    monkeypatch.setattr(features, "read_image", lambda path: found.append(path.name) or read(path))
    return found


def rows(encoder, paths, batch_size=2, advance=lambda n: None):
    return image_rows([encoder], paths, batch_size, advance)[encoder.name]


def test_a_hit_calls_no_encoder_and_gives_the_same_bits(images, decoded):
    first = rows(Counting(), images)
    decoded.clear()
    again = Counting()
    assert (rows(again, images) == first).all()
    assert again.calls == []
    assert decoded == []
    assert first.dtype == np.float32


def test_rows_are_in_the_order_asked_for(images):
    first = rows(Counting(), images)
    assert (rows(Counting(), images[::-1]) == first[::-1]).all()
    assert (rows(Counting(), [images[3], images[1]]) == first[[3, 1]]).all()


def test_the_name_does_not_matter_the_content_does(images, tmp_path):
    first = rows(Counting(), images)
    other = tmp_path / "elsewhere" / "other-name.png"
    other.parent.mkdir()
    shutil.copy(images[2], other)
    encoder = Counting()
    assert (rows(encoder, [other]) == first[2]).all()
    assert encoder.calls == []
    Image.new("RGB", (8, 8), "white").save(images[2])
    changed = rows(encoder, images)
    assert encoder.calls == [1]
    assert (changed[2] != first[2]).any()
    assert (changed[[0, 1, 3, 4]] == first[[0, 1, 3, 4]]).all()


@pytest.mark.parametrize("other", [{"weights": "1" * 64}, {"preprocessing": "2"}, {"name": "another"}])
def test_another_encoder_misses(images, other):
    rows(Counting(), images)
    encoder = Counting(**other)
    rows(encoder, images)
    assert sum(encoder.calls) == 5
    unchanged = Counting()
    rows(unchanged, images)
    assert unchanged.calls == []


def test_two_encoders_share_one_decode(images, decoded):
    both = Counting("one"), Counting("three")
    found = image_rows(both, images, 2)
    assert sorted(decoded) == sorted(path.name for path in images)
    assert [sum(encoder.calls) for encoder in both] == [5, 5]
    assert (found["one"][:, 2] == 3).all()
    assert (found["three"][:, 2] == 5).all()


def test_only_the_encoder_that_lacks_rows_is_called(images, decoded):
    rows(Counting("old"), images[:3])
    decoded.clear()
    old, new = Counting("old"), Counting("new")
    image_rows([old, new], images, 8)
    assert (sum(old.calls), sum(new.calls)) == (2, 5)
    assert len(decoded) == 5


def test_duplicates_are_encoded_once(images, tmp_path, decoded):
    copy = tmp_path / "copy.png"
    shutil.copy(images[0], copy)
    encoder = Counting()
    found = rows(encoder, [images[0], images[1], images[0], copy, images[1]])
    assert sum(encoder.calls) == len(decoded) == 2
    assert (found[[0, 1, 0, 0, 1]] == found).all()
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("batch_size", [1, 2, 64])
@pytest.mark.parametrize("readers", [0, 1, 3])
def test_batches_and_progress(images, batch_size, readers):
    done = []
    encoder = Counting()
    for _ in range(2):
        found = encode_files([encoder], images, batch_size, done.append, readers=readers)
        assert [row[1] for row in found["counting"]] == [3 * 8 * (8 + number) for number in range(5)]
        assert sum(done) == 5
        done.clear()
    assert encoder.calls == [2, 2, 1], "as many as the encoder wants, whatever is read ahead"


@pytest.mark.parametrize("readers", [1, 4])
def test_files_are_read_ahead_in_their_order_and_not_all_at_once(readers):
    begun, most = [], 0
    for done in in_order(lambda job: begun.append(job) or job, range(50), readers, 6):
        time.sleep(0.002)
        most = max(most, len(begun) - done)
    assert sorted(begun) == list(range(50))
    assert 1 < most <= 6
    assert list(in_order(str, range(9), readers, 3)) == list("012345678")


def test_readers_are_few_on_a_small_job_and_many_beside_a_gpu(monkeypatch):
    monkeypatch.delenv("A2IBENCH_READERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    on_gpu = Counting()
    on_gpu.device = "cuda:0"
    assert readers_for(31, [on_gpu]) == 0
    assert readers_for(32, [Counting()]) == 2
    assert readers_for(10_000, [Counting(), on_gpu]) == 14
    monkeypatch.setenv("A2IBENCH_READERS", "5")
    assert readers_for(1, [on_gpu]) == 5
    for wrong in ("-1", "many", "65", "\u0663"):
        monkeypatch.setenv("A2IBENCH_READERS", wrong)
        with pytest.raises(A2IBenchError, match=r"^A2IBENCH_READERS is [^\n]*from 0 to 64\.$"):
            readers_for(1, [on_gpu])


@pytest.mark.parametrize("readers", [0, 3])
def test_an_error_is_the_same_sentence_from_any_thread(images, readers):
    class Picky(Counting):
        def prepare(self, item):
            if item.size[0] == 10:
                raise A2IBenchError("Ten pixels are too few; draw more.")
            return item

    with pytest.raises(A2IBenchError, match=r"^\S*2\.png: Ten pixels are too few; draw more\.$"):
        encode_files([Picky()], images, 2, readers=readers)
    images[3].write_bytes(b"no image")
    before = threading.active_count()
    with pytest.raises(A2IBenchError) as caught:
        encode_files([Counting("other")], images, 2, readers=readers)
    assert str(caught.value).count("3.png") == 1
    assert "\n" not in str(caught.value)
    assert threading.active_count() == before


def test_an_interrupt_ends_the_readers(images):
    class Interrupted(Counting):
        def encode(self, items):
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        encode_files([Interrupted()], images, 2, readers=2)
    assert threading.active_count() == before


def test_what_is_done_survives_an_end_in_the_middle(images):
    class Killed(BaseException):
        pass

    class Dying(Counting):
        def encode(self, items):
            if len(self.calls) == 1:
                raise Killed
            return super().encode(items)

    with pytest.raises(Killed):
        rows(Dying(), images)
    encoder = Counting()
    rows(encoder, images)
    assert sum(encoder.calls) == 3, "two of five were stored before the end"


def test_sounds_are_read_at_the_encoders_rate(clip_folder):
    paths = sorted((clip_folder / "audio").iterdir())[:2]
    found = audio_rows(Counting(rate=8_000), paths, 4)
    assert (found[:, 1] == 8_000).all(), "one second each"


def test_texts_are_keyed_by_what_they_say():
    encoder = Counting()
    found = text_rows(encoder, ["frog", "a bell", "frog"])
    assert found[:, 0].tolist() == [4, 6, 4]
    assert encoder.calls == [2]
    text_rows(encoder, ["a bell"])
    assert encoder.calls == [2]


# ------------------------------------------------------------------------------------------- a cache in trouble


def test_more_rows_than_one_query_takes():
    cache = FeatureCache("many")
    stored = {f"{number:04d}": np.full(3, number, np.float32) for number in range(1234)}
    cache.put(stored)
    found = cache.get([*stored, "absent"])
    assert found.keys() == stored.keys()
    assert all((found[key] == row).all() for key, row in stored.items())


def test_the_cache_folder_is_a_file(fresh_cache, images):
    fresh_cache.write_text("")
    with pytest.raises(A2IBenchError, match=r"^The cache \S+ can't be used .*A2IBENCH_CACHE[^\n]*$"):
        rows(Counting(), images)


def test_a_cache_file_that_is_something_else(fresh_cache, images):
    rows(Counting(), images)
    (file,) = (fresh_cache / "features").glob("*.sqlite")
    file.write_bytes(b"not a database " * 500)
    with pytest.raises(A2IBenchError, match=r"^The cache [^\n]*delete[^\n]*$"):
        rows(Counting(), images)


def test_a_cache_file_with_a_broken_middle(fresh_cache):
    cache = FeatureCache("broken")
    keys = [f"{number:04d}" for number in range(400)]
    cache.put({key: np.zeros(64, np.float32) for key in keys})
    (file,) = (fresh_cache / "features").glob("*.sqlite")
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(A2IBenchError, match=r"^The cache [^\n]*delete[^\n]*$"):
        FeatureCache("broken").get(keys)


def test_a_full_disk_is_one_sentence_and_loses_nothing(monkeypatch):
    cache = FeatureCache("small")
    cache.put({"first": np.ones(4, np.float32)})
    connect = sqlite3.connect

    def small(*arguments, **named):
        database = connect(*arguments, **named)
        database.execute("PRAGMA max_page_count = 3")
        return database

    with monkeypatch.context() as patch:
        patch.setattr(features.sqlite3, "connect", small)
        with pytest.raises(A2IBenchError, match=r"^The cache [^\n]*can't be written[^\n]*full[^\n]*$"):
            cache.put({f"{number}": np.ones(4096, np.float32) for number in range(50)})
    assert cache.get(["first"]).keys() == {"first"}
    assert cache.get([f"{number}" for number in range(50)]) == {}, "all or none"


def test_a_cache_that_may_only_be_read_is_one_sentence(monkeypatch, images):
    connect = sqlite3.connect
    FeatureCache("counting")

    def read_only(path, **named):
        database = connect(path, **named)
        database.execute("PRAGMA query_only = 1")
        return database

    monkeypatch.setattr(features.sqlite3, "connect", read_only)
    with pytest.raises(A2IBenchError, match=r"^The cache [^\n]*$"):
        rows(Counting(), images)
