"""Asks a server of ours as a browser or a stranger would: which status comes back."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request

EVIL = "evil.example"
FOREIGN = ({"Host": EVIL}, {"Host": f"127.0.0.1.{EVIL}"}, {"Origin": f"http://{EVIL}"}, {"Origin": "null"})


def status(
    url: str, headers: dict[str, str] | None = None, method: str = "GET", body: bytes | None = None
) -> int:
    asked = urllib.request.Request(
        url, body, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def basic(auth_string: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(auth_string.encode()).decode()}"}
