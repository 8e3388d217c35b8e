"""Whatever ends a command, and whatever lies in its folders: nothing lost, nothing wrong, one sentence, no litter."""

import os
import signal
from random import Random

import pytest
from harness import COMMANDS, DAMAGE, STOPPED, Ground

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the commands run in forks")

FAULTS = ("kill", "interrupt", "full")
SEED = os.environ.get("A2IBENCH_FAULTS_SEED", "0")


@pytest.fixture(scope="module")
def wholes(files, tmp_path_factory):
    """Each command's run that nothing disturbed; not to be written to."""
    made, before = {}, {}

    def whole(command):
        if command.name not in made:
            ground = Ground(tmp_path_factory.mktemp("whole") / command.name, command, files).prepare()
            before[command.name] = ground.copy(ground.folder.with_name("before"))
            outcome = ground.run()
            assert outcome.code == 0, outcome.err
            assert ground.litter() == []
            assert ground.results()
            made[command.name] = ground, outcome.writes
        return (*made[command.name], before[command.name])

    return whole


def stopped_and_run_again(ground, whole, fault, at):
    """Stop a command at its n-th write, then run the same one."""
    first = ground.run(fault, at)
    where = f"{ground.command.name}, {fault} at write {at}: {first.err[-2000:]}"
    if fault == "kill":
        assert first.code == -signal.SIGKILL, where
    elif fault == "interrupt":
        assert first.code == 130, where
        assert first.err.splitlines()[-1] == STOPPED, where
        assert "Traceback" not in first.err, where
        assert ground.litter() == [], where
    else:
        assert first.is_kind, where
        assert ground.litter() == [], where
    again = ground.run()
    where += f"\nagain: {again.err[-2000:]}"
    done = again.code == 2 and any(words in again.err for words in ground.command.names_itself)
    assert again.code == 0 or done, where
    assert ground.results() == whole.results(), where
    assert ground.litter() == [], where


def damaged_and_run_again(ground, whole, name, damage):
    """Damage a file that lies between two runs, then run the command."""
    DAMAGE[damage](ground.folder / name)
    outcome = ground.run()
    where = f"{ground.command.name}, {name}: {damage}: {outcome.code} {outcome.err[-2000:]}"
    assert outcome.is_kind, where
    if outcome.code == 0 and not ground.command.believes:
        assert ground.results() == whole.results(), where


def half_way(start, writes, folder):
    """What lies there after a kill in the middle."""
    ground = start.copy(folder)
    ground.run("kill", max(1, 2 * writes // 3))
    return ground


# ------------------------------------------------------------------------------------------------ short form


@pytest.mark.parametrize(("number", "command"), enumerate(COMMANDS), ids=lambda each: getattr(each, "name", ""))
def test_one_fault_and_one_damage(number, command, wholes, tmp_path):
    whole, writes, start = wholes(command)
    random = Random(f"{SEED} {command.name}")  # noqa: S311
    fault = FAULTS[(number + int(SEED)) % len(FAULTS)]
    stopped_and_run_again(start.copy(tmp_path / "stopped"), whole, fault, random.randint(1, writes))
    name, damage = random.choice([(name, damage) for name in whole.state() for damage in DAMAGE])
    damaged_and_run_again(whole.copy(tmp_path / "damaged"), whole, name, damage)


# ------------------------------------------------------------------------------------------------- long form


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_stopped_at_every_write(command, fault, wholes, tmp_path):
    whole, writes, start = wholes(command)
    wrong = []
    for at in range(1, writes + 1):
        try:
            stopped_and_run_again(start.copy(tmp_path / f"{at}"), whole, fault, at)
        except AssertionError as error:
            wrong.append(str(error).split("\nassert")[0])
    assert not wrong, "\n----\n".join(wrong)


@pytest.mark.faults
@pytest.mark.parametrize("when", ["at the end", "half-way"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_damage_between_two_runs(command, when, wholes, tmp_path):
    whole, writes, start = wholes(command)
    before = whole if when == "at the end" else half_way(start, writes, tmp_path / "half")
    wrong = []
    for name in before.state():
        for damage in DAMAGE:
            try:
                damaged_and_run_again(before.copy(tmp_path / "damaged"), whole, name, damage)
            except AssertionError as error:
                wrong.append(str(error).split("\nassert")[0])
    assert not wrong, "\n----\n".join(wrong)
