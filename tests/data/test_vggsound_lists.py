"""VGGSound's names and lists, as they are in circulation."""

import json
import pickle
import sys
from pathlib import Path

import pytest

from a2ibench.data.lists import ClipList, Entry, read_ids
from a2ibench.data.vggsound import OFFICIAL, clip_of, corpus, find_videos, id_of, read_list, video_of
from a2ibench.errors import A2IBenchError

# Beside the checkout; beside the folder of all of them for a worktree.
OFFICIAL_TEST = next(
    (p for up in (3, 4) if (p := Path(__file__).parents[up] / "shared/data/vggsound" / "test.csv").exists()),
    Path("absent"),
)


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("glLQrEijrKg_000300.mp4", "glLQrEijrKg_000300"),
        ("glLQrEijrKg_000300", "glLQrEijrKg_000300"),
        ("glLQrEijrKg_30.mp4", "glLQrEijrKg_000030"),
        ("glLQrEijrKg_30000_40000.mkv", "glLQrEijrKg_000030"),
        ("-_gaZzFfzDQ_517000_527000.MP4", "-_gaZzFfzDQ_000517"),
        ("---g-f_I2yQ_1.webm", "---g-f_I2yQ_000001"),
        ("___________0_000000.mp4", None),
        ("___________" + "_000000.mp4", "____________000000"),
        ("12345678901_23_000045.mp4", "12345678901_000000"),  # two numbers are milliseconds
        ("glLQrEijrKg_290000.mp4", "glLQrEijrKg_000290"),  # no video is 80 hours long
        ("glLQrEijrKg_40000_30000.mp4", None),
        ("glLQrEijrKg.mp4", None),
        ("glLQrEijrKg_000300.txt", None),
        ("../glLQrEijrKg_000300.mp4", None),
        ("", None),
    ],
)
def test_names_in_circulation(name, clip):
    assert clip_of(name) == clip


def test_the_three_formats_say_the_same(tmp_path):
    rows = [("aaaaaaaaaaa", 30, "dog barking"), ("-bbbbbbbbbb", 0, "bird chirping, tweeting")]
    texts = {
        "test.csv": "".join(f'{v}_{s:06d}.mp4,"{label}"\n' for v, s, label in rows),
        "bare.csv": "".join(f"{v}_{s:06d},{label}\n" for v, s, label in rows),  # no quotes round the comma
        "vggsound.csv": "".join(f'{v},{s},"{label}",test\n' for v, s, label in rows) + "ccccccccccc,1,cat,train\n",
        "header.csv": "\ufeffvideo_id,label\r\n" + "".join(f'{v}_{s},"{label}"\r\n' for v, s, label in rows),
        "twice.csv": "".join(f'{v}_{s:06d}.mp4,"{label}"\n' for v, s, label in rows * 2),
    }
    lists = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        lists.append(read_list(tmp_path / name))
    expected = (Entry("-bbbbbbbbbb_000000", "bird chirping, tweeting"), Entry("aaaaaaaaaaa_000030", "dog barking"))
    assert {each.entries for each in lists} == {expected}
    assert len({each.digest for each in lists}) == 1
    assert read_list(tmp_path / "vggsound.csv", "train").ids == ("ccccccccccc_000001",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"clip_id,audio,image,label\na,a.wav,a.png,dog\n", "line 1: 'clip_id,audio,image,label' is not a clip"),
        (b"aaaaaaaaaaa_000030,dog\nnonsense\n", "line 2: 'nonsense' is not a clip with its label"),
        (b"aaaaaaaaaaa_000030,\n", "is not a clip with its label"),
        (b"aaaaaaaaaaa_000030,dog\naaaaaaaaaaa_30,cat\n", "has the label 'cat', and in an earlier line 'dog'"),
        (b"aaaaaaaaaaa,3,dog,train\n", "no clip of the split 'test'; give --split test or train"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not a text file in UTF-8"),
        (b"{}", "is not a clip"),
        (b"clip_id,audio,image,label\naaaaaaaaaaa_000030,a.wav,a.png,dog\n", "line 1: 'clip_id,audio"),
        (b"clip_id,label,status,reason\naaaaaaaaaaa_000030,dog,kept,\n", "line 1: 'clip_id,label"),
        (b"aaaaaaaaaaa_000030,dog,,\n", "is not a clip with its label"),
    ],
)
def test_other_formats_are_refused_in_a_sentence(tmp_path, content, said):
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(A2IBenchError, match=said) as caught:
        read_list(file)
    assert "\n" not in str(caught.value)
    assert "vggsound.csv" in str(caught.value) or "split" in said or "earlier" in said


@pytest.mark.skipif(not OFFICIAL_TEST.is_file(), reason="needs shared/data/vggsound")
@pytest.mark.real_data
def test_the_official_list():
    listed = read_list(OFFICIAL_TEST)
    assert (len(listed), len(listed.labels)) == (15_446, 309)
    assert OFFICIAL[listed.digest].startswith("VGGSound test")


# ------------------------------------------------------------------------------------------------ videos


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_videos_are_found_in_folders_and_counted(tmp_path):
    touch(tmp_path, "a/aaaaaaaaaaa_000030.mp4", "b/aaaaaaaaaaa_30000_40000.mkv", "bbbbbbbbbbb_7.webm", "notes.txt")
    touch(tmp_path, ".hidden/ccccccccccc_000001.mp4", ".ddddddddddd_000001.mp4", "eeeeeeeeeee_000001.wav")
    found = find_videos(tmp_path)
    expected = {"aaaaaaaaaaa_000030": "a/aaaaaaaaaaa_000030.mp4", "bbbbbbbbbbb_000007": "bbbbbbbbbbb_7.webm"}
    (tmp_path / "b/circle").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    assert find_videos(tmp_path) == found
    assert (found.files, found.twice, found.others) == (expected, 1, ("eeeeeeeeeee_000001.wav", "notes.txt"))


def test_no_videos_is_one_sentence(tmp_path):
    with pytest.raises(A2IBenchError, match="There is no folder"):
        find_videos(tmp_path / "absent")
    with pytest.raises(A2IBenchError, match="no file at all"):
        find_videos(tmp_path)
    touch(tmp_path, "photo.jpg")
    with pytest.raises(A2IBenchError, match=r"1 other files, first 'photo.jpg'\); names are"):
        find_videos(tmp_path)
    touch(tmp_path, "vggsound_00.tar.gz")
    with pytest.raises(A2IBenchError, match="unpack the archives first"):
        find_videos(tmp_path)


# --------------------------------------------------------------------------------------- published lists


@pytest.fixture
def five(tmp_path):
    """Five clips, of four videos, all there."""
    names = [
        "aaaaaaaaaaa_000001",
        "aaaaaaaaaaa_000050",
        "bbbbbbbbbbb_000002",
        "ccccccccccc_000003",
        "-dddddddddd_000004",
    ]
    touch(tmp_path / "videos", *(f"{name}.mp4" for name in names))
    (tmp_path / "list.csv").write_text("".join(f"{name}.mp4,dog barking\n" for name in names))

    def wanted(**options):
        return corpus(tmp_path / "videos", tmp_path / "list.csv", **options).wanted.ids

    return wanted


def test_only_the_clips_of_published_lists(five, tmp_path):
    (tmp_path / "a.txt").write_text("aaaaaaaaaaa_000001\nbbbbbbbbbbb_2\nccccccccccc_3000_13000.mp4\n")
    (tmp_path / "b.json").write_text(json.dumps(["bbbbbbbbbbb_000002.mp4", "ccccccccccc_000003", "zzzzzzzzzzz_000001"]))
    (tmp_path / "c.csv").write_text("clip_id,status\nbbbbbbbbbbb_000002,kept\nccccccccccc_000003,dropped\n")
    assert five(clips=[tmp_path / "a.txt"]) == ("aaaaaaaaaaa_000001", "bbbbbbbbbbb_000002", "ccccccccccc_000003")
    assert five(clips=[tmp_path / "a.txt", tmp_path / "b.json"]) == ("bbbbbbbbbbb_000002", "ccccccccccc_000003")
    assert five(clips=[tmp_path / name for name in ("c.csv", "b.json", "a.txt")]) == ("bbbbbbbbbbb_000002",)


def test_excluded_videos_in_a_pickle_of_strings(five, tmp_path):
    """As the authors publish them: a pickled list of YouTube ids, which stand for all clips of a video."""
    (tmp_path / "out.pkl").write_bytes(pickle.dumps(["aaaaaaaaaaa", "-dddddddddd", "zzzzzzzzzzz"]))
    assert five(exclude=[tmp_path / "out.pkl"]) == ("bbbbbbbbbbb_000002", "ccccccccccc_000003")
    assert five(clips=[tmp_path / "out.pkl"]) == ("-dddddddddd_000004", "aaaaaaaaaaa_000001", "aaaaaaaaaaa_000050")


class _Evil:
    def __reduce__(self):
        return (Path.touch, (Path("ran.txt"),))


def test_a_pickle_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(["aaaaaaaaaaa", _Evil()]))
    with pytest.raises(A2IBenchError, match="is not a list of clips"):
        read_ids(tmp_path / "evil.pkl", id_of)
    (tmp_path / "broken.pkl").write_bytes(b"\x80\x04]\x94(\x8c\xff")
    with pytest.raises(A2IBenchError, match="is not a pickled list of strings"):
        read_ids(tmp_path / "broken.pkl", id_of)
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "hello\n", "'hello' is no clip id"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[1]", "something else than ids"),
        ("a.json", "[]", "there is no id in it"),
        ("a.txt", "zzzzzzzzzzz_000001\n", "No clip of .* is left"),
    ],
)
def test_wrong_lists_are_refused(five, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(A2IBenchError, match=said):
        five(clips=[tmp_path / name])


def test_a_list_of_other_videos(tmp_path):
    touch(tmp_path / "videos", "aaaaaaaaaaa_000001.mp4")
    (tmp_path / "list.csv").write_text("bbbbbbbbbbb_000001.mp4,dog\n")
    with pytest.raises(A2IBenchError, match=r"None of the 1 clips is in .*first 'aaaaaaaaaaa_000001.mp4'"):
        corpus(tmp_path / "videos", tmp_path / "list.csv")


def test_vggsounder_is_an_extra(five, tmp_path, monkeypatch):
    monkeypatch.setattr("a2ibench.data.vggsound.find_spec", lambda name: None)
    with pytest.raises(A2IBenchError, match=r"needs the package vggsounder: pip install"):
        five(subset="vggsounder")
    with pytest.raises(A2IBenchError, match="did you mean 'vggsounder'"):
        five(subset="vggsound")


def test_vggsounder_keeps_what_people_heard_and_saw(five, tmp_path, monkeypatch):
    data = tmp_path / "site/vggsounder/data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("")
    rows = [
        "video_id,label,modality,background_music,static_image,voice_over",
        "aaaaaaaaaaa_000001,dog barking,AV,True,False,False",
        "aaaaaaaaaaa_000050,dog barking,A,False,False,False",
        "bbbbbbbbbbb_000002,cat meowing,AV,False,False,False",
        "ccccccccccc_000003,dog barking,AV,False,True,False",
    ]
    (data / "vggsounder+background-music.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in [name for name in sys.modules if name.split(".")[0] == "vggsounder"]:
        monkeypatch.delitem(sys.modules, name)
    assert five(subset="vggsounder") == ("aaaaaaaaaaa_000001",)


def test_the_digest_names_ids_and_labels_alone():
    entries = [Entry("a", "x"), Entry("b", "y")]
    assert ClipList.of(entries).digest == ClipList.of(entries[::-1]).digest
    assert ClipList.of(entries).digest != ClipList.of([Entry("a", "y"), Entry("b", "x")]).digest
    assert video_of("---g-f_I2yQ_000001") == "---g-f_I2yQ"
