"""Starting the studio: a port of the loopback address, a browser, and a clean end by Ctrl-C."""

from __future__ import annotations

import errno
import socket
import webbrowser
from collections.abc import Callable, Sequence
from threading import Timer
from typing import Final

import uvicorn

from convsmith.studio.app import make_app
from convsmith.studio.bodies import StudioError
from convsmith.studio.guard import ADDRESS, Key
from convsmith.studio.session import Session

PORT: Final = 8910
_TRIES: Final = 50
_PATIENCE: Final = 2  # seconds for requests that are under way when the studio ends


def serve(
    references: Sequence[str],
    *,
    port: int,
    open_browser: bool,
    tell: Callable[[str], None],
    show: Callable[[str], None],
) -> None:
    """Open designs and serve the page until Ctrl-C.

    Args:
        references: Design files, run folders, ``zoo:NAME``.
        port: Where to listen; the next free one is taken if it is in use, any for 0.
        open_browser: Whether to open the page.
        tell: Takes remarks, a line each.
        show: Takes the address.

    Raises:
        ModelError: If a reference names no design.
        DesignError: If a design file breaks the format.
        StudioError: If no port can be had.
    """
    session = Session.open(references)
    with listen(port) as listener:
        taken: int = listener.getsockname()[1]
        if port not in (0, taken):
            tell(f"port {port} is in use, taking {taken}")
        key = Key(taken)
        config = uvicorn.Config(make_app(session, key), log_level="warning", access_log=False, server_header=False,
                                lifespan="off", ws="none", timeout_graceful_shutdown=_PATIENCE)  # fmt: skip
        try:
            show(f"convsmith studio: {key.url}")
            tell("only this machine can reach it; Ctrl-C ends it")
            if open_browser:
                opening = Timer(0.2, webbrowser.open, (key.url,))
                opening.daemon = True
                opening.start()
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            tell("studio ended")


def listen(port: int) -> socket.socket:
    """A socket on the first free port of the loopback address from ``port`` on.

    Raises:
        StudioError: If there is none.
    """
    for one in range(port, min(port + _TRIES, 2**16)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the body of a short answer waits 40 ms
        try:
            listener.bind((ADDRESS, one))
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                rule = f"cannot listen on port {one}: {error.strerror or error}"
                raise StudioError(rule, remedy="give another with --port") from error
        else:
            return listener
    raise StudioError("no port is free", received=port, remedy="give another with --port")
