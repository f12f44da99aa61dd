"""A chat-completions server on loopback for tests and benches: answers, delays, fails as told, and logs.

python -m tests.chat_server --latency 0.5       prints its URL; serves until its standard input is closed
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tasks.utility.medu.settings import MeduSettings

FAULTS = ("429", "500", "hang", "not json", "cut off", "unparsable", "dropped")
HUGE_BYTES = 4_000_000
DOCUMENT = re.compile(r"<document>\n(.*)\n</document>", re.DOTALL)
Answer = Callable[[str], str]
Reply = tuple[int, dict[str, str], str]


def settings_for(url: str, **changes) -> MeduSettings:
    """A judge behind this URL that is asked once and waited for 10 s, unless changed."""
    return MeduSettings(**{"base_url": url, "model": "m", "retries": 0, "timeout_seconds": 10} | changes)


def labelling(prompt: str) -> str:
    """Describes by naming the items; labels a document with the label that is its first word."""
    document = DOCUMENT.search(prompt)
    if document is None:
        return "a test of " + " ".join(re.findall(r"item\d", prompt))
    return f"It says it is.\nFinal Score: {(document.group(1).split() or [''])[0]}"


def completion(text: str | None, **usage: int) -> str:
    """The body of a chat completion."""
    usage = usage or {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "served-model",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": usage,
        }
    )


@dataclass
class Log:
    """What was asked and how it ended, by prompt; the most requests under way at a time; headers of requests."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    prompts: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    headers: list[set[str]] = field(default_factory=list)  # their names, in lower case
    answered: list[str] = field(default_factory=list)  # prompts, in the order their answers were sent
    asked_again: list[str] = field(default_factory=list)  # prompts that came when they had been answered
    faults: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0


class ChatServer:
    """Serves until closed. `answer`: prompt -> text; `reply`: prompt -> status, headers, body, in its place.

    fault_share of all attempts go wrong, by a hash of prompt and attempt, each of `faults` alike often.
    """

    def __init__(
        self,
        answer: Answer = labelling,
        latency: float = 0.0,
        fault_share: float = 0.0,
        reply: Callable[[str], Reply] | None = None,
        faults: Sequence[str] = FAULTS,
    ) -> None:
        self.log, self.latency, self.fault_share = Log(), latency, fault_share
        self.answer, self.reply, self.faults = answer, reply, faults
        self.attempts: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.closing = threading.Event()
        self.waiting_for: tuple[int, threading.Event] | None = None
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def forget(self) -> None:
        """Begin anew: nothing was asked yet."""
        self.log, self.attempts, self.answered = Log(), Counter(), set()

    def when_answered(self, count: int) -> threading.Event:
        """An event that is set once so many answers have been sent."""
        self.waiting_for = (count, threading.Event())
        return self.waiting_for[1]

    def fault(self, prompt: str) -> str | None:
        with self.log.lock:
            self.attempts[prompt] += 1
            attempt = self.attempts[prompt]
        number = int.from_bytes(hashlib.sha256(f"{attempt} {prompt}".encode()).digest()[:6], "big") / 2**48
        if number >= self.fault_share:
            return None
        return self.faults[int(number / self.fault_share * len(self.faults))]

    def sent(self, prompt: str) -> None:
        with self.log.lock:
            self.log.answered.append(prompt)
            self.answered.add(prompt)
            if self.waiting_for and len(self.log.answered) >= self.waiting_for[0]:
                self.waiting_for[1].set()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, *_: object) -> None:
        pass  # A client that has given up waiting.


def _handler(owner: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][0]["content"]
            log = owner.log
            with log.lock:
                log.prompts.append(prompt)
                if prompt in owner.answered:
                    log.asked_again.append(prompt)
                log.keys.append(self.headers["Authorization"])
                log.headers.append({name.lower() for name in self.headers})
                log.under_way += 1
                log.most_under_way = max(log.most_under_way, log.under_way)
            try:
                if owner.latency:
                    time.sleep(owner.latency)
                self.respond(prompt)
            finally:
                with log.lock:
                    log.under_way -= 1

        def respond(self, prompt: str) -> None:
            if owner.reply is not None:
                self.send(*owner.reply(prompt))
                return
            fault = owner.fault(prompt)
            if fault:
                with owner.log.lock:
                    owner.log.faults[fault] += 1
            whole = completion(owner.answer(prompt) if fault != "unparsable" else "I would rather not say.")
            match fault:
                case "429":
                    self.send(429, {"Retry-After": "0.02"}, '{"error": {"message": "slow down"}}')
                case "500":
                    self.send(500, {}, "oh no")
                case "hang":
                    owner.closing.wait(20)
                    self.drop()
                case "not json":
                    self.send(200, {}, whole[: len(whole) // 2])
                case "cut off":
                    self.send(200, {}, whole[: len(whole) // 2], length=len(whole))
                    self.drop()
                case "dropped":
                    self.drop()
                case "huge":
                    self.send(200, {}, completion("so " * (HUGE_BYTES // 3)))
                case "redirect":
                    self.send(307, {"Location": f"{owner.url}/elsewhere"}, "")
                case _:
                    self.send(200, {}, whole)
                    owner.sent(prompt)

        def send(self, status: int, headers: dict[str, str], text: str, length: int | None = None) -> None:
            data = text.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

        def drop(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    server = ChatServer(latency=parser.parse_args().latency)
    print(server.url, flush=True)
    sys.stdin.read()
    server.close()


if __name__ == "__main__":
    main()
