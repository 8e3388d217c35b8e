"""Submitting: a row appears whole or not at all, nobody's is overwritten, and the board is rendered."""

import json
import os
import shutil
import signal
import sys
from io import StringIO
from pathlib import Path

import pytest
from noise import draw_noise
from test_hostile import tree
from tiny import TINY

from a2ibench.board import submit as module
from a2ibench.board.card import MethodCard
from a2ibench.board.load import load_board
from a2ibench.board.outputs import read_outputs
from a2ibench.board.rows import load_sanity, read_hashes
from a2ibench.board.submit import board_lock, submit, tidy
from a2ibench.board.verify import state_of
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.results import Result
from a2ibench.scoring.scorer import Scorer
from a2ibench.show.board import write_board
from a2ibench.suites import load_suite

FILES = {"result.json", "items.csv", "method.toml", "hashes.csv", "contact.png", "gallery.webp", "gallery.json"}
BOARD = {"README.md", "leaderboard.csv", "leaderboard.tex", "index.html", "sanity.json", ".lock"}


@pytest.fixture(scope="module")
def suite(tiny_suite):
    return load_suite(str(tiny_suite))


@pytest.fixture(scope="module")
def scorer(suite):
    return Scorer(suite, suite.clips())


@pytest.fixture(scope="module")
def other_noise(tmp_path_factory, suite):
    return draw_noise(tmp_path_factory.mktemp("other") / "noise", suite.clips().ids, seed=1)


@pytest.fixture
def send(run_cli, tiny_suite):
    """Submit in the tiny suite, in a folder of the test's own."""
    return lambda given, *arguments: run_cli("submit", given, "--suite", tiny_suite, *arguments)


def put(scorer, folder, board, **options):
    """Submit without the command line."""
    card = MethodCard(name=options.pop("name", "noise"), authors=options.pop("authors", "A. Nobody"))
    with read_outputs(folder, scorer.clips) as found:
        return submit(found, card, scorer, board, **options)


# ------------------------------------------------------------------------------------------------- the row


def test_the_first_row_makes_the_board(send, noise, suite, tmp_path):
    outcome = send(noise, "--name", "My Method")
    assert outcome.code == 0, outcome.err
    assert "My Method" in outcome.out
    assert "leaderboards/tiny/my-method (new)" in outcome.out
    board = tmp_path / "leaderboards/tiny"
    assert {path.name for path in board.iterdir()} == BOARD | {"my-method"}
    row = board / "my-method"
    assert {path.name for path in row.iterdir()} == FILES
    result = Result.load(row / "result.json")
    assert (result.method, result.suite, result.seed) == ("My Method", TINY, None)
    assert result.clips.digest == suite.clips().digest
    assert next(score for score in result.scores if score.metric == "IIS").ceiling == 100
    assert [(h.clip_id, h.index, h.file) for h in read_hashes(row / "hashes.csv")] == [
        (clip_id, 0, f"{clip_id}.png") for clip_id in suite.clips().ids
    ]
    assert [each.method for each in load_sanity(board)] == ["real images", "shuffled images"]
    assert "My Method" in (board / "README.md").read_text()
    assert str(tmp_path) not in "".join(path.read_text() for path in board.rglob("*.json"))


def test_json(send, noise):
    outcome = send(noise, "--name", "x", "--json")
    told = json.loads(outcome.out)
    assert (told["folder"], told["what"]) == ("leaderboards/tiny/x", "new")
    Result.model_validate(told["result"])


def test_own_data_and_another_place(send, noise, clip_folder, tmp_path):
    outcome = send(noise, "--name", "x", "--data", clip_folder, "--board", "elsewhere")
    assert outcome.code == 0, outcome.err
    row = tmp_path / "elsewhere/tiny-sounds/x"
    assert f"{TINY}+{load_clips(clip_folder).digest[:12]}" in Result.load(row / "result.json").scores[0].signature
    assert not (tmp_path / "leaderboards").exists()


def test_a_run_of_ours_keeps_its_run_json(send, run_cli, tiny_suite, tmp_path):
    run_cli("generate", "--method", "sd-text", "--suite", tiny_suite, "--out", "run", "--seed", 3)
    outcome = send("run")
    assert outcome.code == 0, outcome.err
    row = tmp_path / "leaderboards/tiny/sd-text"
    assert {path.name for path in row.iterdir()} == FILES | {"run.json"}
    assert json.loads((row / "run.json").read_text()) == json.loads((tmp_path / "run/run.json").read_text())
    result = Result.load(row / "result.json")
    assert (result.method, result.seed, result.options["steps"]) == ("sd-text", 3, 2)
    assert "stable_diffusion" in result.weights


def test_missing_images_are_refused_or_counted_and_told(send, noise, tmp_path):
    given = shutil.copytree(noise, tmp_path / "given")
    (given / "dog-0.png").unlink()
    assert "--allow-missing" not in send(given, "--name", "x").out
    assert "lacks the images of 1 of 8 clips" in send(given, "--name", "x").sentence
    assert not (tmp_path / "leaderboards").exists()
    outcome = send(given, "--name", "x", "--allow-missing")
    assert outcome.code == 0, outcome.err
    board = tmp_path / "leaderboards/tiny"
    result = Result.load(board / "x/result.json")
    assert result.missing == ["dog-0"]
    assert result.items["dog-0"]["AIS"] == 0
    assert len(read_hashes(board / "x/hashes.csv")) == 7
    assert "incomplete, 7 of 8 clips have an image" in (board / "README.md").read_text()


def test_several_outputs_per_clip(send, noise, other_noise, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    for k, folder in enumerate((noise, other_noise)):
        for file in folder.iterdir():
            shutil.copy(file, given / f"{file.stem}_{k}.png")
    assert send(given, "--name", "x").code == 0
    row = tmp_path / "leaderboards/tiny/x"
    assert Result.load(row / "result.json").outputs_per_clip == 2
    first, second, *_ = read_hashes(row / "hashes.csv")
    assert [(h.index, h.file) for h in (first, second)] == [(0, "bell-0_0.png"), (1, "bell-0_1.png")]


# ------------------------------------------------------------------------------------------------- dry run


def test_dry_run_says_all_at_once_and_writes_nothing(send, noise, own_boards, tmp_path):
    given = shutil.copytree(noise, tmp_path / "given")
    before = tree(tmp_path)
    outcome = send(given, "--name", "x", "--dry-run")
    assert (outcome.code, outcome.out.count("\n")) == (0, 1)
    assert "8 good images, no problems; nothing was written" in outcome.out
    assert tree(tmp_path) == before
    (given / "dog-0.png").write_bytes(b"")
    (given / "dog-1.png").unlink()
    (given / "x.png").write_bytes(b"")
    outcome = send(given, "--name", "noise", "--dry-run")
    assert outcome.code == 1
    for words in ("dog-0.png is empty", "lacks the images of 1", "'x'", "'noise' already", "4 problems"):
        assert words in outcome.out
    told = json.loads(send(given, "--name", "noise", "--dry-run", "--json").out)
    assert told["missing"] == ["dog-1"]
    assert len(told["problems"]) == 4


def test_dry_run_of_what_cannot_be_read(send, tmp_path):
    (tmp_path / "given.zip").write_bytes(b"PK\3\4 cut off")
    outcome = send("given.zip", "--name", "x", "--dry-run")
    assert outcome.code == 1
    assert "given.zip is broken or cut off" in outcome.out
    assert "no folder absent" in send("absent", "--name", "x", "--dry-run").sentence


def test_a_place_where_no_board_can_be(send, noise, tmp_path, monkeypatch):
    """Said before anything is scored, and by the dry run."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    before = tree(tmp_path)
    monkeypatch.setattr(module, "sanity", None)
    places = (
        ("file", "no folder"),
        ("a" * 300, "too long"),
        ("b/" + "a" * 300 + "/c", "too long"),
        ("loop", "no folder"),
    )
    for place, words in places:
        outcome = send(noise, "--name", "x", "--board", place, "--dry-run")
        assert outcome.code == 1, outcome.err
        assert "can't be written" in outcome.out
        assert "can't be written" in send(noise, "--name", "x", "--board", place).sentence
        assert words in outcome.out
    assert tree(tmp_path) == before


def test_paths_that_the_system_refuses_are_one_sentence(run_cli):
    for command in (("submit", "a" * 300, "--name", "x"), ("verify", "a" * 300), ("report", "a" * 5000)):
        assert run_cli(*command).sentence


def test_odd_file_names_can_be_printed(run_cli, tiny_suite, noise, tmp_path):
    given = shutil.copytree(noise, tmp_path / "given-\udcff")
    (given / "dog-0.png").write_bytes(b"")
    outcome = run_cli("submit", given, "--suite", tiny_suite, "--name", "x", "--dry-run")
    assert outcome.code == 1
    assert "given-\\udcff" in outcome.out


def test_who_may_write_may_lock(own_boards):
    (own_boards / "tiny/.lock").unlink()
    with board_lock(own_boards / "tiny"):
        assert (own_boards / "tiny/.lock").stat().st_mode & 0o777 == 0o664


def test_only_ones_own_litter_is_tidied(own_boards):
    board = own_boards / "tiny"
    kept = (".my.part", ".thesis.old", ".noise.0123456.part", ".x.01234567.parts")
    for name in (*kept, ".x.01234567.part", ".noise.01234567.old"):
        (board / name).mkdir()
    (board / ".README.md.89abcdef.part").write_text("half")
    before = {path.name for path in board.iterdir()}
    with board_lock(board):
        tidy(board)
    gone = {".x.01234567.part", ".noise.01234567.old", ".README.md.89abcdef.part"}
    assert {path.name for path in board.iterdir()} == before - gone


# ------------------------------------------------------------------------------------------------- the card


def test_the_card_comes_from_the_outputs_or_a_file_and_the_name_from_anywhere(send, noise, tmp_path):
    given = shutil.copytree(noise, tmp_path / "given")
    assert "no name; give --name" in send(given).sentence
    (given / "method.toml").write_text('name = "Inside"\nauthors = "A"\ntext_labels = false\n')
    (tmp_path / "card.toml").write_text('name = "Outside"\nauthors = "B"\n')
    assert send(given, "--name", "Third").code == 0
    card = MethodCard.load(tmp_path / "leaderboards/tiny/third/method.toml")
    assert card == MethodCard(name="Third", authors="A", text_labels=False)
    assert send(given, "--card", "card.toml").code == 0
    assert (tmp_path / "leaderboards/tiny/outside/method.toml").read_text() == 'name = "Outside"\nauthors = "B"\n'
    assert "no absent.toml" in send(given, "--card", "absent.toml").sentence


def test_what_is_not_given_is_asked_for_on_a_terminal(send, noise, monkeypatch, tmp_path):
    from a2ibench.cli import board

    answers = ["", "https://", "https://example.org", "", "", "", "perhaps", "no", "", "One note."]
    monkeypatch.setattr(board, "_at_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", StringIO("\n".join(answers) + "\n"))
    outcome = send(noise, "--name", "x")
    assert outcome.code == 0, outcome.err
    assert "authors (Who made it.)" in outcome.err
    assert "'paper' can't be taken" in outcome.err
    assert "'perhaps' is neither yes nor no" in outcome.err
    card = MethodCard.load(tmp_path / "leaderboards/tiny/x/method.toml")
    assert card == MethodCard(name="x", paper="https://example.org", text_labels=False, notes="One note.")


# --------------------------------------------------------------------------------------------- somebody's row


def test_the_same_again_changes_nothing(send, noise, own_boards, tmp_path):
    row = own_boards / "tiny/noise"
    (tmp_path / "card.toml").write_text((row / "method.toml").read_text())
    (row / "verified.json").write_text("{}")
    before = tree(row)
    outcome = send(noise, "--card", "card.toml")
    assert outcome.code == 0, outcome.err
    assert "(unchanged)" in outcome.out
    assert tree(row) == before


@pytest.mark.parametrize("name", ["items.csv", "hashes.csv", "method.toml", "result.json"])
def test_a_damaged_row_is_mended_by_the_same_again(scorer, noise, own_boards, name):
    row = own_boards / "tiny/noise"
    file = row / name

    def texts():
        return {each: (row / each).read_bytes() for each in ("items.csv", "hashes.csv", "method.toml")}

    whole = texts()
    for damage in ("cut", "pipe"):
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:-3])
        elif name in ("items.csv", "method.toml"):  # without the others a folder is no row, and is not replaced
            file.unlink()
            os.mkfifo(file)
        else:
            continue
        assert put(scorer, noise, own_boards / "tiny", authors="A. Nobody", replace=True).what == "replaced"
        assert texts() == whole
    assert put(scorer, noise, own_boards / "tiny", authors="A. Nobody", replace=True).what == "unchanged"


def test_authors_may_mend_their_card(scorer, noise, own_boards):
    board = own_boards / "tiny"
    with read_outputs(noise, scorer.clips) as found:
        card = MethodCard(name="noise", authors="A. Nobody", notes="mended")
        assert submit(found, card, scorer, board).what == "replaced"
    assert MethodCard.load(board / "noise/method.toml").notes == "mended"


@pytest.mark.parametrize("change", ["images", "authors"])
def test_nobodys_row_is_overwritten_unless_asked(scorer, noise, other_noise, own_boards, change):
    board = own_boards / "tiny"
    given = other_noise if change == "images" else noise
    authors = "A. Nobody" if change == "images" else "Somebody Else"
    before = tree(board)
    with pytest.raises(A2IBenchError, match=r"already.*--replace") as error:
        put(scorer, given, board, authors=authors)
    assert ("of other images" if change == "images" else "by 'A. Nobody'") in str(error.value)
    assert tree(board) == before
    done = put(scorer, given, board, authors=authors, replace=True)
    assert done.what == "replaced"
    assert MethodCard.load(done.folder / "method.toml").authors == authors
    assert {path.name for path in board.iterdir()} == BOARD | {"noise"}


def test_a_folder_that_is_no_row_is_never_replaced(scorer, noise, own_boards):
    (own_boards / "tiny/thesis").mkdir()
    (own_boards / "tiny/thesis/chapter-1.txt").write_text("years of work")
    with pytest.raises(A2IBenchError, match="not a row of a board"):
        put(scorer, noise, own_boards / "tiny", name="thesis", replace=True)
    assert (own_boards / "tiny/thesis/chapter-1.txt").read_text() == "years of work"


def test_a_board_of_other_clips_is_refused(send, noise, clip_folder, own_clips, tmp_path):
    assert send(noise, "--name", "x", "--data", clip_folder).code == 0
    before = tree(tmp_path / "leaderboards")
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/dog-1.wav").read_bytes())
    renamed = own_clips.rename(tmp_path / clip_folder.name)
    assert "is of other clips (sounds, n=8" in send(noise, "--name", "y", "--data", renamed).sentence
    assert tree(tmp_path / "leaderboards") == before


def test_an_older_suite_never_spoils_a_newer_board(scorer, noise, own_boards):
    file = own_boards / "tiny/sanity.json"
    file.write_text(file.read_text().replace(TINY, "tiny@2"))
    before = tree(own_boards)
    with pytest.raises(A2IBenchError, match="newer than tiny@1"):
        put(scorer, noise, own_boards / "tiny", name="x")
    assert tree(own_boards) == before


def test_a_newer_suite_takes_the_board_over(scorer, noise, own_boards):
    """The old row stays, apart: its columns are others."""
    board = own_boards / "tiny"
    for file in (board / "sanity.json", board / "noise/result.json"):
        file.write_text(file.read_text().replace(TINY, "tiny@0"))
    put(scorer, noise, board, name="x")
    found = load_board(board)
    assert [entry.slug for entry in found.entries] == ["x"]
    assert [entry.slug for entry in found.outdated] == ["noise"]


# --------------------------------------------------------------------------------------------- kills and races


def _forked(work):
    """Run in a child process, quicker than a new one: the encoders are loaded. Gives its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(monkeypatch, name, call, after):
    """Have the n-th call of a function of the submission kill the process, before or after it is done."""
    where, attribute = {
        "replace": (os, "replace"),
        "rename": (os, "rename"),
        "exchange": (module, "_exchange"),
        "rmtree": (shutil, "rmtree"),
    }[name]
    real, calls = getattr(where, attribute), []

    def deadly(*arguments, **options):
        calls.append(1)
        if len(calls) == call and not after:
            _die()
        done = real(*arguments, **options)
        if len(calls) == call:
            _die()
        return done

    monkeypatch.setattr(where, attribute, deadly)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def _is_whole(board, rows):
    found = load_board(board)
    assert found.broken == {}
    assert {entry.slug for entry in found.entries} in rows
    for entry in found.entries:
        assert {path.name for path in entry.folder.iterdir()} == FILES
        assert len(read_hashes(entry.folder / "hashes.csv")) == 8


@needs_fork
@pytest.mark.parametrize(
    ("name", "call", "after"),
    [*(("replace", call, after) for call in (1, 2, 4, 6, 7) for after in (False, True)), ("rename", 1, False),
     ("rename", 1, True)],
)  # fmt: skip
def test_a_kill_leaves_a_new_row_whole_or_absent(scorer, other_noise, own_boards, name, call, after, monkeypatch):
    board = own_boards / "tiny"
    with monkeypatch.context() as patch:
        _die_at(patch, name, call, after)
        status = _forked(lambda: put(scorer, other_noise, board, name="x"))
    assert os.WTERMSIG(status) == signal.SIGKILL
    _is_whole(board, [{"noise"}, {"noise", "x"}])
    put(scorer, other_noise, board, name="x")
    write_board(board)
    assert {path.name for path in board.iterdir()} == BOARD | {"noise", "x"}, "the litter is gone"
    _is_whole(board, [{"noise", "x"}])


@needs_fork
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize(
    ("name", "call", "after"),
    [("replace", 3, True), ("exchange", 1, False), ("exchange", 1, True), ("rename", 1, False), ("rename", 1, True),
     ("rename", 2, False), ("rename", 2, True), ("rmtree", 1, False), ("rmtree", 1, True)],
)  # fmt: skip
def test_a_kill_leaves_the_old_row_or_the_new_one(
    scorer, noise, other_noise, own_boards, name, call, after, can_exchange, monkeypatch
):
    board = own_boards / "tiny"
    hashes = {}
    for folder in (noise, other_noise):
        with read_outputs(folder, scorer.clips) as found:
            hashes[folder] = sorted(found.hashes)
    with monkeypatch.context() as patch:
        if not can_exchange:
            patch.setattr(module, "_exchange", lambda one, other: False)
        _die_at(patch, name, call, after)
        status = _forked(lambda: put(scorer, other_noise, board, replace=True))
    died = os.WIFSIGNALED(status)
    assert died or (can_exchange and name == "rename"), "with an exchange there is no rename"
    if can_exchange and sys.platform == "linux":
        assert (board / "noise/result.json").exists(), "at every moment a row stands there"
    with board_lock(board):
        tidy(board)
    _is_whole(board, [{"noise"}])
    assert read_hashes(board / "noise/hashes.csv") in hashes.values()
    assert not list(board.glob(".noise*"))


@needs_fork
def test_two_at_once_leave_a_whole_board(scorer, noise, other_noise, own_boards):
    board = own_boards / "tiny"
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                put(scorer, (noise, other_noise)[number % 2], board, name=f"x{number // 2}")
                write_board(board)
                os._exit(0)
            except A2IBenchError:
                os._exit(2)
            except BaseException:
                os._exit(1)
        children.append(pid)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)
    assert codes == [0, 0, 2, 2], "of two of one name and other images, one is refused"
    _is_whole(board, [{"noise", "x0", "x1"}])
    readme = (board / "README.md").read_text()
    assert all(name in readme for name in ("noise", "x0", "x1"))
    assert {path.name for path in board.iterdir()} == BOARD | {"noise", "x0", "x1"}


@pytest.mark.slow
def test_two_commands_at_once(start_cli, tiny_suite, noise, other_noise, tmp_path):
    started = [
        start_cli("submit", folder, "--suite", tiny_suite, "--name", name)
        for name, folder in (("one", noise), ("two", other_noise))
    ]
    for process in started:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
    _is_whole(tmp_path / "leaderboards/tiny", [{"one", "two"}])
    readme = (tmp_path / "leaderboards/tiny/README.md").read_text()
    assert "one" in readme
    assert "two" in readme


# ------------------------------------------------------------------------------------------------ leaderboard


def test_leaderboard_renders_what_is_there(run_cli, tiny_suite, own_boards):
    board = own_boards / "tiny"
    assert run_cli("leaderboard", "--suite", tiny_suite).code == 0
    expected = tree(board)
    for name in ("README.md", "leaderboard.csv", "leaderboard.tex", "index.html"):
        (board / name).unlink()
    outcome = run_cli("leaderboard", "--suite", tiny_suite)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == "leaderboards/tiny/README.md"
    assert tree(board) == expected
    assert run_cli("leaderboard", "--suite", tiny_suite, "--metric", "IIS").code == 0
    assert tree(board) != expected
    assert "did you mean 'IIS'" in run_cli("leaderboard", "--suite", tiny_suite, "--metric", "IISS").sentence


def test_leaderboard_without_a_board_names_those_that_are_there(run_cli, tiny_suite, own_boards):
    sentence = run_cli("leaderboard", "--suite", "mini").sentence
    assert "no board leaderboards/mini" in sentence
    assert "in leaderboards: tiny" in sentence
    assert "in elsewhere: none" in run_cli("leaderboard", "--suite", tiny_suite, "--board", "elsewhere").sentence


# ------------------------------------------------------------------------------------------------- real data

REAL = Path(__file__).resolve().parents[2] / "shared/data/real-a2i"


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_a_strangers_round_trip(run_cli, tmp_path):
    """Zip a published method's images, submit, verify, change one pixel, verify: named."""
    from PIL import Image

    shutil.make_archive(str(tmp_path / "generated"), "zip", REAL / "generated")
    outcome = run_cli("submit", "generated.zip", "--name", "wav2clip-vqgan", "--data", REAL)
    assert outcome.code == 0, outcome.err
    row = tmp_path / "leaderboards/mini-real-a2i/wav2clip-vqgan"
    assert load_clips(REAL).digest == Result.load(row / "result.json").clips.digest
    outcome = run_cli("verify", row, "--outputs", "generated.zip", "--data", REAL)
    assert outcome.code == 0, outcome.out + outcome.err
    assert state_of(row) == "re-scored"
    assert "re-scored" in (row.parent / "README.md").read_text()
    changed = shutil.copytree(REAL / "generated", tmp_path / "changed")
    file = sorted(changed.iterdir())[4]
    with Image.open(file) as image:
        pixel = image.getpixel((7, 7))
        image.putpixel((7, 7), (pixel[0] ^ 1, *pixel[1:]))
        image.save(file)
    outcome = run_cli("verify", row, "--outputs", "changed", "--data", REAL)
    assert outcome.code == 1
    assert f"'{file.name}'" in outcome.out
    assert outcome.out.count("another image") == 1
    assert state_of(row) == "self-reported"
