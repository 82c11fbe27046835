"""One SQLite connection to a journal: how it is opened, its transactions, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.sql import QUERIES, SCHEMA

APPLICATION_ID = 0x42726764
"""``Brgd``: at byte 68 of the file, where file(1) looks for it."""
FORMAT_VERSION = 1
"""SQLite's ``user_version``; raised whenever an older bucket-brigade could misread the file."""
BUSY_TIMEOUT_S = 5.0

_P = ParamSpec("_P")
_T = TypeVar("_T")
Parameters = dict[str, Any]

# transfers is left out: it is nearly the whole file, and each of its blobs carries a CRC that every reader checks.
_CHECKED_AT_OPEN = ("job", "batches", "failures", "uploads")


class Database:
    """One connection. ``read`` and ``write`` run work on it, each in one transaction.

    After an error in a transaction that wrote, what is on the disk is no longer known for certain: fsync reports a lost page
    once and then succeeds. So such an error is final: every later call raises JournalError, and the next open recovers.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._poison: JournalError | None = None

    def one(self, query: str, parameters: Parameters | None = None) -> sqlite3.Row | None:
        """Return the first row of a named query, or None."""
        row: sqlite3.Row | None = self._connection.execute(QUERIES[query], parameters or {}).fetchone()
        return row

    def all(self, query: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        """Return all rows of a named query; what may be many is asked for with a limit."""
        return self._connection.execute(QUERIES[query], parameters or {}).fetchall()

    def run(self, query: str, parameters: Parameters | None = None) -> sqlite3.Cursor:
        """Execute a named statement; the cursor tells ``rowcount`` and ``lastrowid``."""
        return self._connection.execute(QUERIES[query], parameters or {})

    def run_each(self, query: str, parameters: Iterator[Parameters]) -> None:
        """Execute a named statement once for each set of parameters."""
        self._connection.executemany(QUERIES[query], parameters)

    def read(self, work: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return ``work(self, ...)``, seen as of one moment."""
        self._refuse_if_poisoned()
        with errors_of(self._path):
            self._connection.execute("BEGIN")
            try:
                return work(self, *args, **kwargs)
            finally:
                self._roll_back()

    def write(self, work: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return ``work(self, ...)`` once all it wrote is durable; if it raises, nothing was written."""
        self._refuse_if_poisoned()
        with errors_of(self._path):
            # Waiting for the lock in vain has changed nothing, so an error here is not final.
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            with errors_of(self._path):
                result = work(self, *args, **kwargs)
                self._connection.execute("COMMIT")
                return result
        except BaseException as error:
            if isinstance(error.__cause__, sqlite3.Error):
                self._poison = _poisoned(error)
            self._roll_back()
            raise

    def write_together(self, works: Sequence[Callable[[Database], _T]]) -> list[_T | Exception]:
        """Do several works in one transaction: one wait for the disk. Return their results once all they wrote is durable.

        Of several, one that raises has written nothing, and its error stands in its place; where SQLite or the disk failed,
        all have failed, and that error is raised.
        """
        if len(works) == 1:
            return [self.write(works[0])]
        return self.write(lambda _: [self._apart(work) for work in works])

    def _apart(self, work: Callable[[Database], _T]) -> _T | Exception:
        result: _T | Exception
        self._connection.execute("SAVEPOINT work")
        try:
            with errors_of(self._path):
                result = work(self)
        except Exception as error:
            if isinstance(error.__cause__, sqlite3.Error | OSError | UnicodeDecodeError):
                raise
            self._connection.execute("ROLLBACK TO work")
            result = error
        self._connection.execute("RELEASE work")
        return result

    def close(self) -> None:
        """Close the connection; SQLite moves the write-ahead log into the database if it can. Idempotent."""
        self._poison = self._poison or JournalError(
            f"The journal {self._path} is closed.", remedy="Open the job again with `brigade resume`."
        )
        with errors_of(self._path):
            self._connection.close()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._poison = self._poison or _poisoned(_journal_error(error, self._path))

    def _refuse_if_poisoned(self) -> None:
        if self._poison is not None:
            raise JournalError(str(self._poison), remedy=self._poison.remedy)


def create_database(path: str) -> None:
    """Make an empty journal at ``path`` (0600, whatever the umask), durable but for its folder's entry."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.chmod(path, 0o600)
    with errors_of(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            _switch_to_wal(connection, path)
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};\n{SCHEMA}COMMIT;"
            )
        finally:
            connection.close()


def open_database(path: str) -> Database:
    """Open the journal for writing; the caller holds its folder's lock.

    Raises:
        JournalError: missing, damaged, of a newer format, or not to be written.
    """
    with errors_of(path):
        connection = _connect(path, "rw")
        try:
            _switch_to_wal(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            for table in _CHECKED_AT_OPEN:
                verdict = connection.execute(f"PRAGMA quick_check({table})").fetchone()[0]
                if verdict != "ok":
                    raise damaged(path, verdict)
        except BaseException:
            connection.close()
            raise
    return Database(path, connection)


@contextmanager
def reading_database(path: str) -> Iterator[Database]:
    """Open the journal for reading only, beside the process that may be writing it.

    Raises:
        JournalError: missing, damaged or of a newer format.
    """
    with errors_of(path):
        connection = _connect(path, "ro")
        try:
            yield Database(path, connection)
        finally:
            connection.close()


def damaged(path: str, detail: str) -> JournalError:
    """Return the error for a journal whose content cannot be true."""
    return JournalError(
        f"The journal {path} is damaged: {' '.join(detail.split())}.",
        remedy="Restore the job's folder from a copy, or submit the job again; nothing it has moved is lost.",
    )


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Translate what SQLite and the operating system raise inside into JournalError. Misuse of SQLite stays what it is: a bug."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise _journal_error(error, path) from error
    except UnicodeDecodeError as error:
        # sqlite3 raises it over the text of a damaged page, or of a message about one.
        raise damaged(path, "text in it is no UTF-8") from error
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be used: {error.strerror or error}.",
            remedy="Check that the folder exists, that you own it, and that its disk is sound and has space.",
        ) from error


def _connect(path: str, mode: str) -> sqlite3.Connection:
    # For a precise error. Not open(): closing another descriptor of the file would drop SQLite's locks on it in this process.
    os.stat(path)
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        _check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, path: str) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise damaged(path, "it is not a journal of bucket-brigade")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT_VERSION:
        raise JournalError(
            f"The journal {path} has format {version}; this bucket-brigade knows formats up to {FORMAT_VERSION}.",
            remedy="Upgrade bucket-brigade (pip install --upgrade bucket-brigade), or go on with the version that made it.",
        )
    if version < 1:
        raise damaged(path, f"it claims the format {version}")


def _switch_to_wal(connection: sqlite3.Connection, path: str) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(
            f"The file system of {path} cannot hold a write-ahead log (SQLite chose {mode!r}).",
            remedy="Choose a folder on a local disk with --state-dir.",
        )


def _poisoned(cause: BaseException) -> JournalError:
    return JournalError(
        f"The journal takes no more writes after an earlier error. {cause}",
        remedy=getattr(cause, "remedy", "") or "Run `brigade resume`.",
    )


def _journal_error(error: sqlite3.Error, path: str) -> JournalError:
    """Say what an error of SQLite means for the job, and what to do. Codes: www.sqlite.org/rescode.html."""
    name = getattr(error, "sqlite_errorname", "")
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return JournalError(
                f"No space is left for the journal {path}.",
                remedy="Free some space there, then go on with `brigade resume`.",
            )
        case sqlite3.SQLITE_IOERR:
            return JournalError(
                f"The disk failed under the journal {path} ({name}: {error}).",
                remedy="Check the disk and its quota; copy the job's folder to a sound one; then `brigade resume`.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalError(
                f"Another program keeps the journal {path} locked.",
                remedy="End it (a sqlite3 shell, a backup of the folder), then try again.",
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return JournalError(
                f"The journal {path} cannot be opened or written ({error}).",
                remedy="Make the job's folder yours and writable (chmod 700), on a file system mounted for writing.",
            )
        case _:
            return damaged(path, f"{error} {name}")
