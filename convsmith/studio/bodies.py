"""What a request brings, read with a limit; and what goes back: data, or the error that a user should see."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from convsmith.errors import ConvsmithError
from convsmith.quantities import format_bytes

MOST_JSON: Final = 1_000_000
"""Bytes of a request that is not a picture."""

Values = Mapping[str, Any]


class StudioError(ConvsmithError):
    """A request that the studio's own page would not send, or a name that cannot be used."""


class TooLarge(Exception):
    """A body over its limit; the argument says which."""


async def read_body(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        TooLarge: If it has more than ``most`` bytes, whatever its header says; the rest is not read.
    """
    claimed = request.headers.get("content-length", "")
    content = bytearray()
    if not claimed.isdecimal() or int(claimed) <= most:
        async for chunk in request.stream():
            content += chunk
            if len(content) > most:
                break
        else:
            return bytes(content)
    raise TooLarge(f"at most {format_bytes(most)} are taken")


async def answer(request: Request, job: Callable[[Values], Any]) -> Response:
    """The result of ``job`` on the JSON object of a request, worked out beside the event loop.

    Bytes go back as they are. An error for users is an answer like others: ``{"ok": false, "error": {...}}``.
    """
    try:
        values = json.loads(await read_body(request, MOST_JSON))
    except TooLarge as error:
        return JSONResponse(told(StudioError(f"a request is too large: {error}")), 413)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return JSONResponse(told(StudioError("a request must be a JSON object")), 400)
    try:
        result = await run_in_threadpool(job, values)
    except ConvsmithError as error:
        return JSONResponse(told(error))
    except RecursionError:
        return JSONResponse(told(StudioError("nothing may be nested so deeply", remedy="write it flat")))
    if isinstance(result, bytes):
        return Response(result, media_type="application/octet-stream")
    return JSONResponse({"ok": True, **result})


def told(error: ConvsmithError) -> dict[str, Any]:
    """An error as the page shows it."""
    received = "" if error.received is None else repr(error.received)[:200]
    parts = {"rule": error.rule, "received": received, "where": error.where, "remedy": error.remedy}
    return {"ok": False, "error": {"message": str(error), **parts}}


def text_of(values: Values, name: str, most: int = 200_000) -> str:
    """A text among the values of a request.

    Raises:
        StudioError: If it is missing, no text, or longer than ``most``.
    """
    value = values.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise StudioError(f"{name} must be a text of at most {most:,} characters", received=type(value).__name__)
    return value


def whole_of(values: Values, name: str, default: int | None = None) -> int:
    """A whole number among the values of a request, also written as text.

    Raises:
        StudioError: If it is missing without a default, or is none.
    """
    value = values.get(name, default)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        value = int(value)
    if type(value) is not int or abs(value) > 10**9:
        raise StudioError(f"{name} must be a whole number", received=value, remedy="write it like 3")
    return value
