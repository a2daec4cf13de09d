"""The studio as an ASGI application: its pages, and one route for each thing that they ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from convsmith.design import zoo
from convsmith.errors import ConvsmithError
from convsmith.studio import designs, fields, lab, scales, side_by_side, toml_edit
from convsmith.studio.bodies import StudioError, TooLarge, Values, answer, read_body, text_of, told, whole_of
from convsmith.studio.guard import Guard, Key
from convsmith.studio.pictures import LARGEST, MOST_BYTES
from convsmith.studio.session import Session

_MEDIA: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
}
_INDEX: Final = "index.html"

Job = Callable[[Values], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(session: Session, key: Key) -> ASGIApp:
    """The application for one session."""
    jobs: dict[str, Job] = {
        "design": lambda values: _picture_of(values, text_of(values, "text")),
        "layers": lambda values: designs.layer_texts(text_of(values, "text")),
        "operators": lambda values: designs.operators(text_of(values, "text"), text_of(values, "block", 200)),
        "edit": _edit,
        "save": lambda values: session.save(
            whole_of(values, "opened", 0), text_of(values, "name", 200), text_of(values, "text"),
            overwrite=values.get("overwrite") is True,
        ),
        "lab": lab.explain,
        "matrix": lab.matrix,
        "settings": _settings,
        "maps": lambda values: fields.maps(text_of(values, "text")),
        "field": lambda values: fields.field(
            text_of(values, "text"), text_of(values, "layer", 500), whole_of(values, "row"), whole_of(values, "column")
        ),
        "compare": side_by_side.side_by_side,
        "scale": scales.scaled,
        "iso": scales.iso_cost,
        "evidence": lambda values: _late("evidence").evidence(session.run(values)),
        "answer": lambda values: _late("seeing").answer(
            session.run(values), session.pictures.file(text_of(values, "picture", 100))
        ),
        "explain": lambda values: _late("seeing").explain(
            session.run(values), text_of(values, "what", 20), session.pictures.file(text_of(values, "picture", 100)),
            text_of(values, "target", 500), session.shown,
        ),
        "effective": lambda values: _late("seeing").effective(
            session.run(values), session.pictures.file(text_of(values, "picture", 100)), text_of(values, "layer", 500),
            (whole_of(values, "row"), whole_of(values, "column")), session.shown,
        ),
        "reliability": lambda values: _late("behind").reliability(session.run(values)),
        "run": lambda values: _late("runs").state(session.run(values), text_of(values, "seen", 200)),
        "first-run": lambda values: session.first_run(),
        "stop": lambda values: _late("runs").end(session.run(values)),
        "behind": lambda values: _late("behind").behind(
            session.run(values), text_of(values, "true", 500), text_of(values, "answer", 500)
        ),
    }  # fmt: skip
    routes = [
        Route("/", _static_file(_INDEX)),
        *(Route(f"/static/{name}", _static_file(name)) for name in static_names()),
        Route("/api/session", _get(session.to_dict)),
        Route("/api/schema", _get(designs.schema)),
        Route("/api/zoo/{name}", _zoo),
        Route("/api/pictures", _add_picture(session), methods=["POST"]),
        Route("/api/pictures/{name}/{size}", _picture(session)),
        Route("/api/runs/{run:int}/images/{number:int}", _run_image(session)),
        *(Route(f"/api/{name}", _post(job), methods=["POST"]) for name, job in jobs.items()),
    ]
    return Guard(Starlette(routes=routes), key)


def _late(module: str) -> Any:
    """A module of the studio that needs torch, which takes seconds to load: it comes when first asked for."""
    return import_module(f"convsmith.studio.{module}")


def static_names() -> list[str]:
    """The files that the page is made of. There is a route for each, so no other file can be asked for."""
    return sorted(file.name for file in files("convsmith.studio").joinpath("static").iterdir() if file.is_file())


def read_static(name: str) -> bytes:
    """One of them."""
    return files("convsmith.studio").joinpath("static", name).read_bytes()


def _static_file(name: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return Response(read_static(name), media_type=_MEDIA[name.rpartition(".")[2]])

    return endpoint


def _get(job: Callable[[], dict[str, Any]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(job())

    return endpoint


def _post(job: Job) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await answer(request, job)

    return endpoint


async def _zoo(request: Request) -> Response:
    try:
        return JSONResponse({"ok": True, "text": zoo.text(request.path_params["name"])})
    except ConvsmithError as error:
        return JSONResponse(told(error), 404)


def _add_picture(session: Session) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            content = await read_body(request, MOST_BYTES)
        except TooLarge as error:
            return JSONResponse(told(StudioError(f"a picture is too large: {error}")), 413)
        try:
            return JSONResponse({"ok": True, "id": await run_in_threadpool(session.pictures.add, content)})
        except ConvsmithError as error:
            return JSONResponse(told(error))

    return endpoint


def _picture(session: Session) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        high, _, wide = request.path_params["size"].partition("x")
        sizes = [int(size) for size in (high, wide) if size.isdecimal() and len(size) < 5]
        if len(sizes) == 2 and all(0 < size <= LARGEST for size in sizes):
            name, size = request.path_params["name"], (sizes[0], sizes[1])
            content = await run_in_threadpool(lambda: session.pictures.png(name, size) or session.shown.png(name, size))
            if content is not None:
                return Response(content, media_type="image/png")
        return PlainTextResponse("no such picture\n", 404)

    return endpoint


def _run_image(session: Session) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            path = session.run(request.path_params)
            content = await run_in_threadpool(lambda: _late("behind").image(path, request.path_params["number"]))
        except ConvsmithError as error:
            return JSONResponse(told(error), 404)
        if content is None:
            return PlainTextResponse("no such image\n", 404)
        return Response(content, media_type="image/png")

    return endpoint


def _edit(values: Values) -> dict[str, Any]:
    """A change to the text of a design, and what it then looks like: ``set`` a key, ``copy`` or ``remove`` a stage."""
    text, action, number = text_of(values, "text"), text_of(values, "action", 20), whole_of(values, "number", 0)
    if action == "copy":
        changed = toml_edit.copy_stage(text, number)
    elif action == "remove":
        changed = toml_edit.remove_stage(text, number)
    else:
        part, key = text_of(values, "part", 20), text_of(values, "key", 100)
        changed = toml_edit.set_key(text, part, number, key, values.get("value"))
    return {"text": changed, "picture": _picture_of(values, changed)}


def _picture_of(values: Values, text: str) -> dict[str, Any]:
    """What a design looks like beside the budgets that the page has."""
    budgets = values.get("budgets", {})
    if not isinstance(budgets, dict):
        raise StudioError("budgets must be an object", received=type(budgets).__name__)
    return designs.picture(text) | {"budgets": designs.read_budgets(budgets)}


def _settings(values: Values) -> dict[str, Any]:
    """The lab's settings for a layer of a design."""
    graph = designs.inspected(text_of(values, "text")).graph
    return {"settings": lab.settings_of(graph, graph.node(text_of(values, "layer", 500)))}
