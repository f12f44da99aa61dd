"""The page on which people compare answers: forms that the server writes, one pair at a time, by keyboard alone.

Who wrote an answer is nowhere in the page. On loopback it is open to this machine; on any other address a token is
needed, which the address that is printed holds.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl

import jinja2
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.datastructures import Headers

from flows.guarded_server import refusal
from tasks.preference.rating.masking import masked
from tasks.preference.rating.strengths import STRENGTHS, STRONGEST
from tasks.preference.rating.vote_book import LEFT, RIGHT, TIE, Said, Shown, VoteBook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NAME = re.compile(r"[\w .\-]{1,60}")
ANNOTATOR, TOKEN = "mixstitch-annotator", "mixstitch-token"
MOST_BYTES = 16_384
YEAR_SECONDS = 365 * 24 * 3600
CHOICES = [
    *((LEFT, strength) for strength in range(STRONGEST, 0, -1)),
    (TIE, 0),
    *((RIGHT, strength) for strength in range(1, STRONGEST + 1)),
]


async def _filled(request: Request) -> dict[str, str]:
    """The fields of a form, as a browser sends them."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"a form of more than {MOST_BYTES:,} bytes")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


Filled = Annotated[dict[str, str], Depends(_filled)]


def rating_app(book: VoteBook, scores: bool = False, token: str = "") -> FastAPI:
    """scores: each answer gets 1 to 7 too. token: whoever asks must have it; empty: only this machine may ask."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    models = book.models()

    @app.middleware("http")
    async def guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.query_params.get("token", "")
        why = _refused(request.headers, token, given or request.cookies.get(TOKEN, ""))
        if why is not None:
            return PlainTextResponse(why, 403)
        nonce = request.state.nonce = secrets.token_urlsafe(16)
        if token and given:
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(TOKEN, token, httponly=True, samesite="strict")
            return response
        response = await answer(request)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'"
        )
        response.headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'; base-uri 'none'"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response

    def page(request: Request, message: str = "", status: int = 200) -> HTMLResponse:
        annotator = _annotator(request)
        shown = book.next(annotator) if annotator else None
        text = _template().render(
            annotator=annotator,
            shown=shown and _hidden(shown, models),
            choices=[(key, f"{c} {s}", _words(c, s)) for key, (c, s) in enumerate(CHOICES, 1)],
            scores=scores,
            message=message,
            nonce=request.state.nonce,
        )
        return HTMLResponse(text, status)

    @app.get("/")
    def asked(request: Request) -> HTMLResponse:
        return page(request)

    @app.post("/name")
    def named(request: Request, form: Filled) -> Response:
        name = " ".join(form.get("annotator", "").split())
        if not NAME.fullmatch(name):
            return page(request, "A name has letters, digits, blanks, dots and dashes, 60 at most.", 422)
        response = RedirectResponse("/", 303)
        response.set_cookie(ANNOTATOR, _encoded(name), max_age=YEAR_SECONDS, httponly=True, samesite="strict")
        return response

    @app.post("/vote")
    def voted(request: Request, form: Filled) -> Response:
        choice, _, strength = form.get("vote", "").partition(" ")
        try:
            left, right = (int(form.get(f"{side}_score", "")) if scores else None for side in (LEFT, RIGHT))
            said = Said(choice, int(strength), form.get("comment", "").strip(), left, right)
            book.vote(int(form.get("shown", "")), _annotator(request), said)
        except ValueError as error:
            return page(request, f"This vote was not kept: {error}", 422)
        return RedirectResponse("/", 303)

    @app.post("/undo")
    def undone(request: Request) -> Response:
        book.undo(_annotator(request))
        return RedirectResponse("/", 303)

    return app


def _refused(headers: Headers, token: str, given: str) -> str | None:
    """Why a request is refused; None where it may pass."""
    if not token:
        return refusal(headers)
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "the address that `mixstitch rate page` printed holds a token; this one does not"
    origin = headers.get("origin")
    return f"Origin: {origin}" if origin not in (None, f"http://{headers.get('host')}") else None


def _hidden(shown: Shown, models: list[str]) -> Shown:
    """With what a model says of itself masked."""
    return replace(shown, left=masked(shown.left, models), right=masked(shown.right, models))


def _words(choice: str, strength: int) -> str:
    return "about the same" if choice == TIE else f"{choice} {STRENGTHS[strength]}"


def _annotator(request: Request) -> str:
    """Who asks; '' where nobody has said so."""
    name = _decoded(request.cookies.get(ANNOTATOR, ""))
    return name if NAME.fullmatch(name) else ""


def _encoded(name: str) -> str:
    return name.encode().hex()  # a cookie holds no letters beyond ASCII


def _decoded(cookie: str) -> str:
    try:
        return bytes.fromhex(cookie).decode()
    except ValueError:
        return ""


@cache
def _template() -> jinja2.Template:
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
