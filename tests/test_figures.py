"""Every figure that was measured, in the README, docs and benchmarks, is the one that the command wrote."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "benchmarks" / "figures"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md"])

# What stands on which page: braces are filled from benchmarks/figures/NAME.json, which benchmarks/record.py writes.
BENCHMARKS, VGGSOUND = "benchmarks/README.md", "docs/vggsound.md"
QUOTED = (
    (BENCHMARKS, "fid", "{f[results][0][cpu_seconds]:.1f} s | {f[results][0][cpu_seconds_sqrtm]:.0f} s, "
     "pytorch-fid's recipe with `scipy.linalg.sqrtm` | {f[results][0][cpu_ratio]:.1f}× (relative difference "
     "{f[results][0][relative_difference]:.0e}) | {f[results][0][seconds]:.1f} s and "
     "{f[results][0][seconds_sqrtm]:.0f} s"),
    (BENCHMARKS, "fid", "{f[results][1][cpu_seconds]:.2f} s | {f[results][1][cpu_seconds_sqrtm]:.0f} s | "
     "{f[results][1][cpu_ratio]:.0f}× ({f[results][1][relative_difference]:.0e}: `sqrtm` loses digits on "
     "singular covariances) | {f[results][1][seconds]:.1f} s and {f[results][1][seconds_sqrtm]:.0f} s"),
    (BENCHMARKS, "cache", "{f[again_cpu_seconds]:.2f} s | {f[first_cpu_seconds]:.1f} s, the first time | "
     "{f[cpu_ratio]:.0f}× | {f[again_seconds]:.2f} s and {f[first_seconds]:.1f} s"),
    (BENCHMARKS, "board", "{f[cpu_seconds]:.0f} s, {f[peak_gib]:.2f} GiB | – | – | "
     "{f[seconds]:.0f} s"),
    (BENCHMARKS, "board", "{f[cpu_seconds_ranking_one_metric]:.1f} s | "
     "{f[cpu_seconds_scipy_one_metric]:.1e} s, `scipy.stats.permutation_test` pair by pair (2 pairs × 1,024 flips "
     "timed, multiplied up) | {f[cpu_ratio]:.1e}×"),
    (BENCHMARKS, "data", "{f[decode_cpu_s]:.2f} s | {f[twenty_seeks_cpu_s]:.2f} s, seeking to 20 "
     "frames (without the sound)"),
    (BENCHMARKS, "data", "{f[published_sizes_cpu_s]:.1f} s, "
     "{f[published_sizes_clips_per_core_hour]:,.0f} clips per core and hour"),
    (BENCHMARKS, "data", "{f[mini_cpu_s]:.2f} s, {f[mini_clips_per_core_hour]:,.0f} clips per core "
     "and hour"),
    (BENCHMARKS, "startup", "{f[help_cpu_seconds]:.2f} s | {f[python_cpu_seconds]:.3f} s, "
     "`python -c pass` | – | {f[help_seconds]:.2f} s and {f[python_seconds]:.3f} s"),
    (BENCHMARKS, "training", "{f[precomputed_steps_per_second]:.2f} steps/s | "
     "{f[on_the_fly_steps_per_second]:.3f} steps/s, computed in every step | {f[ratio]:.1f}×"),
    (BENCHMARKS, "ratings", "{low:.1%} to {high:.1%} | {usual_low:.0%} to {usual_high:.0%}, ±1.96·sd/√n"),
    (BENCHMARKS, "eval", "{r[cpu_seconds]:.0f} s, {r[peak_gib]:.1f} GiB | – | – | {r[wall_seconds]:.0f} s"),
    (BENCHMARKS, "foleygen", "{r[cpu_seconds]:.0f} s, {r[peak_gib]:.1f} GiB | – | – | {r[wall_seconds]:.0f} s"),
    (BENCHMARKS, "table1", "{r[cpu_seconds]:.0f} s, {r[peak_gib]:.1f} GiB | – | – | {r[wall_seconds]:.0f} s"),
    (VGGSOUND, "data", "{f[published_sizes_cpu_s]:.1f} CPU seconds"),
    (VGGSOUND, "data", "{f[decode_cpu_s]:.2f} CPU seconds"),
    (VGGSOUND, "data", "about {f[published_sizes_clips_per_core_hour]:,.0f} clips an hour on each core"),
)  # fmt: skip

# What looks like a figure that somebody measured.
_MEASURED = re.compile(
    r"\d[\d.,e]*\s?(?:×(?!\s*\d)|steps/s|s of CPU|CPU (?:seconds|minutes)|ms\b|times (?:faster|as fast))"
    r"|\b(?!some\b)\w+ (?:minutes|hours|seconds) (?:on|of) (?:\w+ )?(?:CPU|core|laptop|GPU|machine)"
    r"|clips per core",
    re.IGNORECASE,
)


def recorded(name):
    return json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def filled(source, template):
    found = recorded(source)
    coverage = found["figures"].get("coverage", {})
    ours = [each["ours"] for each in coverage.values()] or [0]
    usual = [each["sd / sqrt(n)"] for each in coverage.values()] or [0]
    ends = {"low": min(ours), "high": max(ours), "usual_low": min(usual), "usual_high": max(usual)}
    return template.format(f=found["figures"], r=found, **ends)


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("page", "source", "template"), QUOTED, ids=lambda value: value[:40])
def test_a_quoted_figure_is_the_one_that_was_written(page, source, template):
    told = filled(source, template)
    assert told in words((ROOT / page).read_text(encoding="utf-8")), f"{page} should say: {told}"


def test_what_scoring_costs_is_what_the_scripts_wrote():
    text = words((ROOT / BENCHMARKS).read_text(encoding="utf-8"))
    cost, scale = (json.loads((ROOT / f"benchmarks/{name}.json").read_text()) for name in ("scoring", "scale"))
    ours, peers = cost["cpu_ms_an_image"]["a2ibench"], cost["cpu_ms_an_image"]["peers"]
    assert f"{ours:.0f} CPU milliseconds an image against {peers:.0f} of the peers" in text
    assert f"a ratio of {cost['cpu_ratio']:.2f}" in text
    minutes = [each["minutes_all_pairs"] for each in scale["results"]]
    assert f"{minutes[0]:.3f}, {minutes[1]:.2f} and {minutes[2]:.0f} core minutes" in text
    assert f"at most {scale['results'][-1]['peak_gib']:.1f} GiB" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_other_figure_is_claimed(page):
    text = words(page.read_text(encoding="utf-8"))
    for where, source, template in QUOTED:
        if where == page.relative_to(ROOT).as_posix():
            text = text.replace(filled(source, template), "…")
    claims = [text[max(0, found.start() - 60) : found.end() + 20] for found in _MEASURED.finditer(text)]
    assert not claims, "measure it with benchmarks/record.py, and quote it in tests/test_figures.py"


@pytest.mark.parametrize("file", sorted(FIGURES.glob("*.json")), ids=lambda file: file.stem)
def test_a_record_says_how_it_was_made(file):
    found = recorded(file.stem)
    assert found["command"].startswith("OMP_NUM_THREADS=2 python ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["measured"])
    assert found["machine"]["processor"]
    assert found["machine"]["cores"] > 0
    assert found["cpu_seconds"] > 0
    assert found["wall_seconds"] > 0
    assert found["command"].split()[2:] == _commands()[file.stem].replace("{out}/", "").split()


def _commands():
    text = (ROOT / "benchmarks/record.py").read_text(encoding="utf-8")
    return dict(re.findall(r'^    "(\w+)": "(.*)",$', text, re.MULTILINE))


def test_the_table_in_the_readme_is_what_the_suite_is_held_to():
    """The scores of Table 1 in the README are those that `reproduce table1 --check` compares with."""
    import tomllib

    held = tomllib.loads((ROOT / "a2ibench/published/audiotoken-table1.toml").read_text(encoding="utf-8"))["recorded"][
        "mini"
    ]
    rows = dict(re.findall(r"^\| ([^|]+?) \| (.*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    names = {"sd-text": "Stable Diffusion (text)", "wav2clip": "Wav2Clip", "imagebind": "ImageBind",
             "audiotoken-cl": "AudioToken (with CL)", "audiotoken": "AudioToken"}  # fmt: skip
    for method, name in names.items():
        cells = [re.match(r"[\d.]+", cell.replace("*", "").strip()).group() for cell in rows[name].split("|")]
        for metric, cell in zip(("AIC", "FID", "AIS", "IIS"), cells, strict=False):
            digits = len(cell.partition(".")[2])
            assert abs(float(cell) - held[method][metric]) <= 0.5 * 10**-digits + 0.005, (method, metric)
