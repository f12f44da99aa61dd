"""MLflow's pages as we start them: guarded as Prefect's are, and only for who has their token.

    python -m uvicorn --factory flows.guarded_tracking:create_app

MLflow's pages send no header of ours, so a browser keeps the token as a cookie, which the opening page sets. It is
another token than Prefect's: a browser shows a cookie to every server of this machine that it visits.
"""

from __future__ import annotations

import base64
import os
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.websockets import WebSocketClose

from flows.guarded_server import OPENING_PATH, POLICY_VIOLATION, USER, Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FACTORY = "flows.guarded_tracking:create_app"
TOKEN = "MIXSTITCH_MLFLOW_AUTH"  # environment variable: user and token
HEALTH_PATH = "/health"
LONGEST_TOKEN = 200
# What stands behind # never leaves the browser but in this one request to its own server.
OPENING_PAGE = f"""<!doctype html>
<title>Mixstitch</title>
<script>
const token = location.hash.slice(1);
const opened = token ? fetch("{OPENING_PATH}", {{method: "POST", body: token}}) : Promise.resolve();
opened.then(() => location.replace("/"));
</script>
"""


def create_app() -> ASGIApp:
    """MLflow's application for the home of the environment, behind its lock and the guard."""
    from storage.home import Home
    from storage.tracking import pages

    return Guard(Locked(pages(Home.from_environment()), os.environ[TOKEN]), opening_page="")


class Locked:
    """ASGI: asks for the token, as a cookie or in the Authorization header, for all but health and opening page."""

    def __init__(self, app: ASGIApp, auth_string: str) -> None:
        self.app, self.auth_string = app, auth_string
        self.token = auth_string.removeprefix(f"{USER}:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self.app
        if scope["type"] == "http" and scope["path"] == OPENING_PATH:
            answer = await self._open(Request(scope, receive))
        elif scope["type"] in ("http", "websocket") and not self._lets_in(scope):
            answer = (
                PlainTextResponse("open the address that `make ui` printed: it holds the token\n", 401)
                if scope["type"] == "http"
                else WebSocketClose(POLICY_VIOLATION)
            )
        await answer(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if scope["path"] == HEALTH_PATH:
            return True
        expected = base64.b64encode(self.auth_string.encode()).decode()
        if _same(headers.get("authorization", "").removeprefix("Basic "), expected):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie(headers))
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.token)

    async def _open(self, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(OPENING_PAGE)
        told = b""
        async for part in request.stream():
            told += part
            if len(told) > LONGEST_TOKEN:
                break
        if not secrets.compare_digest(told, self.token.encode()):
            return PlainTextResponse("another token than this start's: see what `make ui` printed\n", 401)
        opened = Response(status_code=204)
        opened.set_cookie(_cookie(request.headers), self.token, httponly=True, samesite="strict")
        return opened


def _same(told: str, expected: str) -> bool:
    return secrets.compare_digest(told.encode(), expected.encode())


def _cookie(headers: Headers) -> str:
    """A name for each port: a browser keeps cookies by host alone, and two homes may be served at once."""
    return f"mixstitch-{headers.get('host', '').rpartition(':')[2]}"
