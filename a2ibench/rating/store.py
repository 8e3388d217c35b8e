"""The answers and the raters' secrets in one SQLite file; an answer that was acknowledged survives a kill."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_urlsafe
from threading import Thread

from a2ibench.errors import A2IBenchError
from a2ibench.rating.study import ANSWER_COLUMNS, Study, Value, check_rater

FILE = "ratings.sqlite"
MOST_PER_COMMIT = 256
PATIENCE = 10
"""For so many seconds one waits for another process that has the file."""
IDLE = 2.0
"""After so many seconds without an answer all of them are brought from the log (-wal) into the file itself."""
_TABLES = """
CREATE TABLE IF NOT EXISTS study (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS links (rater TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS answers (
    study TEXT NOT NULL, rater TEXT NOT NULL, item TEXT NOT NULL, value NOT NULL, seconds REAL NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (rater, item)
);
"""
_UPSERT = """
INSERT INTO answers (study, rater, item, value, seconds, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (rater, item) DO UPDATE SET value = excluded.value, seconds = excluded.seconds, at = excluded.at
"""


class StudyChangedError(Exception):
    """The file is of another study by now: study.toml or items.json was changed while the server ran."""


@dataclass(frozen=True)
class Answer:
    """One answer; the fields are the columns of the table."""

    study: str
    rater: str
    item: str
    value: Value
    seconds: float
    at: str

    @property
    def row(self) -> tuple[Value | float, ...]:
        """The values in the order of the columns."""
        return tuple(getattr(self, column) for column in ANSWER_COLUMNS)


@dataclass(frozen=True)
class Progress:
    """How far a rater has come."""

    rater: str
    answered: int
    seconds: float | None
    last: str | None


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """The file of a study's answers.

    Reading and inviting go through one connection, for one thread at a time. Answers are written by a thread
    with a connection of its own: all that wait are committed together, so that many raters share one
    ``fsync``, and each is acknowledged after the commit.

    Raises
    ------
    A2IBenchError
        If the file can't be read or written, or the study was changed after its first answer.

    """

    def __init__(self, folder: Path, study: Study):
        self.file, self.study = folder / FILE, study
        with _explained(self.file):
            # Before SQLite makes it: names and secrets are for nobody else on this machine.
            os.close(os.open(self.file, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = _connect(self.file)
            self._connection.executescript(_TABLES)
        self._claim()
        self._queue: SimpleQueue[tuple[Answer, Future[None]] | None] = SimpleQueue()
        self._writer: Thread | None = None

    def close(self) -> None:
        """Write what waits, and close the file."""
        if self._writer:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        with suppress(sqlite3.Error):  # another process reads or writes: it has the -wal file, and keeps it
            _settle(self._connection)
        self._connection.close()

    def _claim(self) -> None:
        """Note which study the answers are of; refuse one that was changed after the first answer."""
        with _explained(self.file), _transaction(self._connection):
            found = self._connection.execute("SELECT digest FROM study").fetchone()
            # What the answers say counts: the note alone could have been written again in between.
            others = "SELECT count(*), min(study) FROM answers WHERE study != ?"
            answered, old = self._connection.execute(others, (self.study.digest,)).fetchone()
            if answered:
                raise A2IBenchError(
                    f"{self.file.parent} was changed after the first of {answered} answers (study.toml or items.json: "
                    f"the digest was {old} and is {self.study.digest}); put it back as it was, or make a new "
                    "study for the new wording."
                )
            if found and found[0] == self.study.digest:
                return
            self._connection.execute("DELETE FROM study")
            self._connection.execute("INSERT INTO study VALUES (?)", (self.study.digest,))

    # ------------------------------------------------------------------------------------------- secrets

    def raters(self) -> list[str]:
        """Name who has been invited."""
        return [row[0] for row in self._connection.execute("SELECT rater FROM links ORDER BY rater")]

    def invite(self, raters: Sequence[str]) -> dict[str, str]:
        """Make a secret for each rater; an old one of his ends. Only hashes are kept: the secrets are told once.

        Raises
        ------
        A2IBenchError
            If a name is not a rater's name.

        """
        for rater in raters:
            check_rater(rater)
        secrets = {rater: token_urlsafe(24) for rater in raters}
        with _explained(self.file), _transaction(self._connection):
            rows = [(rater, hashed(secret)) for rater, secret in secrets.items()]
            self._connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?)", rows)
        return secrets

    def next_raters(self, count: int) -> list[str]:
        """Give the next free codes: R01, R02, …, so that raters who are invited in a row get balanced orders."""
        taken = [int(found[1]) for rater in self.raters() if (found := re.fullmatch(r"R([0-9]{1,9})", rater))]
        first = max(taken, default=0) + 1
        return [f"R{number:02d}" for number in range(first, first + count)]

    def find(self, secret: str) -> str | None:
        """Find whose secret this is. Hashes are looked up, so the time it takes says nothing of any secret."""
        digest = hashed(secret)
        found = self._connection.execute("SELECT rater, hash FROM links WHERE hash = ?", (digest,)).fetchone()
        return str(found[0]) if found and compare_digest(found[1], digest) else None

    # ------------------------------------------------------------------------------------------- answers

    def put(self, answer: Answer) -> "Future[None]":
        """Write an answer, in place of an earlier one of the same rater to the same item.

        The future is done when the answer is on the disk; it holds sqlite3.Error if that was not possible, and
        `StudyChangedError` if the file is of another study by now.
        """
        if self._writer is None:
            self._writer = Thread(target=self._write, name="answers", daemon=True)
            self._writer.start()
        future: Future[None] = Future()
        self._queue.put((answer, future))
        return future

    def _write(self) -> None:
        with closing(_connect(self.file)) as connection:
            going_on = True
            while going_on:
                try:
                    taken = [self._queue.get(timeout=IDLE)]
                except Empty:
                    with suppress(sqlite3.Error):
                        _settle(connection)
                    taken = [self._queue.get()]
                with suppress(Empty):
                    while len(taken) < MOST_PER_COMMIT:
                        taken.append(self._queue.get_nowait())
                batch = [entry for entry in taken if entry is not None]
                going_on = len(batch) == len(taken)
                self._commit(connection, batch)

    @staticmethod
    def _commit(connection: sqlite3.Connection, batch: Iterable[tuple[Answer, "Future[None]"]]) -> None:
        # A rater who has gone away (a future that was cancelled) has answered all the same.
        waiting = [(answer, future, future.set_running_or_notify_cancel()) for answer, future in batch]
        problem: sqlite3.Error | StudyChangedError | None = None
        try:
            with _transaction(connection):
                noted = connection.execute("SELECT digest FROM study").fetchall()
                if any(noted != [(answer.study,)] for answer, _, _ in waiting):
                    raise StudyChangedError("the study was changed while the server ran")
                connection.executemany(_UPSERT, [answer.row for answer, _, _ in waiting])
        except (sqlite3.Error, StudyChangedError) as error:
            problem = error
        for _, future, there in waiting:
            if there:
                future.set_exception(problem) if problem else future.set_result(None)

    def answers(self, rater: str) -> list[Answer]:
        """Read a rater's answers."""
        columns = ", ".join(ANSWER_COLUMNS)
        rows = self._connection.execute(f"SELECT {columns} FROM answers WHERE rater = ?", (rater,))  # noqa: S608
        return [Answer(*row) for row in rows]

    def progress(self) -> list[Progress]:
        """Say how far each rater has come who was invited."""
        rows = self._connection.execute(
            "SELECT links.rater, count(item), avg(seconds), max(at) FROM links LEFT JOIN answers USING (rater) "
            "GROUP BY links.rater ORDER BY links.rater"
        )
        return [Progress(*row) for row in rows]


def hashed(secret: str) -> bytes:
    """Hash a secret. It has 192 random bits, so no salt and no slow hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


def _connect(file: Path) -> sqlite3.Connection:
    # Of several threads never two at once: see Store.
    connection = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # in WAL the default would let a power cut take a commit
    return connection


def _settle(connection: sqlite3.Connection) -> None:
    """Bring what stands in the log into the file itself, so that a copy of the file alone is whole."""
    connection.execute("PRAGMA busy_timeout = 100")  # who reads just now does not make the raters wait
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA busy_timeout = {1000 * PATIENCE}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors (a full disk) have ended it already
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise A2IBenchError(f"{file} can't be opened: {error.strerror or error}; choose another place.") from None
    except sqlite3.Error as error:
        raise A2IBenchError(f"{file} can't be used as a file of answers ({error}); move it away, or fix it.") from None
