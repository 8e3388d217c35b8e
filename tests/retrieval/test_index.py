"""An index: built in blocks, killed and gone on with, refused where it does not belong, and never the clip's own."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile

from a2ibench.clips import Clip, load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.retrieval import Index, Item, check_apart, load_index, read_found, write_found
from a2ibench.retrieval.build import build_index
from a2ibench.retrieval.index import source_of
from a2ibench.tasks import get as get_task

WORDS = ("bell", "frog", "drum")
RATE = 16_000


class Toy:
    """Sounds and texts by their words: a caption's numbers, and what a sound's pitch says."""

    digest = "toy-1"
    rate = RATE

    def __init__(self):
        self.calls = 0

    def texts(self, texts):
        self.calls += 1
        words = [[text.count(word) + 0.1 for word in WORDS] for text in texts]
        return np.array(words, np.float32)

    def sounds(self, waves):
        self.calls += 1
        peaks = np.array([np.abs(np.fft.rfft(wave[:RATE])).argmax() for wave in waves])
        return np.exp(-(((peaks[:, None] - [300, 600, 900]) / 300.0) ** 2)).astype(np.float32)


def write_corpus(folder, count=9, prefix="clip"):
    folder.mkdir()
    rows = []
    for number in range(count):
        word = WORDS[number % 3]
        clip_id = f"{prefix}-{number}"
        wave = 0.4 * np.sin(2 * np.pi * (300 * (number % 3 + 1) + number) * np.arange(RATE) / RATE)
        soundfile.write(folder / f"{clip_id}.wav", wave, RATE)
        rows.append((clip_id, f"a {word}, number {number}", f"{clip_id}.wav", word))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("clip_id", "caption", "audio", "label"), *rows])
    return load_clips(folder, task=get_task("text-to-audio"))


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus")


def build(corpus, tmp_path, network=None, **kwargs):
    return build_index(corpus, network or Toy(), tmp_path / "index", corpus=tmp_path / "corpus", **kwargs)


@pytest.mark.parametrize("key", ["audio", "text"])
def test_what_is_told_is_found(corpus, tmp_path, key):
    index = build(corpus, tmp_path, key=key, block=4)
    assert index.key == key
    assert not (tmp_path / "index/parts").exists()
    query = np.array([[0, 1, 0]], np.float32)
    best = [index.items[row] for row in index.search(query, 3)[0].rows]
    assert [item.label for item in best] == ["frog"] * 3
    assert best[0].item_id in {"clip-1", "clip-4", "clip-7"}
    np.testing.assert_allclose(np.linalg.norm(index.rows, axis=1), 1, atol=1e-6)


def test_blocks_do_not_change_the_index(corpus, tmp_path):
    one = build(corpus, tmp_path, block=2).rows.copy()
    np.testing.assert_array_equal(one, build(corpus, tmp_path, block=100).rows)


def test_a_killed_build_goes_on(corpus, tmp_path):
    class Dying(Toy):
        def sounds(self, waves):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().sounds(waves)

    with pytest.raises(KeyboardInterrupt):
        build(corpus, tmp_path, Dying(), block=3)
    kept = sorted((tmp_path / "index/parts").glob("*.npy"))
    assert len(kept) == 2
    with pytest.raises(A2IBenchError, match=r"index\.json"):
        load_index(tmp_path / "index")
    kept[0].write_bytes(kept[0].read_bytes()[:-1])  # and one was damaged meanwhile
    again = Toy()
    index = build(corpus, tmp_path, again, block=3)
    assert again.calls == 2
    shutil.rmtree(tmp_path / "index")
    np.testing.assert_array_equal(index.rows, build(corpus, tmp_path, block=3).rows)


def test_a_clip_its_copy_and_its_video_are_never_its_examples(tmp_path):
    write_corpus(tmp_path / "corpus", 4)
    folder = tmp_path / "corpus"
    shutil.copy(folder / "clip-1.wav", folder / "other.wav")  # the same sound under another name
    rows = (folder / "clips.csv").read_text()
    for start in (0, 10):
        shutil.copy(folder / f"clip-{start // 10 * 2}.wav", folder / f"v{start}.wav")
        rows += f"abcdefghijk_{start:06d},a bell again,v{start}.wav,bell\n"
    (folder / "clips.csv").write_text(rows + "planted,a frog,other.wav,frog\n")
    clips = load_clips(folder, task=get_task("text-to-audio"))
    index = build(clips, tmp_path)
    found = {clip.clip_id: index.search_clips(index.rows[[row]], [clip])[0] for row, clip in enumerate(clips)}
    names = {clip_id: {index.items[row].item_id for row in hits.rows} for clip_id, hits in found.items()}
    assert not names["planted"] & {"planted", "clip-1"}
    assert not names["abcdefghijk_000000"] & {"abcdefghijk_000000", "abcdefghijk_000010"}
    assert names["clip-3"] == {item.item_id for item in index.items} - {"clip-3"}


def test_a_clip_under_its_own_id_is_its_own_whatever_its_source(tmp_path):
    items = tuple(Item(f"c{n}", f"video-{n // 2}", "x", "x", "x.wav", str(n)) for n in range(4))
    index = Index(np.eye(4, dtype=np.float32), items, "toy", "audio", tmp_path)
    hits = index.search_clips(np.ones((1, 4), np.float32) / 2, [Clip("c1", "x", {})])[0]
    assert hits.rows.tolist() == [2, 3]
    assert index.search_clips(np.ones((1, 4), np.float32) / 2, [Clip("new", "x", {"source": "video-1"})])[
        0
    ].rows.tolist() == [0, 1]


def test_the_target_planted_in_the_index_is_refused_or_marked(corpus, tmp_path):
    index = build(corpus, tmp_path)
    moved = tmp_path / "elsewhere.wav"
    shutil.copy(tmp_path / "corpus/clip-2.wav", moved)
    target = Clip("test-0", "drum", {"caption": "a drum", "audio": moved})
    fresh = tmp_path / "fresh.wav"
    soundfile.write(fresh, np.linspace(-0.5, 0.5, RATE), RATE)
    apart = Clip("test-1", "drum", {"caption": "a drum", "audio": fresh})
    assert index.holds([target, apart]) == ["test-0"]
    assert check_apart(index, [apart]) is None
    with pytest.raises(A2IBenchError, match="holds 1 of the clips that are tested"):
        check_apart(index, [target, apart])
    assert "test-0" in check_apart(index, [target, apart], allow=True)
    hits = index.search_clips(index.rows[[2]], [target])[0]
    assert "clip-2" not in {index.items[row].item_id for row in hits.rows}


def test_what_was_found_is_stored_to_the_bit(corpus, tmp_path):
    index = build(corpus, tmp_path)
    clips = list(corpus)[:3]
    found = index.search_clips(index.rows[:3], clips, 50)
    write_found(tmp_path / "found.csv", index, clips, found)
    again = read_found(tmp_path / "found.csv")
    assert list(again) == [clip.clip_id for clip in clips]
    for clip, hits in zip(clips, found, strict=True):
        assert [score for _, score in again[clip.clip_id]] == hits.scores.tolist()
        assert [item for item, _ in again[clip.clip_id]] == [index.items[row].item_id for row in hits.rows]
        assert len(hits) == 8  # all but its own
    (tmp_path / "found.csv").write_text("clip_id,rank,item_id,score\nx,1,y,high\n")
    with pytest.raises(A2IBenchError, match="line 2"):
        read_found(tmp_path / "found.csv")
    with pytest.raises(A2IBenchError, match=r"none\.csv"):
        read_found(tmp_path / "none.csv")


def test_another_network_is_refused(corpus, tmp_path):
    index = build(corpus, tmp_path)
    index.check_encoder("toy-1")
    with pytest.raises(A2IBenchError, match="another network"):
        index.check_encoder("toy-2")
    with pytest.raises(A2IBenchError, match="vectors of 3"):
        index.search(np.ones((1, 4), np.float32))


@pytest.mark.parametrize("name", ["rows.npy", "items.json", "index.json"])
def test_damage_is_one_sentence(corpus, tmp_path, name):
    build(corpus, tmp_path)
    file = tmp_path / "index" / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(A2IBenchError, match=name):
        load_index(tmp_path / "index")


def test_a_later_schema_a_wrong_key_and_a_vector_of_nothing(corpus, tmp_path):
    with pytest.raises(A2IBenchError, match="'audio' or 'text'"):
        build(corpus, tmp_path, key="video")

    class Deaf(Toy):
        def sounds(self, waves):
            return np.zeros((len(waves), 3), np.float32)

    with pytest.raises(A2IBenchError, match="'clip-0' has no direction"):
        build(corpus, tmp_path, Deaf())
    build(corpus, tmp_path)
    meta = json.loads((tmp_path / "index/index.json").read_text())
    (tmp_path / "index/index.json").write_text(json.dumps({**meta, "schema": 9}))
    with pytest.raises(A2IBenchError, match="schema 9"):
        load_index(tmp_path / "index")


@pytest.mark.parametrize(
    ("clip_id", "source"),
    [("-0xYz4pGQsM_000030", "-0xYz4pGQsM"), ("bell-00", "bell-00"), ("abcdefghijk_1_2", "abcdefghijk_1_2")],
)
def test_the_source_of_a_clip(clip_id, source):
    assert source_of(Clip(clip_id, "x", {})) == source
    assert source_of(Clip(clip_id, "x", {"source": "video"})) == "video"
