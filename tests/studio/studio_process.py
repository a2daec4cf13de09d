"""The real server in a second process, started by the real command."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Studio:
    process: subprocess.Popen[str]
    url: str
    folder: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port
        return port

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]

    def ask(self, path, method="GET", body=None, headers=(), host=None, cookie=None):
        """A request as bytes on the wire: nothing is normalised on the way; returns status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = [("Host", host or f"127.0.0.1:{self.port}"), *headers]
        if cookie is not None:
            sent.append(("Cookie", cookie))
        if body is not None:
            sent.append(("Content-Length", str(len(body))))
        for name, value in sent:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def enter(self) -> str:
        """Come in by the printed address; the cookie as a browser would send it."""
        _, headers, _ = self.ask(f"/?token={self.token}")
        return headers["set-cookie"].split(";")[0]

    def post(self, path, body: bytes, **more):
        origin = ("Origin", f"http://127.0.0.1:{self.port}")
        return self.ask(path, "POST", body, (origin, *more.pop("headers", ())), cookie=self.enter(), **more)


@contextmanager
def running(folder: Path, *arguments: str, port: int = 0) -> Iterator[Studio]:
    """The server, with a cache of its own: what somebody has calibrated here would show on its pages."""
    command = [sys.executable, "-m", "convsmith", "studio", "--no-open", "--port", str(port), *arguments]
    with tempfile.TemporaryDirectory() as cache:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env={**os.environ, "CONVSMITH_CACHE": cache},
        )
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.search(r"http\S+", line)
            assert found, (process.stderr.read() if process.stderr else "", line)
            yield Studio(process, found[0], folder)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(20)
            process.communicate()
