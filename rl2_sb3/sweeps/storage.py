"""The database of a sweep, a file or PostgreSQL: opened, locked, and its errors told."""

from __future__ import annotations

import fcntl
import importlib.util
import sqlite3
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from rl2_sb3.files import alone as alone_with

HEARTBEAT = 20
"""Seconds between two signs of life of a run."""
GRACE = 3
"""So many of these without one, and the run's worker is dead."""
WAIT = 10
"""Seconds until a server that does not answer is unreachable."""
FORM = "write postgresql://USER@HOST/DATABASE, or sqlite:///FILE"


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna not warn of what it calls experimental, its heartbeats for example."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


class Beating(RDBStorage):
    """Optuna's database, whose signs of life go on after one that failed."""

    def record_heartbeat(self, trial_id: int) -> None:
        with suppress(StorageInternalError, SQLAlchemyError):
            super().record_heartbeat(trial_id)


class Storage:
    """A database that holds studies.

    :param url: ``sqlite:///FILE``, of one session at a time, or ``postgresql://USER@HOST/DATABASE``,
        which any number of machines share
    :param heartbeat: seconds between two signs of life of a run
    :raises ValueError: no such address
    :raises RuntimeError: it cannot be reached
    """

    def __init__(self, url: str, heartbeat: int = HEARTBEAT):
        self.url = _address(url)
        self.shared = self.url.get_backend_name() != "sqlite"
        self.heartbeat = heartbeat
        with self.told(), self.locked("tables"), quiet():
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self.optuna = Beating(
                self.url.render_as_string(hide_password=False),
                engine_kwargs=self._options(),
                heartbeat_interval=heartbeat,
                grace_period=GRACE * heartbeat,
            )
            if not self.shared:
                _log_ahead(self.optuna.engine)

    def __str__(self) -> str:
        """The address, without the password."""
        return self.url.render_as_string(hide_password=True)

    def _options(self) -> dict[str, Any]:
        timeout = {"connect_timeout": WAIT} if self.shared else {"timeout": 60}
        return {"pool_pre_ping": self.shared, "connect_args": timeout}

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell an error of the database in a line, without its password.

        :raises RuntimeError: what happened
        """
        try:
            yield
        except Exception as error:
            cause = _of_database(error)
            if cause is None:
                raise
            origin = getattr(cause, "orig", None) or cause
            reason = next(iter(str(origin).strip().splitlines()), type(origin).__name__)
            if self.url.password:
                reason = reason.replace(str(self.url.password), "***")
            hint = "See that the server runs, and that PGPASSWORD or ~/.pgpass has the password."
            if not self.shared:
                hint = "See that the file is one of rl2 sweep, on a disk that is not full."
            raise RuntimeError(
                f"{self} cannot be used: {reason.rstrip('.')}. {hint} Finished runs are kept: the "
                "same command goes on with the rest."
            ) from None

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep all other sessions from what is done meanwhile; a lock that a dead one held is free.

        :param name: of the lock
        """
        if not self.shared:
            with open(f"{self.url.database}.claims.lock", "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
            return
        engine = getattr(self, "_engine", None)
        if engine is None:
            address = self.url.render_as_string(hide_password=False)
            engine = self._engine = sqlalchemy.create_engine(address, **self._options())
        with engine.begin() as connection:
            key = zlib.crc32(f"rl2-sb3 {name}".encode())
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other sessions off a file: they would take our runs for stale.

        :raises ValueError: another session is at it
        """
        if self.shared:
            yield
            return
        with alone_with(
            Path(f"{self.url.database}.lock"),
            f"Another session is running a sweep in {self}: wait for it, or take another --out. "
            "Sessions share a --storage such as postgresql://USER@HOST/DATABASE.",
        ):
            yield


def _address(text: str) -> URL:
    """A database's address.

    :raises ValueError: none that is known; it may hold a password, and is not told
    """
    try:
        url = make_url(text)
    except SQLAlchemyError:
        raise ValueError(f"The storage is no address of a database: {FORM}.") from None
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database:
        return url
    if backend != "postgresql":
        raise ValueError(f"No storage {url.render_as_string(hide_password=True)}: {FORM}.")
    if importlib.util.find_spec("psycopg") is None:
        raise ValueError("PostgreSQL needs psycopg: pip install 'rl2-sb3[postgresql]'.")
    return url.set(drivername="postgresql+psycopg")


def _of_database(error: BaseException | None) -> BaseException | None:
    """The database's error behind another, such as that of Optuna, which then fails itself."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__ or error.__context__
    return error


def _log_ahead(engine: Engine) -> None:
    """Give a file a write-ahead log, where it can have one: a disk is not waited for every time."""

    def begin(connection: sqlite3.Connection, _: Any) -> None:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.OperationalError:  # some file systems cannot: it is slower, and as safe
            pass

    sqlalchemy.event.listen(engine, "connect", begin)
    engine.dispose()  # connections that were made without it
