"""What the guard before Prefect's server lets through: our own names and pages, whatever is asked."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from flows.guarded_server import OPENING_PATH, Guard, new_auth_string, opening_url, protection

OURS = "http://127.0.0.1:4200"


async def greet(socket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def client(base_url: str = OURS) -> TestClient:
    def page(_):
        return PlainTextResponse("inside")

    routes = [Route("/{path:path}", page, methods=["GET", "POST"]), WebSocketRoute("/ws", greet)]
    return TestClient(Guard(Starlette(routes=routes)), base_url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "localhost", "localhost:8080", "[::1]:4200", "LOCALHOST:4200"]
)
def test_own_names_are_answered_on_any_port_as_through_a_tunnel(host):
    assert client().get("/runs", headers={"Host": host}).text == "inside"
    same = client().post("/api/flows", headers={"Host": host, "Origin": f"http://{host}"})
    assert same.text == "inside"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4200",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "10.0.0.1",
        "",
        "[",
        "0",
    ],
)
def test_other_names_are_refused(host):
    answer = client().get("/api/health", headers={"Host": host})
    assert answer.status_code == 403 and "inside" not in answer.text


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:4200",
        "http://127.0.0.1:5000",
        "http://127.0.0.1:4200.evil.example",
    ],
)
def test_pages_of_others_are_refused_and_told_nothing(origin):
    for method in ("GET", "POST", "OPTIONS"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = client().request(method, "/api/flows", headers=asked)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_sockets_of_others_are_refused(headers):
    with client().websocket_connect("ws://127.0.0.1:4200/ws") as socket:
        assert socket.receive_text() == "hello"
    with (
        pytest.raises(WebSocketDisconnect),
        client().websocket_connect("ws://127.0.0.1:4200/ws", headers=headers),
    ):
        pass


def test_no_page_of_others_frames_ours():
    assert client().get("/runs").headers["x-frame-options"] == "DENY"


def test_the_opening_page_takes_the_token_from_what_no_server_sees():
    auth_string = new_auth_string()
    url = opening_url(OURS, auth_string)
    assert url.startswith(f"{OURS}{OPENING_PATH}#") and auth_string.endswith(url.partition("#")[2])
    page = client().get(OPENING_PATH)
    assert "prefect-password" in page.text and page.headers["content-type"].startswith("text/html")
    assert len({new_auth_string() for _ in range(8)}) == 8
    assert len(auth_string.partition(":")[2]) >= 43  # 256 bits


def test_prefect_reads_what_protects_it(monkeypatch):
    from prefect.settings import Settings

    for name, value in protection("mixstitch:token", OURS).items():
        monkeypatch.setenv(name, value)
    api = Settings().server.api
    assert api.auth_string.get_secret_value() == "mixstitch:token"
    assert api.csrf_protection_enabled is True
    assert api.cors_allowed_origins == OURS
