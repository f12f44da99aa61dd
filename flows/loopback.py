"""This machine's own address: where servers of ours listen, and asking them."""

from __future__ import annotations

import base64
import socket
import urllib.error
import urllib.request

HOST = "127.0.0.1"


def free_port(wanted: int = 0) -> int:
    """`wanted` where nothing listens on it, otherwise a port that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError(f"no port of {HOST} is free")


def ask(url: str, auth_string: str = "") -> bytes | None:
    """What the address answers, None where that is no success or takes longer than two seconds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    encoded = base64.b64encode(auth_string.encode()).decode()
    asked = urllib.request.Request(url, headers={"Authorization": f"Basic {encoded}"} if auth_string else {})
    try:
        with opener.open(asked, timeout=2) as response:
            return response.read()
    except (urllib.error.URLError, OSError):
        return None
