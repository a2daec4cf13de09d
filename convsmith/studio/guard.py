"""Who may talk to the studio, and what its page may load.

The studio listens on the loopback address alone, yet every page in the same browser can send requests there, and a
name under somebody else's control can be made to point there (DNS rebinding). So each request must be addressed to the
loopback by name and number, carry the cookie that only the opened address gives, and, where it is more than a plain
GET, come from the studio's own page.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDRESS: Final = "127.0.0.1"
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_PLAIN: Final = ("GET", "HEAD")


@dataclass(frozen=True)
class Key:
    """What lets a browser in.

    Attributes:
        port: Where the studio listens.
        token: Part of the opened address.
        secret: Value of the cookie that the token is changed for.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies are shared between ports, so it has the port in it."""
        return f"convsmith-{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may be addressed to."""
        return (f"{ADDRESS}:{self.port}", f"localhost:{self.port}")

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{self.hosts[0]}/?token={self.token}"


class Guard:
    """The outermost application: lets in what ``Key`` allows, and adds the policy to all answers."""

    def __init__(self, app: ASGIApp, key: Key) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope) or self._entrance(scope) or self._unknown(scope)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """An answer for a request that is not addressed to the studio, or comes from another page."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self._key.hosts:
            return _refuse("the Host of a request must be the address that `convsmith studio` printed")
        if scope["method"] not in _PLAIN and origins != [f"http://{hosts[0]}"]:
            return _refuse("only the studio's own page may change anything")
        return None

    def _entrance(self, scope: Scope) -> Response | None:
        """The opened address: its token becomes a cookie, and leaves the address."""
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if scope["path"] != "/" or scope["method"] not in _PLAIN or tokens is None:
            return None
        if len(tokens) != 1 or not _same(tokens[0], self._key.token):
            return _refuse("the token in the address is not that of the running studio; open the address it printed")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._key.cookie, self._key.secret, httponly=True, samesite="strict")
        return answer

    def _unknown(self, scope: Scope) -> Response | None:
        """An answer for whoever has not come through the entrance."""
        cookies = cookie_parser(Headers(scope=scope).get("cookie", ""))
        if _same(cookies.get(self._key.cookie, ""), self._key.secret):
            return None
        return _refuse("open the address that `convsmith studio` printed, with its token")


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _refuse(rule: str) -> Response:
    return PlainTextResponse(f"convsmith studio: {rule}\n", 403)
