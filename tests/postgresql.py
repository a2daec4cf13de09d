"""A real PostgreSQL server for tests, on a port and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "correct horse/battery"
QUOTED = "correct%20horse%2Fbattery"
MISSING = "these tests start PostgreSQL, and it is not installed: install Debian's package postgresql"


class Server:
    """A server on the loopback address, which only a password opens."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:  # PostgreSQL refuses root
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        self._do("initdb", "--no-sync", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=tester")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tester:{QUOTED}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._do("pg_ctl", "--wait", "--silent", "-o", options, "-l", str(self._folder / "log"), "start")
        self._runs = True

    def stop(self) -> None:
        """As when the machine of the server dies."""
        if self._runs:
            self._do("pg_ctl", "--wait", "--silent", "--mode=immediate", "stop")
        self._runs = False

    def _do(self, program: str, *options: str) -> None:
        before = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*before, str(self._programs / program), "-D", str(self._folder / "data"), *options]
        with (self._folder / "said").open("a+b") as said:  # a pipe would stay open in the server
            done = subprocess.run(command, stdout=said, stderr=said, cwd="/", check=False)
        assert done.returncode == 0, (self._folder / "said").read_text()


@contextmanager
def running() -> Generator[Server]:
    """A server that is gone at the end."""
    found = shutil.which("pg_ctl")
    every = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    programs = [*([Path(found).resolve().parent] if found else []), *sorted(every, key=lambda one: one.parts)]
    assert programs, MISSING
    with tempfile.TemporaryDirectory(prefix="convsmith-postgresql-") as folder:
        server = Server(Path(folder), programs[-1])
        try:
            yield server
        finally:
            server.stop()
