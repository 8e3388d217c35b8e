"""Tables that fit 80 columns, and a contact sheet that shows every class."""

import io

import numpy as np
import pytest
import soundfile
from made import clip_of
from PIL import Image
from rich.console import Console

from a2ibench.errors import A2IBenchError
from a2ibench.pictures.sheets import comparison_sheet, contact_sheet
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.show.numbers import format_score
from a2ibench.show.terminal import score_report, score_table, signatures

PROVENANCE = Provenance(
    a2ibench="0", python="3", platform="x", packages={}, device="CPU", threads=1,
    created="2026-01-01T00:00:00Z", seconds={},
)  # fmt: skip


def score(metric, value, *, unit="%", up=True, signature=None, **more):
    text = signature or f"{metric}|v:1|enc:wav2clip-9f31ac02+vit-b-32-1b2c3d4e|neg:all|ties:half|n:240|suite:mini@1"
    return Score(
        metric=metric, value=value, n=240, higher_is_better=up, unit=unit, signature=text, **more
    )  # fmt: skip


def result(method, *scores, notes=()):
    return Result(
        method=method,
        suite="mini@1",
        clips=Clips(name="mini", n=240, digest="d"),
        scores=list(scores),
        notes=list(notes),
        provenance=PROVENANCE,
    )


AIS = score("AIS", 84.12, low=81.9, high=86.2, chance=50.0, ceiling=99.3)
FID = score("FID", 52.853, stderr=1.2, unit="", up=False, ceiling=0.0)
MANY = [score(f"AIS.variant-{i}", 50.0 + i) for i in range(12)]


def shown(table, width=80):
    out = io.StringIO()
    Console(file=out, width=width, no_color=True).print(table)
    return out.getvalue()


def test_numbers():
    assert format_score(AIS) == "84.1 [81.9, 86.2]"
    assert format_score(FID) == "52.85 ± 1.20 (se)"
    assert format_score(score("KID", 0.00123, unit="")) == "0.0012"
    assert format_score(score("FID", 123.456, unit="")) == "123.46"
    assert format_score(score("FID", 0.0462, unit="")) == "0.05"
    assert format_score(score("FID", 0.0, unit="")) == "0.00"


def test_one_result_has_a_row_per_metric():
    text = shown(score_table([result("audio[bold]token", AIS, FID)]))
    assert "audio[bold]token" in text
    ais = next(line for line in text.splitlines() if "AIS" in line)
    assert ais.split() == ["AIS", "↑", "%", "84.1", "[81.9,", "86.2]", "240", "50.0", "99.3"]
    fid = next(line for line in text.splitlines() if "FID" in line)
    assert fid.split() == ["FID", "↓", "52.85", "±", "1.20", "(se)", "240", "–", "0.00"]


def test_several_results_have_a_row_each_and_the_best_is_bold():
    table = score_table(
        [result("a", AIS, FID), result("b", score("AIS", 70.0))], [result("real images", score("AIS", 99.0))]
    )
    lines = [line.split() for line in shown(table).splitlines() if line.strip()]
    assert lines[0] == ["method", "AIS", "↑", "FID", "↓"]
    assert lines[2:] == [["a", "84.1", "52.85"], ["b", "70.0", "–"], ["real", "images", "99.0", "–"]]
    cells = list(table.columns[1].cells)
    assert [cell.style for cell in cells] == ["bold", "", ""]


def test_two_signatures_never_share_a_column():
    other = result("b", score("AIS", 70.0, signature="AIS|v:2"))
    text = shown(score_table([result("a", AIS), other]))
    assert "AIS (1)" in text
    assert "AIS (2)" in text
    assert "(2) AIS|v:2" in shown(signatures([result("a", AIS), other]))


@pytest.mark.parametrize("scores", [[AIS, FID], MANY])
def test_fits_eighty_columns_and_breaks_no_number(scores):
    rows = [result(f"method {i}", *scores) for i in range(4)]
    report = score_report(rows[:1], rows[1:])
    text = shown(report)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert "\x1b" not in text
    assert text.count(f"{scores[0].value:.1f}") >= 5


def test_report_says_notes_and_signatures_once():
    text = shown(score_report([result("a", AIS, notes=["only mini"])], [result("real", AIS, notes=["only mini"])]))
    assert text.count("Note: only mini") == 1
    assert text.count("suite:mini@1") == 1
    assert "|\n      " in text  # broken at a bar


def test_nothing_to_show():
    with pytest.raises(A2IBenchError, match="no result"):
        score_table([])
    with pytest.raises(A2IBenchError, match="no clip"):
        contact_sheet([], {}, title="", subtitle="")


# -------------------------------------------------------------------------------------------- contact sheet


@pytest.fixture
def make(tmp_path):
    def clips(labels, each=1):
        wave = np.sin(2 * np.pi * 440 * np.arange(4000) / 16_000) * 0.5
        soundfile.write(tmp_path / "a.wav", wave, 16_000)
        Image.new("RGB", (64, 48), "red").save(tmp_path / "red.png")
        Image.new("RGB", (512, 640), "blue").save(tmp_path / "blue.png")
        sound, red = tmp_path / "a.wav", tmp_path / "red.png"
        return [clip_of(f"{label}{i}", sound, red, label) for label in labels for i in range(each)]

    return clips, tmp_path / "blue.png"


def tiles(sheet, colour):
    """How many tiles of a colour there are."""
    pixels = np.asarray(sheet)
    return round((pixels == np.array(colour)).all(axis=2).sum() / 144**2)


@pytest.mark.parametrize(
    ("classes", "each", "expected"), [(1, 1, 1), (1, 3, 2), (3, 5, 6), (16, 3, 32), (17, 3, 17), (30, 1, 24)]
)
def test_shows_every_class(make, classes, each, expected):
    clips, blue = make
    shown = clips([f"sound {i:02}" for i in range(classes)], each)
    sheet = contact_sheet(shown, {clip.clip_id: blue for clip in shown}, title="t", subtitle="s")
    assert sheet.mode == "RGB"
    assert tiles(sheet, (255, 0, 0)) == expected
    assert tiles(sheet, (0, 0, 255)) == expected


def test_missing_images_and_long_words(make):
    clips, blue = make
    shown = clips(["a label that is much too long for the place that it has on the sheet " * 5, "ünïcode 蛙"])
    made = {shown[0].clip_id: blue}
    sheet = contact_sheet(shown, made, title="title " * 99, subtitle="sub " * 99, method="method " * 20)
    assert tiles(sheet, (0, 0, 255)) == 1
    assert np.asarray(sheet)[:, -40:].reshape(-1, 3).min() > 200  # nothing runs into the margin


def test_is_the_same_every_time_and_in_any_order(make):
    clips, blue = make
    shown = clips(["frog", "dog"], 3)
    made = {clip.clip_id: blue for clip in shown}
    one = contact_sheet(shown, made, title="t", subtitle="s")
    two = contact_sheet(shown[::-1], made, title="t", subtitle="s")
    assert one.tobytes() == two.tobytes()


def test_broken_image_is_named(make, tmp_path):
    clips, _ = make
    (tmp_path / "bad.png").write_bytes(b"bad")
    shown = clips(["frog"])
    with pytest.raises(A2IBenchError, match=r"bad\.png"):
        contact_sheet(shown, {"frog0": tmp_path / "bad.png"}, title="t", subtitle="s")


def test_spectrogram_shows_where_the_tone_is(tmp_path):
    from a2ibench.media.audio import spectrogram

    wave = np.zeros(16_000)
    wave[8000:] = np.sin(2 * np.pi * 300 * np.arange(8000) / 16_000)
    soundfile.write(tmp_path / "a.wav", wave, 16_000)
    grey = np.asarray(spectrogram(tmp_path / "a.wav").convert("L")).astype(float)
    height, width = grey.shape
    assert grey[:, : width // 2 - 10].mean() < 20  # silence on the left
    rows = grey[:, width // 2 + 10 : -10].mean(axis=1)
    assert rows.argmax() > height * 0.7  # low tones below


def test_methods_side_by_side(tmp_path, clip_folder):
    """A column per label, a row per method, in their own colours; a missing image is said to be missing."""
    from a2ibench.clips import load_clips

    clips = load_clips(clip_folder)
    rows = []
    for index, name in enumerate(("one", "two")):
        colour = (200 * index, 30, 200 - 200 * index)
        Image.new("RGB", (9, 9), colour).save(tmp_path / f"{name}.png")
        rows.append((name, dict.fromkeys(clips.ids, tmp_path / f"{name}.png")))
    sheet = comparison_sheet(clips, [*rows, ("none", {})], title="t", subtitle="s")
    wide = comparison_sheet(clips, [*rows, ("none", {})], title="t", subtitle="s", most=2)
    assert sheet.width > wide.width
    colours = {pixel for _, pixel in sheet.getcolors(sheet.width * sheet.height)}
    assert {(0, 30, 200), (200, 30, 0)} <= colours
    at = np.argwhere((np.asarray(sheet) == (0, 30, 200)).all(axis=2))
    below = np.argwhere((np.asarray(sheet) == (200, 30, 0)).all(axis=2))
    assert at[:, 0].max() < below[:, 0].min(), "one row above the other"
    assert len(at) > 3 * 100 * 100, "three columns"
    with pytest.raises(A2IBenchError, match="no clip"):
        comparison_sheet([], rows, title="t", subtitle="s")
