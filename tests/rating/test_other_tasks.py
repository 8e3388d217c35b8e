"""Studies of other tasks: what is shown, played and read follows the task and its media, in a real browser too."""

import json
import re
import shutil
from io import BytesIO

import numpy as np
import pytest
from browsing import LISTENED, READY, begin, rate
from PIL import Image

from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.media.audio import read_audio, write_audio
from a2ibench.media.video import frames, video_info, write_video
from a2ibench.rating.aggregate import aggregate
from a2ibench.rating.column import rated_runs
from a2ibench.rating.make import make_study, read_runs
from a2ibench.rating.readers import Answer, Ratings
from a2ibench.rating.render import write_page
from a2ibench.rating.shown import Shown
from a2ibench.rating.study import Study
from a2ibench.rating.tables import markdown
from a2ibench.tasks import get as get_task
from a2ibench.tasks import tasks
from a2ibench.tasks.base import Task
from a2ibench.tasks.questions import ALIGNMENT, QUALITY, RELEVANCE, Question

RATE = 16_000
LABELS = ("bell ringing", "dog barking")
METHODS = {"alphasynth": 1.0, "betasynth": 1.5}
DESIGNS = ("likert", "pairwise")


def _task(name, given, reference):
    """A task named FROM-to-TO, with a column for each side."""
    (condition, medium), (column, output) = given, reference
    return Task(
        name=name, summary="x", columns={condition: medium, column: output}, condition=condition, reference=column,
        output=output, metrics=(),
    )  # fmt: skip


TASKS = {
    task.name: task
    for task in (
        _task("text-to-sound", ("caption", "text"), ("audio", "audio")),
        _task("video-to-sound", ("video", "video"), ("audio", "audio")),
        _task("sound-to-video", ("audio", "audio"), ("video", "video")),
        _task("image-to-text", ("image", "image"), ("caption", "text")),
        _task("sound-to-sound", ("audio", "audio"), ("other", "audio")),
        _task("video-to-text", ("video", "video"), ("caption", "text")),
    )
}


@pytest.fixture(autouse=True)
def _plugged_in(monkeypatch):
    for name, task in TASKS.items():
        monkeypatch.setitem(tasks(), name, task)


def hertz(number, tuning=1.0):
    return (300 + 90 * number) * tuning


def tone(pitch, seconds=0.6):
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def moving(number, size=(48, 64)):
    """A video of a bright bar that moves over a colour of its own: uint8 [frames, height, width, 3]."""
    shown = np.full((6, *size, 3), (40 + 30 * number, 90, 160 - 30 * number), np.uint8)
    for index in range(6):
        shown[index, :, 8 * index : 8 * index + 8] = 240
    return shown


def write(folder, name, medium, number, tuning=1.0):
    """Write what a clip has in a column, or what a method makes of it; gives the cell of clips.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    if medium == "text":
        text = f"tone {number} at {hertz(number, tuning):.0f} Hz, <b>& more</b>"
        (folder / f"{name}.txt").write_text(text)
        return text
    path = folder / f"{name}{ {'audio': '.wav', 'video': '.mp4', 'image': '.png'}[medium] }"
    if medium == "audio":
        write_audio(path, tone(hertz(number, tuning)), RATE)
    elif medium == "video":
        write_video(path, moving(number), 10, tone(hertz(number, tuning)), RATE)
    else:
        Image.fromarray(moving(number)[0]).save(path)
    return path.name


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """For each task a folder with ``clips/`` (four clips of two labels) and ``runs/METHOD/OUTPUTS/``."""
    made = {}

    def get(name):
        if name in made:
            return made[name]
        task, made[name] = TASKS[name], tmp_path_factory.mktemp(name)
        rows = [",".join(["clip_id", *task.columns, "label"])]
        for number in range(4):
            cells = [
                write(made[name] / "clips", f"{column}-{number}", medium, number)
                for column, medium in task.columns.items()
            ]
            rows.append(",".join([f"clipid-{number}", *(f'"{cell}"' for cell in cells), LABELS[number % 2]]))
            for method, tuning in METHODS.items():
                write(made[name] / "runs" / method / task.folder, f"clipid-{number}", task.output, number, tuning)
        (made[name] / "clips" / "clips.csv").write_text("\n".join(rows) + "\n")
        return made[name]

    return get


@pytest.fixture(scope="module")
def study_of(world, tmp_path_factory):
    """Make a study, each kind once: ``study_of("text-to-sound", "pairwise")`` gives its folder, to be left as it is."""
    made = {}

    def make(name, design, **options):
        key = (name, design, *options.items())
        if key not in made:
            root, task = world(name), TASKS[name]
            runs = read_runs([str(root / "runs" / method) for method in METHODS], "own@1", task)
            made[key] = tmp_path_factory.mktemp("studies") / "study"
            chosen = {"count": 2, "repeats": 1, "controls": 1, "salt": "5a17" * 8, "again": 0, **options}
            del chosen["again"]
            make_study(runs, load_clips(root / "clips", task=task), made[key], suite="own@1", design=design, **chosen)
        return made[key]

    return make


def island(page):
    return json.loads(re.search(r'id="study">(.*?)</script>', page)[1])


def pitch(path):
    wave = read_audio(path, RATE)
    return np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave)


def expected_pitch(item, side):
    """What is heard on a side of an item; None of the real output of another clip."""
    tuning = {"real sounds": 1.0, "shuffled sounds": None, **METHODS}[item.methods[side]]
    return tuning and hertz(int(item.clip_id[-1]), tuning)


# ------------------------------------------------------------------------------------------------ what is made


@pytest.mark.parametrize("design", DESIGNS)
def test_sounds_for_texts_are_heard_beside_the_text(study_of, design):
    folder = study_of("text-to-sound", design)
    study = Study.load(folder)
    assert (study.task, study.medium.name, study.given_medium.name) == ("text-to-sound", "audio", "text")
    assert study.question == (
        "How well does this sound fit the caption?" if design == "likert" else "Which sound fits the caption better?"
    )
    data = island((folder / "page/index.html").read_text())
    assert (data["medium"], data["noun"], data["given"]) == ("audio", "sound", {"noun": "caption", "medium": "text"})
    for item, sent in zip(study.items, data["items"], strict=True):
        assert sent["given"] == f"tone {item.clip_id[-1]} at {hertz(int(item.clip_id[-1])):.0f} Hz, <b>& more</b>"
        assert sent.keys() == {"item", "shown", "given"}
        assert all(address.startswith("data:audio/mpeg;base64,") for address in sent["shown"])
        for side, name in enumerate(item.shown):
            if (heard := expected_pitch(item, side)) is not None:
                assert pitch(folder / "media" / name) == pytest.approx(heard, abs=5)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_sound_for_a_video_is_heard_in_that_video(study_of, world, design):
    folder = study_of("video-to-sound", design)
    study = Study.load(folder)
    assert (study.medium.name, study.given_medium) == ("video", None)
    assert "each" in study.instructions
    assert "headphones" in study.instructions
    pictures = {}
    for item in study.items:
        for side, name in enumerate(item.shown):
            assert name.endswith(".mp4")
            info = video_info(folder / "media" / name)
            assert (info.width, info.height, info.has_sound) == (512, 384, True)
            if (heard := expected_pitch(item, side)) is not None:
                assert pitch(folder / "media" / name) == pytest.approx(heard, abs=5)
            shown = [frame.pixels for frame in frames(folder / "media" / name)]
            first = pictures.setdefault(item.clip_id, shown)
            assert all(np.array_equal(a, b) for a, b in zip(first, shown, strict=True)), "one picture for all sounds"
            own = moving(int(item.clip_id[-1]))[0, 20, 40]
            assert np.abs(shown[0][160, 320].astype(int) - own).max() < 12
    data = island((folder / "page/index.html").read_text())
    assert data["given"] is None
    assert {frozenset(sent) for sent in data["items"]} == {frozenset({"item", "shown"})}


def test_videos_for_a_sound_are_watched_with_that_sound(study_of):
    folder = study_of("sound-to-video", "pairwise")
    study = Study.load(folder)
    assert study.question == "Which video fits the sound better?"
    for item in study.items:
        for name in item.shown:
            info = video_info(folder / "media" / name)
            assert (info.width, info.height) == (512, 512), "outputs have one shape"
            # The methods' videos have other tones of their own: what is heard is the clip's sound.
            assert pitch(folder / "media" / name) == pytest.approx(hertz(int(item.clip_id[-1])), abs=5)


@pytest.mark.parametrize("name", ["image-to-text", "video-to-text"])
def test_texts_stand_in_the_page_and_what_was_given_is_whole(study_of, name):
    folder = study_of(name, "likert")
    study = Study.load(folder)
    data = island((folder / "page/index.html").read_text())
    assert data["medium"] == "text"
    assert all("Hz, <b>& more</b>" in sent["shown"][0] for sent in data["items"])
    given = folder / "media" / study.items[0].given
    if name == "image-to-text":
        with Image.open(BytesIO(given.read_bytes())) as image:
            assert image.size == (512, 384)
    else:
        info = video_info(given)
        assert (info.width, info.height, info.has_sound) == (512, 384, True)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", ["text-to-sound", "video-to-sound"])
def test_nothing_tells_a_method_a_clip_or_a_kind(study_of, name, design):
    folder = study_of(name, design)
    sent = [*(folder / "media").iterdir(), folder / "page/index.html"]
    page = json.dumps(island((folder / "page/index.html").read_text()))
    for secret in (*METHODS, "clipid", "real sound", "shuffled", "repeat_of", "control"):
        assert secret not in page
        assert not any(secret.encode() in file.read_bytes() for file in sent[:-1])


def test_a_study_is_made_equal_by_an_equal_salt(study_of):
    first, second = (
        {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "items.json"}
        for folder in (study_of("text-to-sound", "pairwise"), study_of("text-to-sound", "pairwise", again=1))
    )
    assert first == second


# ------------------------------------------------------------------------------------------ words and refusals


def test_a_task_words_its_own_question(study_of, monkeypatch):
    own = Question('A "title"', "Is “{label}” in it?", "Listen.\n\nRate \\ it.", "label", low="no", high="yes")
    task = TASKS["text-to-sound"]
    monkeypatch.setitem(TASKS, task.name, Task(**{**vars(task), "questions": {"likert": own}}))
    folder = study_of(task.name, "likert", again="own words")
    study = Study.load(folder)
    assert (study.title, study.question, study.instructions.strip()) == (own.title, own.text, own.instructions)
    assert (study.scale.low, study.scale.high) == ("no", "yes")
    assert study.given_medium is None
    assert {sent["label"] for sent in island((folder / "page/index.html").read_text())["items"]} == set(LABELS)
    assert "# {label} stands for the name of the caption." in (folder / "study.toml").read_text()


def test_what_can_not_be_together_is_refused():
    with pytest.raises(A2IBenchError, match="text-to-sound can't show its caption and sound together"):
        Shown(TASKS["text-to-sound"], "together")


def test_a_missing_sound_and_a_task_that_is_not_there_are_one_sentence(study_of, world, monkeypatch):
    folder = study_of("text-to-sound", "likert")
    runs = read_runs([str(world("text-to-sound") / "runs/alphasynth")], "own@1", TASKS["text-to-sound"])
    with pytest.raises(A2IBenchError, match=r"has no sound of the clip 'x'.*; add x\.wav"):
        runs[0].output("x")
    with pytest.raises(A2IBenchError, match="'real sounds' is the name of the hidden controls"):
        read_runs([f"real sounds={world('text-to-sound') / 'runs/alphasynth'}"], "own@1", TASKS["text-to-sound"])
    monkeypatch.delitem(tasks(), "text-to-sound")
    with pytest.raises(A2IBenchError, match=r"task.*text-to-sound"):
        Study.load(folder)


@pytest.mark.parametrize("design", DESIGNS)
def test_findings_speak_of_sounds(study_of, world, design):
    folder = study_of("text-to-sound", design)
    study = Study.load(folder)

    def says(item, rater):
        if design == "likert":
            return {"real sounds": 5, "alphasynth": 4, "betasynth": 2}[item.methods[0]] - (rater == 2)
        return "first" if item.methods[0] in ("real sounds", "alphasynth") else "second"

    answers = [Answer(f"R{n}", item.item, says(item, n), 3.0, None) for n in range(3) for item in study.items]
    human = aggregate(Ratings(tuple(answers), ("r.csv",), 0, ()), study)
    assert [(row.method, row.control) for row in human.kept.methods] == [
        ("alphasynth", False), ("betasynth", False), ("real sounds", True)
    ]  # fmt: skip
    assert human.kept.methods[0].mean == (pytest.approx(11 / 3) if design == "likert" else 100)
    text = markdown(human)
    assert "image" not in text
    assert ("each sound has 3 raters" if design == "likert" else "each pair has 3 raters") in text
    run = world("text-to-sound") / "runs/alphasynth"
    (run / "result.json").write_text("{}")
    assert rated_runs(study, folder) == {"alphasynth": folder / study.runs["alphasynth"]}
    (run / "result.json").unlink()


# -------------------------------------------------------------------------------------------------- the browser


def drawn(page):
    """What the videos on screen show: the colour in the middle of each."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#outputs video")].map((video) => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 6 });
          const context = canvas.getContext("2d");
          context.drawImage(video, 0, 0, 8, 6);
          return [...context.getImageData(5, 3, 1, 1).data];
        })"""
    )


@pytest.mark.parametrize("name", ["text-to-sound", "video-to-sound"])
def test_a_pair_is_answered_after_both_were_played(study_of, opened, name):
    page = opened((study_of(name, "pairwise") / "page/index.html").as_uri())
    begin(page, "R02")
    page.wait_for_selector(READY)
    page.keyboard.press("ArrowLeft")
    noun = "listen to both sounds" if name == "text-to-sound" else "watch both videos"
    page.get_by_text(f"Please {noun} first.").wait_for()
    assert page.get_by_role("button", name="The left sound", exact=True).is_disabled()
    page.get_by_role("button", name="Play: the left sound").click()
    page.get_by_role("button", name="Play again: the left sound").wait_for()  # it has ended
    assert page.get_by_role("button", name="The left sound", exact=True).is_disabled()
    page.keyboard.press("b")
    page.wait_for_selector(LISTENED)
    page.get_by_role("button", name="Play again: the right sound").wait_for()
    page.keyboard.press("a")
    page.get_by_role("button", name="Stop: the left sound").wait_for()
    page.keyboard.press("b")
    page.get_by_role("button", name="Stop: the right sound").wait_for()
    playing = "() => [...document.querySelectorAll('audio, video')].filter((one) => !one.paused).length"
    assert page.evaluate(playing) <= 1, "never two at once"
    if name == "text-to-sound":
        assert re.fullmatch(r"tone \d at \d+ Hz, <b>& more</b>", page.locator("#given").inner_text())
    else:
        left, right = drawn(page)
        assert left == right, "both show the one video"
        assert left[3] == 255
    page.keyboard.press("ArrowRight")
    page.locator("#place", has_text="2 of").wait_for()
    page.wait_for_selector(READY)
    assert page.get_by_role("button", name="The left sound", exact=True).is_disabled()
    page.keyboard.press("Backspace")
    page.locator("#place", has_text="1 of").wait_for()
    page.wait_for_selector(LISTENED)
    assert page.get_by_role("button", pressed=True).inner_text() == "Right"


@pytest.mark.parametrize("name", ["text-to-sound", "video-to-sound", "sound-to-sound", "image-to-text"])
def test_all_are_rated_from_1_to_5_by_keyboard(study_of, opened, name):
    folder = study_of(name, "likert", controls=0, repeats=0)
    study = Study.load(folder)
    page = opened((folder / "page/index.html").as_uri())
    page.get_by_text(f"4 {TASKS[name].noun}s, about").wait_for()
    begin(page, "R01")
    for _ in study.items:
        page.wait_for_selector(READY)
        if name == "sound-to-sound":  # what was given begins by itself, the output does not
            page.keyboard.press("a")
        rate(page, 1, ["4"], LISTENED)
    page.get_by_text("You have answered everything").wait_for()
    kept = page.evaluate("localStorage.getItem(Object.keys(localStorage).find((key) => key.endsWith('R01')))")
    assert [row["value"] for row in json.loads(kept)] == [4, 4, 4, 4]


def test_the_check_of_headphones_lets_in_who_hears_the_quiet_tone(study_of, opened, tmp_path):
    folder = shutil.copytree(study_of("text-to-sound", "likert"), tmp_path / "study")
    before = Study.load(folder)
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("headphones = false", "headphones = true"))
    study = Study.load(folder)
    assert study.digest != before.digest
    page = opened(write_page(study, folder).as_uri())
    page.evaluate("Math.random = () => 0.5")  # the second is quiet, the first is of opposite phase
    begin(page, "R01")
    page.get_by_text("1 of 6").wait_for()
    assert page.get_by_role("button", name="Second").is_disabled(), "one listens first"
    for answers, place in ((("Second",) * 4 + ("First", "Third"), "1 of 6"), (("Third",) + ("Second",) * 5, None)):
        page.get_by_role("button", name="Play the tones").click()
        for number, answer in enumerate(answers):
            page.get_by_text(f"{number + 1} of 6").wait_for()
            page.get_by_role("button", name=answer).click()
        if place:
            page.get_by_text("through loudspeakers").wait_for()
            page.get_by_text(place).wait_for()
    page.wait_for_selector(READY)


def test_the_tones_of_the_check(study_of, opened):
    page = opened((study_of("text-to-sound", "likert") / "page/index.html").as_uri(), bypass_csp=True)
    left, right = (
        np.array(channel)
        for channel in page.evaluate(
            """() => {
              const sound = checkSound(new OfflineAudioContext(2, 1, 8000), 2, 0);
              return [0, 1].map((channel) => Array.from(sound.getChannelData(channel)));
            }"""
        )
    )
    tones = [(left[at : at + 8000], right[at : at + 8000]) for at in (0, 12_000, 24_000)]
    assert len(left) == 32_000
    assert not left[8000:12_000].any()
    loud = [np.sqrt(np.mean(one**2)) for one, _ in tones]
    assert 20 * np.log10(loud[2] / loud[1]) == pytest.approx(-6, abs=0.01)
    assert loud[0] == pytest.approx(loud[1])
    assert np.array_equal(tones[0][0], -tones[0][1]), "of opposite phase: loudspeakers cancel it"
    assert all(np.array_equal(*tones[place]) for place in (1, 2))
    assert np.abs(np.fft.rfft(tones[1][0])).argmax() == 200


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", TASKS)
def test_all_fits_and_has_a_name(study_of, opened, name, design, width):
    folder = study_of(name, design)
    page = opened((folder / "page/index.html").as_uri(), viewport={"width": width, "height": 640}, bypass_csp=True)
    begin(page, "R01")
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 40, "too small for a thumb"
    tree = page.locator("body").aria_snapshot()
    assert not re.search(r"(button|img)( \[.*)?$", tree, re.MULTILINE), f"without a name: {tree}"


def test_a_study_asks_another_question_of_the_task(study_of, monkeypatch):
    """OVR and ALI are asked of the same items in other words; what names no question asks the first, as it did."""
    task = TASKS["video-to-sound"]
    asked = Task(**{**vars(task), "aspects": {"rel": RELEVANCE, "ovr": QUALITY, "ali": ALIGNMENT}})
    monkeypatch.setitem(TASKS, task.name, asked)
    first = (study_of(task.name, "pairwise") / "study.toml").read_text()
    assert study_of(task.name, "pairwise", question="rel").joinpath("study.toml").read_text() == first
    study = Study.load(study_of(task.name, "pairwise", question="ali"))
    assert study.question == "Which sound is better in time with the video?"
    assert study.digest != Study.load(study_of(task.name, "pairwise")).digest
    good = Study.load(study_of(task.name, "likert", question="ovr"))
    assert (good.question, good.scale.low, good.scale.high) == (
        "How good is this sound, all in all?",
        "bad",
        "excellent",
    )
    with pytest.raises(A2IBenchError, match="did you mean 'ali'"):
        study_of(task.name, "pairwise", question="alli")


def test_the_tasks_of_sounds_ask_several_questions():
    assert [*get_task("video-to-audio").aspects] == ["rel", "ovr", "ali"]
    assert [*get_task("text-to-audio").aspects] == ["rel", "ovr"]
    assert [*get_task("audio-to-image").aspects] == ["rel"]
    with pytest.raises(A2IBenchError, match="no question of the task audio-to-image 'ali'"):
        get_task("audio-to-image").question("likert", "ali")
