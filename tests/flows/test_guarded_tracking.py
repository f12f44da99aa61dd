"""MLflow's pages ask for their token, and take it as a cookie that the opening page has set, or in a header."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from flows.guarded_server import OPENING_PATH, Guard, new_auth_string
from flows.guarded_tracking import LONGEST_TOKEN, Locked
from tests.asking import FOREIGN, basic
from tests.flows.test_guarded_server import greet

OURS = "http://127.0.0.1:5000"
AUTH = new_auth_string()
TOKEN = AUTH.partition(":")[2]


@pytest.fixture
def client() -> TestClient:
    def page(_):
        return PlainTextResponse("inside")

    routes = [Route("/{path:path}", page, methods=["GET", "POST"]), WebSocketRoute("/ws", greet)]
    return TestClient(Guard(Locked(Starlette(routes=routes), AUTH), opening_page=""), OURS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("mixstitch:guess"),
        basic("mixstitch:"),
        {"Authorization": f"Bearer {TOKEN}"},
        {"Cookie": "mixstitch-5000=guess"},
        {"Cookie": f"mixstitch-5001={TOKEN}"},
        {"Cookie": 'mixstitch-5000="; x'},
        {"Cookie": "mixstitch-5000=é".encode()},
    ],
)
def test_without_the_token_nothing_is_shown_but_that_the_server_is_well(client, headers):
    for path in ("/", "/ajax-api/2.0/mlflow/experiments/search", "/static-files/main.js", "//health"):
        assert client.get(path, headers=headers).status_code == 401
    assert client.get("/health", headers=headers).text == "inside"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("ws://127.0.0.1:5000/ws"):
        pass


def test_the_opening_page_takes_the_token_from_what_no_server_sees_and_has_it_kept_as_a_cookie(client):
    page = client.get(OPENING_PATH)
    assert page.headers["content-type"].startswith("text/html") and TOKEN not in page.text
    opened = client.post(OPENING_PATH, content=TOKEN)
    assert opened.status_code == 204
    told = opened.headers["set-cookie"].lower()
    assert "httponly" in told and "samesite=strict" in told
    assert client.get("/").text == "inside"


@pytest.mark.parametrize(
    "token",
    ["", "guess", TOKEN[:-1], TOKEN + "x", "x" * (LONGEST_TOKEN * 100)],
    ids=["none", "guess", "one short", "one more", "long"],
)
def test_another_token_opens_nothing(client, token):
    refused = client.post(OPENING_PATH, content=token)
    assert refused.status_code == 401 and "set-cookie" not in refused.headers


def test_a_program_sends_it_as_mlflows_clients_do(client):
    assert client.get("/api", headers=basic(AUTH)).text == "inside"


@pytest.mark.parametrize("foreign", [*FOREIGN, {"Origin": "http://127.0.0.1:8888"}])
def test_pages_of_others_are_refused_also_with_the_token(client, foreign):
    client.post(OPENING_PATH, content=TOKEN)
    assert client.get("/", headers=foreign).status_code == 403
    assert client.post(OPENING_PATH, content=TOKEN, headers=foreign).status_code == 403
