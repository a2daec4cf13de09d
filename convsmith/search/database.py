"""One connection to a PostgreSQL database that may go away and come back.

Every statement stands alone and may be repeated, so a lost connection loses nothing: it is opened again and the
statement sent once more. Nothing depends on the session, so a pooler may stand between.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from convsmith.errors import RunError, one_line
from convsmith.quantities import format_seconds

DEFAULT_NAME: Final = "convsmith"
_FORM: Final = "give postgresql://USER@HOST/DATABASE#NAME; a password is best left to PGPASSWORD or ~/.pgpass"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PAUSE: Final = 1.0
"""Seconds between two tries to reach a database that does not answer."""
_SIGNS_OF_LIFE: Final = {
    "connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5", "tcp_user_timeout": "20000",
    "application_name": "convsmith",
}  # fmt: skip
"""So that a server that vanishes without a word is noticed in half a minute."""


@dataclass(frozen=True)
class Address:
    """Where a study is: a database, and the name of the study in it.

    Attributes:
        url: The database, as libpq reads it; may hold a password.
        name: The study.
        shown: Both, without the password.
    """

    url: str = field(repr=False)
    name: str
    shown: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``postgresql://...#NAME``.

        Raises:
            RunError: If it is something else. No message holds the password.
        """
        rule = "a study that workers share must be the address of a PostgreSQL database"
        if not text.startswith(("postgresql://", "postgres://")):
            raise RunError(rule, received=_without_secrets(text), remedy=_FORM)
        url, _, name = text.partition("#")
        try:
            ports = str(conninfo_to_dict(url).get("port") or "").split(",")
            _ = [int(port) for port in ports if port]
            parts = urlsplit(url)
        except (psycopg.Error, ValueError):  # what these say may hold the password
            raise RunError(rule, received=_without_secrets(text), remedy=_FORM) from None
        name = name or DEFAULT_NAME
        if not _NAME.fullmatch(name):
            rule, remedy = "the name of a study must be letters, digits, dots and dashes", "such as #digits-200k"
            raise RunError(rule, received=name, remedy=remedy)
        user, at, host = parts.netloc.rpartition("@")
        query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "password"], safe="/")
        place = f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
        shown = f"{place}{query and '?'}{query}#{name}"
        return cls(url, name, shown)

    def redacted(self, text: str) -> str:
        """What somebody else said, without the password."""
        secret = conninfo_to_dict(self.url).get("password")
        for form in {str(secret), quote(str(secret), safe=""), unquote(str(secret))} if secret else ():
            text = text.replace(form, "***")
        return text


class Database:
    """Sends statements, and waits for as long as the database is away.

    It may be used by several threads.

    Args:
        address: Where it is.
        tell: Told in a line when the database goes away, and when it is back.
        wait: Sleeps for so many seconds.

    Raises:
        RunError: If it cannot be reached at first.
    """

    def __init__(
        self, address: Address, tell: Callable[[str], None], wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._address = address
        self._tell = tell
        self._wait = wait
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        try:
            self._connected()
        except psycopg.Error as error:
            rule = f"the database of the study cannot be reached: {self._said(error)}"
            raise RunError(rule, where=address.shown, remedy="see that it runs, and who may use it") from None

    def do(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Send a statement that may be repeated, and return its rows; waits while the database is away.

        Raises:
            RunError: If the database refuses it.
        """
        away: float | None = None
        while True:
            try:
                rows = self.attempt(statement, values)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if away is None:
                    away = time.monotonic()
                    self._tell(
                        f"the database of the study does not answer ({self._said(error)}): waiting, nothing is lost"
                    )
                self._wait(_PAUSE)
                continue
            except psycopg.Error as error:
                rule = f"the database of the study refuses: {self._said(error)}"
                raise RunError(rule, where=self._address.shown) from None
            if away is not None:
                self._tell(f"the database answers again after {format_seconds(time.monotonic() - away)}: going on")
            return rows

    def attempt(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Send a statement once.

        Raises:
            psycopg.Error: If that does not work; the connection is then opened anew the next time.
        """
        with self._lock:
            try:
                cursor = self._connected().execute(statement.encode(), values or None)
                return cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock, contextlib.suppress(psycopg.Error):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            known = conninfo_to_dict(self._address.url)
            options: Any = {key: value for key, value in _SIGNS_OF_LIFE.items() if key not in known}
            self._connection = psycopg.connect(
                self._address.url, autocommit=True, prepare_threshold=None, client_encoding="utf8", **options
            )
        return self._connection

    def _said(self, error: psycopg.Error) -> str:
        return self._address.redacted(one_line(error))


def _without_secrets(text: str) -> str:
    """An address that cannot be read, without what may be a password."""
    scheme, mark, rest = text.partition("://")
    rest = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}{mark}{rest}" if mark else scheme.rpartition("@")[2]
