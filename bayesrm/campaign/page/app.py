"""The page as an application: one shell without anything in it, and what it asks for with the secret of its link.

The secret stands behind the ``#`` of the link, which no browser sends to anybody; the page sends it in a header of its
own, which no other site can make a browser send. There are no cookies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bayesrm.campaign.grades import scale
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.guard import LOOPBACK, Guard
from bayesrm.campaign.page.links import Links
from bayesrm.campaign.page.overview import overview
from bayesrm.campaign.page.texts import harmless, shown
from bayesrm.campaign.records import Question
from bayesrm.errors import InvalidInputError

FILES = {
    "/": ("page.html", "text/html"),
    "/owner": ("owner.html", "text/html"),
    "/static/page.css": ("page.css", "text/css"),
    "/static/page.js": ("page.js", "text/javascript"),
    "/static/owner.js": ("owner.js", "text/javascript"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
KEPT_RENDERED = 64
"""Questions whose HTML is kept: the ones that are on screens."""

Handler = Callable[[Request], Awaitable[Response]]


class Page:
    """What the routes do.

    Parameters
    ----------
    desk
        Who answers what next.
    links
        Whose secret is which.
    """

    def __init__(self, desk: Desk, links: Links) -> None:
        self._desk, self._links = desk, links
        self._shown = lru_cache(KEPT_RENDERED)(self._render)

    def routes(self) -> list[Route]:
        """Every address of the page."""
        fixed = [Route(path, _file(*where), methods=["GET"]) for path, where in FILES.items()]
        calls: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            "/api/next": self._next,
            "/api/answer": self._answer,
            "/api/undo": self._undo,
            "/api/pause": self._pause,
            "/api/text": self._text,
        }
        return [
            *fixed,
            *(Route(path, self._for_annotators(call), methods=["POST"]) for path, call in calls.items()),
            Route("/api/overview", self._overview, methods=["POST"]),
        ]

    def _for_annotators(self, call: Callable[[str, dict[str, Any]], Any]) -> Handler:
        async def handle(request: Request) -> Response:
            who = self._links.annotator(_secret(request))
            if who is None:
                return _forbidden()
            try:
                return JSONResponse(await run_in_threadpool(call, who, _sent(await request.body())))
            except InvalidInputError as error:
                # A full disk is none of the annotator's doing: the page sends it again.
                again = isinstance(error.__cause__, sqlite3.Error)
                return PlainTextResponse(str(error), 503 if again else 400)

        return handle

    def _next(self, who: str, sent: dict[str, Any]) -> dict[str, Any]:
        return self._state(who)

    def _answer(self, who: str, sent: dict[str, Any]) -> dict[str, Any]:
        key = _field(sent, "key", str)
        if not 8 <= len(key) <= 80:
            raise InvalidInputError("expected a key of 8 to 80 characters")
        seconds = _field(sent, "seconds", int | float | None)
        # An annotator's keys are their own.
        became = self._desk.answer(
            who,
            _field(sent, "question", str),
            _field(sent, "side", str),
            f"{who}:{key}",
            None if seconds is None else float(seconds),
            _field(sent, "order", str | None),
            _field(sent, "points", int | None),
        )
        return {"became": became} | self._state(who)

    def _undo(self, who: str, sent: dict[str, Any]) -> dict[str, Any]:
        return {"undone": self._desk.undo(who, _field(sent, "answer", int))} | self._state(who)

    def _pause(self, who: str, sent: dict[str, Any]) -> dict[str, Any]:
        self._desk.pause(who)
        return {}

    def _text(self, who: str, sent: dict[str, Any]) -> dict[str, Any]:
        question = self._desk.on_screen(who)
        part = _field(sent, "part", str)
        texts = {} if question is None else self._desk.campaign.sheet(question).texts
        if question is None or question.id != _field(sent, "question", str) or part not in texts:
            raise InvalidInputError("expected a part of the question that is on the screen")
        return {"text": harmless(texts[part])}

    async def _overview(self, request: Request) -> Response:
        if not self._links.is_owner(_secret(request)):
            return _forbidden()
        return JSONResponse(await run_in_threadpool(overview, self._desk, list(self._links.annotators)))

    def _state(self, who: str) -> dict[str, Any]:
        """What an annotator sees."""
        question = self._desk.next(who)
        progress = self._desk.progress(who)
        return {
            "name": harmless(who),
            "question": None if question is None else {"id": question.id, **self._shown(question)},
            "answered": progress.answered,
            "left": progress.left,
            "seconds": progress.seconds,
            "last": progress.last,
            "elsewhere": progress.elsewhere,
        }

    def _render(self, question: Question) -> dict[str, Any]:
        """The texts as HTML, by the names that the page has for them; of a list also which of them are ranked."""
        sheet = self._desk.campaign.sheet(question)
        rendered = {part: shown(text) for part, text in sheet.texts.items()}
        views: dict[str, Any] = {
            part: {"html": view.html, "cut": view.cut, "characters": view.characters}
            for part, view in rendered.items()
        }
        if sheet.responses:
            return views | {"list": [name.lower() for name in sheet.lettered]}
        return views | {"grades": _grades(sheet.grades)} if sheet.grades else views


def _grades(grades: int) -> list[dict[str, Any]]:
    """The answers on a scale, the left response being called A."""
    named = {"left": "A", "right": "B"}
    return [
        {"words": words.replace(side, named.get(side, side), 1), "side": side, "points": points}
        for words, side, points in scale(grades)
    ]


def make_app(desk: Desk, links: Links, hosts: Collection[str] = LOOPBACK, any_address: bool = False) -> ASGIApp:
    """The application; see :class:`~bayesrm.campaign.page.guard.Guard` for ``hosts`` and ``any_address``."""
    return Guard(Starlette(routes=Page(desk, links).routes()), hosts, any_address)


def _file(name: str, kind: str) -> Handler:
    content = (files("bayesrm.campaign.page") / "static" / name).read_bytes()

    async def serve(request: Request) -> Response:
        return Response(content, media_type=kind)

    return serve


def _sent(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise InvalidInputError(f"expected JSON ({error})") from error
    if not isinstance(value, dict):
        raise InvalidInputError("expected an object of JSON")
    return value


def _field(sent: dict[str, Any], name: str, kind: Any) -> Any:
    value = sent.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidInputError(f"expected another {name}, got {str(value)[:40]!r}")
    return value


def _secret(request: Request) -> str:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _forbidden() -> Response:
    return PlainTextResponse("This link opens nothing.", 403)
