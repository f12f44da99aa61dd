"""What goes to a judge's host and what comes back: no redirect, no header but ours, no more bytes than asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx2

from tasks.utility.medu.settings import MeduSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# A completion around its text, and bytes of a token: text in JSON may take six a character.
ENVELOPE_BYTES = 64 * 1024
TOKEN_BYTES = 64
# Others tell who asks (OPENAI_ORG_ID, the library's own), and are nobody's business.
OWN_HEADERS = frozenset(
    {"host", "accept", "authorization", "connection", "content-length", "content-type", "user-agent"}
)


class UnfitReplyError(Exception):
    """A reply that is not read: too long, or compressed though nobody asked for that."""


def most_bytes(settings: MeduSettings) -> int:
    """Of a reply."""
    return ENVELOPE_BYTES + TOKEN_BYTES * settings.max_answer_tokens


def connect(settings: MeduSettings, connections: int, key: str) -> AsyncOpenAI:
    """A client of the endpoint for so many requests at a time; ValueError where the key may not go there."""
    import openai

    settings.check_key()
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=connections, max_keepalive_connections=connections
    )

    async def only_what_is_ours(request: httpx2.Request) -> None:
        for name in set(request.headers) - OWN_HEADERS:
            del request.headers[name]
        request.headers["Accept-Encoding"] = "identity"

    async def no_more_than_asked_for(response: httpx2.Response) -> None:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise UnfitReplyError(f"its reply is compressed ({encoding[:20]}), which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, most_bytes(settings))

    return openai.AsyncOpenAI(
        base_url=settings.base_url,
        api_key=key or "none",
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            limits=limits,
            timeout=settings.timeout_seconds,
            follow_redirects=False,
            event_hooks={"request": [only_what_is_ours], "response": [no_more_than_asked_for]},
        ),
    )


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of a reply; UnfitReplyError as soon as they are more than `most`."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self.stream, self.most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self.stream:
            read += len(chunk)
            if read > self.most:
                raise UnfitReplyError(
                    f"its reply is longer than {self.most:,} bytes (utility.medu.max_answer_tokens: "
                    f"{ENVELOPE_BYTES:,} and {TOKEN_BYTES} a token)"
                )
            yield chunk

    async def aclose(self) -> None:
        await self.stream.aclose()
