"""Withdrawing a row: it leaves the ranks, a line with date and reason stays, and nothing brings it back by accident."""

import csv
import io
import json
import re
import threading

import pytest

from a2ibench.board.load import load_board
from a2ibench.board.lock import board_lock
from a2ibench.board.standings import standings
from a2ibench.board.withdraw import withdraw, withdrawal_of
from a2ibench.errors import A2IBenchError
from a2ibench.show.board import write_board

WHY = "Trained on the test clips | <b>sorry</b>"


@pytest.fixture
def board(own_boards):
    return own_boards / "tiny"


@pytest.fixture
def take_out(run_cli, tiny_suite, board):
    return lambda *arguments: run_cli("leaderboard", "withdraw", *arguments, "--suite", tiny_suite)


def test_the_row_leaves_the_ranks_and_a_line_stays(take_out, board):
    before = {path.name: path.read_bytes() for path in (board / "noise").iterdir()}
    outcome = take_out("noise", "--why", WHY)
    assert outcome.code == 0, outcome.err
    assert "leaderboards/tiny/README.md" in outcome.out
    found = load_board(board)
    assert found.entries == ()
    assert [entry.slug for entry in found.withdrawn] == ["noise"]
    assert not any(standings(found, metric) for metric in found.columns)
    told = withdrawal_of(board / "noise")
    assert told.why == WHY
    page = (board / "README.md").read_text()
    assert re.search(rf"## Withdrawn.*\*\*noise\*\*, withdrawn on {told.when}\\?: Trained on the test", page, re.DOTALL)
    assert "<b>" not in page
    page = (board / "index.html").read_text()
    assert f"withdrawn on {told.when}: Trained on the test clips | &lt;b&gt;" in page
    (line,) = [row for row in csv.DictReader(io.StringIO((board / "leaderboard.csv").read_text()))
               if row["slug"] == "noise"]  # fmt: skip
    assert (line["kind"], line["withdrawn"], line["why"], line["value"]) == ("withdrawn", told.when, WHY, "")
    after = {path.name: path.read_bytes() for path in (board / "noise").iterdir()}
    assert {name: after[name] for name in before} == before, "its files stay"
    assert after.keys() - before.keys() == {"withdrawn.json"}


def test_the_others_are_ranked_without_it(run_cli, tiny_suite, take_out, board, noise):
    run_cli("submit", noise, "--suite", tiny_suite, "--name", "again")
    assert len(standings(load_board(board), "AIS")) == 2
    take_out("noise", "--why", "x")
    assert [(each.entry.slug, each.rank) for each in standings(load_board(board), "AIS")] == [("again", "1")]


def test_options_may_stand_before_the_command(run_cli, tiny_suite, board):
    outcome = run_cli("leaderboard", "--suite", tiny_suite, "withdraw", "noise", "--why", "x")
    assert outcome.code == 0, outcome.err
    assert withdrawal_of(board / "noise").why == "x"


def test_the_plain_command_still_renders(run_cli, tiny_suite, board):
    (board / "README.md").unlink()
    outcome = run_cli("leaderboard", "--suite", tiny_suite, "--metric", "IIS")
    assert outcome.code == 0, outcome.err
    assert "Rank** by IIS" in (board / "README.md").read_text()


def test_nothing_brings_it_back_by_accident(run_cli, tiny_suite, take_out, board, noise):
    take_out("noise", "--why", "first")
    assert "was withdrawn on" in take_out("noise", "--why", "second").sentence
    assert withdrawal_of(board / "noise").why == "first"
    for more in ((), ("--replace",)):
        sentence = run_cli("submit", noise, "--suite", tiny_suite, "--name", "noise", *more).sentence
        assert "was withdrawn on" in sentence
        assert "(first); give another --name" in sentence
    outcome = run_cli("verify", board / "noise", "--suite", tiny_suite, "--outputs", noise)
    assert (outcome.code, "The row was withdrawn on" in outcome.out) == (0, True)
    run_cli("leaderboard", "--suite", tiny_suite)
    assert load_board(board).entries == ()
    (board / "noise/withdrawn.json").unlink()  # on purpose
    assert len(load_board(board).entries) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"when": "today", "why": "x"}', '{"when": "2026-01-01", "why": ""}', "[" * 5000]
)
def test_a_broken_file_brings_no_row_back(board, text):
    (board / "noise/withdrawn.json").write_text(text)
    found = load_board(board)
    assert found.entries == ()
    assert "does not say when the row was withdrawn" in found.broken["noise"]
    write_board(board)


def test_a_link_or_pipe_is_not_opened(board, tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps({"when": "2026-01-01", "why": "x"}))
    (board / "noise/withdrawn.json").symlink_to(tmp_path / "elsewhere")
    assert "not a plain file" in load_board(board).broken["noise"]


def test_what_can_not_be_withdrawn(take_out, board, tmp_path):
    assert "did you mean 'noise'" in take_out("nois", "--why", "x").sentence
    for why in ("", "  ", "x" * 251, "bell\x07"):
        assert "--why must say" in take_out("noise", "--why", why).sentence
    assert take_out("noise").code == 2, "a reason is needed"
    (board / "link").symlink_to(board / "noise")
    assert "is a link" in take_out("link", "--why", "x").sentence
    assert not (board / "noise/withdrawn.json").exists()
    with pytest.raises(A2IBenchError, match="There is no board"):
        withdraw(tmp_path / "absent", "noise", "x")


def test_it_waits_for_whoever_changes_the_board(board):
    done = threading.Thread(target=withdraw, args=(board, "noise", "x"))
    with board_lock(board):
        # The lock is one object in a process: another thread has to wait for it all the same.
        done.start()
        done.join(timeout=0.3)
        waited = done.is_alive()
        written = (board / "noise/withdrawn.json").exists()
    done.join(timeout=20)
    assert (waited, written) == (True, False)
    assert withdrawal_of(board / "noise").why == "x"
