"""The Prefect server as we start it: only under this machine's own name, and only for pages of its own.

    python -m uvicorn --factory flows.guarded_server:create_app

Prefect itself asks for the auth string (PREFECT_SERVER_API_AUTH_STRING) and a CSRF token, but answers under any
name: a page whose name is made to point here (DNS rebinding) would be one of its own.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FACTORY = "flows.guarded_server:create_app"
OWN_NAMES = ("127.0.0.1", "localhost", "::1")
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
USER = "mixstitch"
OPENING_PATH = "/open"
# What stands behind # never leaves the browser: no server's log and no other page gets to see the token. The pages
# read the auth string where Prefect's own login would put it.
OPENING_PAGE = f"""<!doctype html>
<title>Mixstitch</title>
<script>
const token = location.hash.slice(1);
if (token) localStorage.setItem("prefect-password", btoa("{USER}:" + token));
location.replace("/deployments");
</script>
"""


def new_auth_string() -> str:
    """User and a new token, as the settings of Prefect take them."""
    return f"{USER}:{secrets.token_urlsafe(32)}"


def opening_url(url: str, auth_string: str) -> str:
    """Where a browser gets the token of the pages at `url`."""
    return f"{url}{OPENING_PATH}#{auth_string.removeprefix(f'{USER}:')}"


def protection(auth_string: str, own_origin: str) -> dict[str, str]:
    """What Prefect's server reads from its environment: who may ask, and from which pages ('': from none)."""
    return {
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": own_origin,
    }


def create_app() -> ASGIApp:
    """Prefect's application behind the guard."""
    from prefect.server.api.server import create_app as create_prefect

    return Guard(create_prefect())


class Guard:
    """ASGI: refuses foreign hosts and origins, lets nobody frame the pages, and serves the opening page.

    opening_page: '' where the application serves its own.
    """

    def __init__(self, app: ASGIApp, opening_page: str = OPENING_PAGE) -> None:
        self.app, self.opening_page = app, opening_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = refusal(Headers(scope=scope))
        if reason is not None:
            refused: ASGIApp = (
                PlainTextResponse(reason, 403)
                if scope["type"] == "http"
                else WebSocketClose(POLICY_VIOLATION)
            )
            await refused(scope, receive, send)
            return

        async def send_framed_by_nobody(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        opens = self.opening_page and scope.get("path") == OPENING_PATH
        app = HTMLResponse(self.opening_page) if opens else self.app
        await app(scope, receive, send_framed_by_nobody)


def refusal(headers: Headers) -> str | None:
    """Why a request is refused; None where it came to one of our names, and from our own pages or none."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or _name(hosts[0]) not in OWN_NAMES:
        return f"Host: {', '.join(hosts)}: allowed: {', '.join(OWN_NAMES)}"
    foreign = [origin for origin in headers.getlist("origin") if origin != f"http://{hosts[0]}"]
    return f"Origin: {foreign[0]}: allowed: http://{hosts[0]}" if foreign else None


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
