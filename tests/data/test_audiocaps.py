"""AudioCaps: lists, names in circulation, labels of AudioSet, and the folder of told sounds that is made of them."""

import csv
import json

import numpy as np
import pytest
import soundfile

from a2ibench.data.audiocaps import corpus, read_captions, read_labels, sound_of
from a2ibench.data.sounds import Cut, build_sounds
from a2ibench.errors import A2IBenchError

HEADER = "audiocap_id,youtube_id,start_time,caption\n"
TEST = (
    HEADER + '7,-7qRYZoNWs_,30,"A dog barks, then growls"\n8,-7qRYZoNWs_,30,Dogs bark\n9,AAAAAAAAAAA,0,Rain falls\n'
    "10,Ybcdefghijk,120,A man speaks\n11,CCCCCCCCCCC,5,A bell rings\n12,DDDDDDDDDDD,5,Nothing is heard\n"
)
SEGMENTS = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
    '-7qRYZoNWs_, 30.000, 40.000, "/m/a,/t/b"\nAAAAAAAAAAA, 0.000, 10.000, "/m/c"\n'
)
CLASSES = 'index,mid,display_name\n0,/m/a,"Dog"\n1,/t/b,"Growling, snarling"\n2,/m/c,"Rain"\n'


@pytest.fixture
def files(tmp_path):
    """A list, sounds under four kinds of names, and AudioSet's files."""
    for name, text in (("test.csv", TEST), ("eval.csv", SEGMENTS), ("classes.csv", CLASSES)):
        (tmp_path / name).write_text(text)
    sounds = tmp_path / "sounds"
    (sounds / "more").mkdir(parents=True)
    wave = 0.3 * np.sin(np.arange(44_100 * 12) / 9)
    soundfile.write(sounds / "-7qRYZoNWs__30.wav", np.stack([wave, wave], 1), 44_100)  # 12 s, stereo
    soundfile.write(sounds / "more/YAAAAAAAAAAA.flac", wave[: 44_100 * 4], 44_100)
    soundfile.write(sounds / "10.wav", wave[:20_000], 44_100)  # 0.45 s
    soundfile.write(sounds / "DDDDDDDDDDD.wav", np.zeros(160_000), 16_000)
    soundfile.write(sounds / "EEEEEEEEEEE.wav", wave, 44_100)  # of no listed clip
    return tmp_path


def made(files, **options):
    captions = read_captions(files / "test.csv")
    labels = read_labels([files / "eval.csv"], files / "classes.csv")
    wanted, about = corpus(files / "sounds", captions, labels), {"captions_sha256": captions.digest}
    return build_sounds(wanted, captions.told, files / "out", Cut(), about=about, **options)


def rows(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_captions_stay_in_the_order_of_the_file(files):
    captions = read_captions(files / "test.csv")
    assert captions.told["-7qRYZoNWs__000030"] == ("A dog barks, then growls", "Dogs bark")
    assert captions.numbers["8"] == "-7qRYZoNWs__000030"
    turned = files / "turned.csv"
    turned.write_text(HEADER + "".join(reversed(TEST.removeprefix(HEADER).splitlines(keepends=True))))
    assert read_captions(turned).digest != captions.digest


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("AAAAAAAAAAA.wav", "AAAAAAAAAAA_000000"),
        ("YAAAAAAAAAAA.wav", "AAAAAAAAAAA_000000"),
        ("Ybcdefghijk.flac", "Ybcdefghijk_000120"),
        ("YYbcdefghijk.flac", "Ybcdefghijk_000120"),
        ("-7qRYZoNWs__30000_40000.mp4", "-7qRYZoNWs__000030"),
        ("Y-7qRYZoNWs__30.m4a", "-7qRYZoNWs__000030"),
        ("9.wav", "AAAAAAAAAAA_000000"),
        ("EEEEEEEEEEE.wav", None),
        ("notes.txt", None),
        ("99.wav", None),
    ],
)
def test_names_in_circulation(files, name, clip):
    captions = read_captions(files / "test.csv")
    assert sound_of(name, captions, {clip_id[:11]: clip_id for clip_id in captions.told}) == clip


def test_each_sound_is_kept_or_dropped_for_its_own_reason(files):
    coverage = made(files, workers=2)
    assert (coverage.listed, coverage.found, coverage.kept) == (5, 4, 2)
    assert dict(coverage.dropped) == {"missing": 1, "mute": 1, "short": 1}
    assert coverage.strangers == 1
    first, second = rows(files / "out/clips.csv")
    assert first == {
        "clip_id": "-7qRYZoNWs__000030",
        "audio": "audio/-7qRYZoNWs__000030.flac",
        "label": "Dog; Growling, snarling",
        "caption": "A dog barks, then growls",
        "caption_2": "Dogs bark",
    }
    assert (second["label"], second["caption"], second["caption_2"]) == ("Rain", "Rain falls", "")
    wave, rate = soundfile.read(files / "out" / first["audio"])
    assert (rate, wave.shape) == (16_000, (160_000,))
    assert len(soundfile.read(files / "out" / second["audio"])[0]) == pytest.approx(64_000, abs=2)
    provenance = {row["clip_id"]: row for row in rows(files / "out/provenance.csv")}
    assert provenance["-7qRYZoNWs__000030"]["seconds"] == "12.0"
    assert provenance["Ybcdefghijk_000120"]["reason"] == "short"
    told = json.loads((files / "out/coverage.json").read_text())
    assert told["settings"]["captions_sha256"] == read_captions(files / "test.csv").digest
    assert told["classes"]["unlabelled"]["wanted"] == 3


def test_what_is_done_stays_and_what_was_damaged_is_made_again(files, monkeypatch):
    made(files)
    before = {file: file.read_bytes() for file in (files / "out").rglob("*") if file.is_file()}
    damaged = files / "out/audio/AAAAAAAAAAA_000000.flac"
    damaged.write_bytes(b"half")
    calls = []
    from a2ibench.data import sounds

    true = sounds.make_sound
    monkeypatch.setattr(sounds, "make_sound", lambda job, *rest: calls.append(job.clip_id) or true(job, *rest))
    made(files)
    assert calls == ["AAAAAAAAAAA_000000"]
    assert before == {file: file.read_bytes() for file in (files / "out").rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,text\n1,a\n", "no column 'audiocap_id'"),
        (HEADER + "1,short,3,a dog\n", "line 2: '1,short,3,a dog' is not a clip"),
        (HEADER + "1,AAAAAAAAAAA,3,\n", "line 2"),
        (HEADER + "1,AAAAAAAAAAA,3,a,b\n", "line 2 has 5 cells"),
        (HEADER + "1,AAAAAAAAAAA,3,a\x1b[31m\n", "line 2"),
        (HEADER + "".join(f"{n},AAAAAAAAAAA,3,a\n" for n in range(6)), "more than 5 captions"),
    ],
)
def test_another_list_is_refused_in_a_sentence(tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(A2IBenchError) as error:
        read_captions(tmp_path / "list.csv")
    assert said in str(error.value)
    assert "\x1b" not in str(error.value)


def test_labels_of_another_release_are_refused(files):
    (files / "classes.csv").write_text('index,mid,display_name\n0,/m/a,"Dog"\n')
    with pytest.raises(A2IBenchError, match="has no label '/t/b'"):
        read_labels([files / "eval.csv"], files / "classes.csv")


def test_the_command(files, run_cli):
    base = ("data", "audiocaps", "--list", files / "test.csv", "--out", files / "out")
    labels = ("--segments", files / "eval.csv", "--audio-classes", files / "classes.csv")
    done = run_cli(*base, "--sounds", files / "sounds", *labels)
    assert done.code == 0
    assert "2 clips of 2 classes" in done.out
    assert "There is no folder nowhere" in run_cli(*base, "--sounds", "nowhere").sentence
    (files / "none").mkdir()
    assert "holds no sound of the 5 clips" in run_cli(*base, "--sounds", files / "none").sentence
    (files / "only.txt").write_text("AAAAAAAAAAA\n")
    assert run_cli(*base, "--sounds", files / "sounds", *labels, "--clips", files / "only.txt").code == 0
    assert [row["clip_id"] for row in rows(files / "out/clips.csv")] == ["AAAAAAAAAAA_000000"]
