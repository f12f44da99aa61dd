"""Requests that fail: what is tried again, what is never asked twice, also across a kill, and what is said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from email.utils import formatdate
from pathlib import Path

import pytest

from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.labelling import medu_utility
from tasks.utility.medu.retrying import asked_wait, wait_before
from tests.chat_server import DOCUMENT, FAULTS, completion, labelling, settings_for

ROOT = Path(__file__).resolve().parents[4]
ITEMS = {"t": ["item1", "item2"], "s": ["item3"]}
LABELS = ("Great", "Good", "Okay", "Poor", "Useless")
SAMPLES = {name: [f"{LABELS[i % 5]} {name} {i}" for i in range(60)] for name in ("web", "code", "junk")}
KILLED = """
import sys
from pathlib import Path
from tasks.utility.medu.labelling import medu_utility
from tasks.utility.medu.settings import MeduSettings
from tests.tasks.utility.medu.test_endpoint import ITEMS, SAMPLES
settings = MeduSettings(base_url=sys.argv[1], model="m", concurrency=8)
medu_utility(SAMPLES, ITEMS, settings, Path(sys.argv[2]), str)
"""


def test_with_three_of_ten_requests_failing_every_document_is_labelled_once(serve, tmp_path: Path) -> None:
    server = serve(fault_share=0.3)
    settings = settings_for(server.url, concurrency=32, retries=12, timeout_seconds=1.5)
    found = medu_utility(SAMPLES, ITEMS, settings, tmp_path, str)
    log = server.log
    assert set(log.faults) == set(FAULTS), "every way to fail was met"
    assert 0.2 < log.faults.total() / len(log.prompts) < 0.4

    # Every document has one answer for every task, its own, and was never asked again once it had it.
    answered = Counter(log.answered)
    assert set(answered.values()) == {1}
    labelled = [prompt for prompt in answered if "<document>" in prompt]
    documents = Counter(DOCUMENT.search(prompt).group(1) for prompt in labelled)
    assert documents == {text: len(ITEMS) for texts in SAMPLES.values() for text in texts}
    assert log.asked_again == []

    # Unreadable answers are kept, missing, and counted; the others say what they should.
    unreadable = sum(found.about["unreadable"][source][task] for source in SAMPLES for task in ITEMS)
    assert unreadable == sum("<document>" in p for p in log.answered) - sum(
        found.about["labels"][source][task] for source in SAMPLES for task in ITEMS
    )
    assert unreadable > 0
    assert found.about["requests"]["asked"] == len(answered)
    assert found.about["failures"].keys() == {"429", "500", "timeout", "connection", "not JSON"}
    assert sum(found.about["failures"].values()) == len(log.prompts) - len(log.answered)
    calm = medu_utility(SAMPLES, ITEMS, settings_for(serve().url), tmp_path / "calm", str)
    assert (abs(found.values - calm.values) < 0.1).all(axis=None)


def test_no_answered_request_is_sent_again_after_a_kill(serve, tmp_path: Path) -> None:
    server = serve(latency=0.005)
    questions = sum(map(len, SAMPLES.values())) * len(ITEMS) + len(ITEMS)
    half = server.when_answered(questions // 2)
    process = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(tmp_path)], cwd=ROOT)
    assert half.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    while server.log.under_way:  # answers that nobody waits for any more
        time.sleep(0.01)
    sent_before, asked_before = set(server.log.answered), len(server.log.prompts)
    assert questions // 2 <= len(sent_before) < questions

    with AnswerFile(tmp_path / "answers.jsonl") as kept:
        received = len(kept.known)
    # On their way to a process that was killed: at most one answer for each request under way.
    assert len(sent_before) - 8 <= received <= len(sent_before)

    found = medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, str)
    asked_again = server.log.prompts[asked_before:]
    assert len(asked_again) == len(set(asked_again)) == questions - received
    assert len(sent_before & set(asked_again)) == len(sent_before) - received
    assert found.about["requests"]["asked"] == questions - received
    assert all(found.about["labels"][s][t] == 60 for s in SAMPLES for t in ITEMS)


def test_so_many_requests_are_under_way_and_no_more(serve, tmp_path: Path) -> None:
    together = threading.Barrier(64)

    def all_at_once(prompt: str) -> str:
        if "<document>" in prompt:
            together.wait(30)  # Breaks unless 64 are under way at the same time.
        return labelling(prompt)

    server = serve(answer=all_at_once)
    samples = {"web": [f"Great {i}" for i in range(128)]}
    settings = settings_for(server.url, concurrency=64, timeout_seconds=60)
    found = medu_utility(samples, {"t": ["item1"]}, settings, tmp_path, str)
    assert found.about["failures"] == {}
    assert server.log.most_under_way == 64


def test_a_busy_server_is_asked_again_after_the_wait_it_asks_for(serve, tmp_path: Path, monkeypatch) -> None:
    waits: list[float] = []

    def wait(attempt: int, asked: float | None) -> float:
        waits.append(wait_before(attempt, asked))
        return 0.0

    monkeypatch.setattr("tasks.utility.medu.endpoint.wait_before", wait)
    replies = iter(
        [
            (429, {"Retry-After": "7"}, '{"error": {"message": "slow down"}}'),
            (503, {"Retry-After": formatdate(time.time() + 40, usegmt=True)}, "soon"),
            (500, {}, "oh no"),
        ]
    )
    server = serve(reply=lambda prompt: next(replies, None) or (200, {}, completion(labelling(prompt))))
    found = medu_utility({"web": ["Great"]}, {"t": ["x"]}, settings_for(server.url, retries=3), tmp_path, str)
    assert found.values.loc["web", "t"] == 1
    assert 7 <= waits[0] <= 7.7
    assert 38 <= waits[1] <= 44
    assert 0.02 <= waits[2] <= 0.04  # the third backoff, of .01 s at first here
    assert found.about["failures"] == {"429": 1, "503": 1, "500": 1}


def test_a_wait_of_hours_is_not_waited_for(serve, tmp_path: Path) -> None:
    server = serve(reply=lambda _: (429, {"Retry-After": "7200"}, '{"error": {"message": "quota"}}'))
    with pytest.raises(ValueError, match=r"status 429 .*asks to wait 7,200 s.*Answers so far are kept"):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url, retries=5), tmp_path, str)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_what_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers, now=1000.0) == seconds


def test_backoff_doubles_is_jittered_and_bounded() -> None:
    for attempt, longest in ((1, 0.5), (2, 1.0), (5, 8.0), (40, 30.0)):
        waits = [wait_before(attempt, None) for _ in range(200)]
        assert longest / 2 <= min(waits) and max(waits) <= longest
        assert max(waits) - min(waits) > longest / 4
    assert all(20 <= wait_before(1, 20.0) <= 22 for _ in range(50))


def test_a_server_that_is_down(serve, tmp_path: Path) -> None:
    server = serve()
    server.server.server_close()
    with pytest.raises(
        ValueError, match=r"base_url=http://127.*cannot be reached.*up to 2 times.*running server"
    ):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url, retries=1), tmp_path, str)


def test_a_server_that_is_slow(serve, tmp_path: Path) -> None:
    release = threading.Event()

    def late(prompt: str) -> str:
        release.wait(5)
        return labelling(prompt)

    server = serve(answer=late)
    with pytest.raises(ValueError, match=r"no answer in 0\.2 s"):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url, timeout_seconds=0.2), tmp_path, str)
    release.set()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, {"Content-Type": "text/html"}, "<html>hello</html>"), "did not answer with a chat completion"),
        ((200, {}, "{not json"), "something else than JSON"),
        ((200, {}, '{"choices": []}'), "did not answer with a chat completion"),
        ((200, {}, completion(None)), "without text"),
        ((404, {}, '{"error": {"message": "no such model"}}'), "status 404 .*no such model"),
        ((400, {}, '{"error": {"message": "no such parameter"}}'), "status 400 .*no such parameter"),
    ],
)
def test_a_server_that_answers_nonsense(serve, tmp_path: Path, reply, message: str) -> None:
    server = serve(reply=lambda _: reply)
    with pytest.raises(ValueError, match=message):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url), tmp_path, str)


def test_tokens_that_the_endpoint_does_not_state_are_counted_here(serve, tmp_path: Path) -> None:
    def silent(prompt: str) -> tuple[int, dict, str]:
        body = json.loads(completion(labelling(prompt)))
        del body["usage"]
        return 200, {}, json.dumps(body)

    server = serve(reply=silent)
    found = medu_utility({"web": ["Great"]}, {"t": ["item1"]}, settings_for(server.url), tmp_path, str)
    # Without a tokenizer a text counts its bytes, and 64 tokens for what a server puts around it.
    assert found.about["prompt_tokens"] == sum(len(p.encode()) + 64 for p in server.log.prompts)
    assert found.about["cost"]["answers_whose_tokens_were_counted_here"] == 2


def test_the_key_comes_from_the_environment_and_is_never_shown(
    serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-123")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    server = serve(reply=lambda _: (401, {}, '{"error": {"message": "bad key sk-secret-123"}}'))
    monkeypatch.setenv("MIXSTITCH_TRUSTED", f"JUDGE_KEY=127.0.0.1:{server.url.split(':')[2].split('/')[0]}")
    settings = settings_for(server.url, api_key_variable="JUDGE_KEY")
    with pytest.raises(ValueError, match="status 401") as caught:
        medu_utility({"web": ["Great"]}, ITEMS, settings, tmp_path, str)
    assert server.log.keys[0] == "Bearer sk-secret-123"
    assert {"openai-organization", "x-stainless-lang"}.isdisjoint(server.log.headers[0])
    assert "sk-secret-123" not in str(caught.value)
    assert "key in JUDGE_KEY" in str(caught.value)


def test_without_a_named_variable_no_key_is_sent(serve, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-secret-456")
    server = serve()
    medu_utility({"web": ["Great"]}, {"t": ["item1"]}, settings_for(server.url), tmp_path, str)
    assert set(server.log.keys) == {"Bearer none"}


def test_a_key_goes_to_no_host_that_is_not_trusted_with_it(serve, tmp_path: Path, monkeypatch) -> None:
    server = serve()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("MIXSTITCH_TRUSTED", "AWS_SECRET_ACCESS_KEY=127.0.0.1:1,OTHER=" + server.url[7:-3])
    settings = settings_for(server.url, api_key_variable="AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        ValueError, match=r"may not be sent to http://127\.0\.0\.1:\d+; .*MIXSTITCH_TRUSTED=AWS"
    ):
        medu_utility({"web": ["Great"]}, {"t": ["item1"]}, settings, tmp_path, str)
    assert server.log.prompts == []


def test_redirects_are_not_followed(serve, tmp_path: Path) -> None:
    other = serve()
    server = serve(reply=lambda _: (307, {"Location": f"{other.url}/chat/completions"}, ""))
    with pytest.raises(ValueError, match=r"status 307 .*no redirect is followed"):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url), tmp_path, str)
    assert server.log.prompts != [] == other.log.prompts


def test_a_reply_is_read_no_further_than_its_limit(serve, tmp_path: Path) -> None:
    long = completion("x" * 50_000_000)
    server = serve(reply=lambda _: (200, {}, long))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"longer than 66,560 bytes .utility\.medu\.max_answer_tokens"):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url, max_answer_tokens=16), tmp_path, str)
    # The server holds the text as bytes once for each request, in this process too.
    assert (tracemalloc.get_traced_memory()[1]) < 50_000_000 * (len(server.log.prompts) + 0.5)
    tracemalloc.stop()


def test_a_compressed_reply_that_nobody_asked_for_is_not_unpacked(serve, tmp_path: Path) -> None:
    server = serve(reply=lambda _: (200, {"Content-Encoding": "gzip"}, completion("Final Score: Great")))
    with pytest.raises(ValueError, match=r"compressed .gzip., which was not asked for"):
        medu_utility({"web": ["Great"]}, ITEMS, settings_for(server.url), tmp_path, str)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 10, "completion_tokens": 10**30},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": "many", "completion_tokens": 3},
        {"prompt_tokens": 10.5, "completion_tokens": 3},
        {"prompt_tokens": 0, "completion_tokens": 0},
    ],
)
def test_what_no_judge_can_have_counted_is_counted_here(serve, tmp_path: Path, usage: dict) -> None:
    server = serve(reply=lambda prompt: (200, {}, completion(labelling(prompt), total_tokens=13, **usage)))
    found = medu_utility({"web": ["Great"]}, {"t": ["item1"]}, settings_for(server.url), tmp_path, str)
    assert found.about["prompt_tokens"] == sum(len(p.encode()) + 64 for p in server.log.prompts)
    assert found.about["completion_tokens"] == sum(len(labelling(p)) for p in server.log.prompts)


def test_in_a_notebook_which_has_an_event_loop_already(serve, tmp_path: Path) -> None:
    async def cell() -> float:
        found = medu_utility({"web": ["Great"]}, {"t": ["item1"]}, settings_for(serve().url), tmp_path, str)
        return float(found.values.loc["web", "t"])

    assert asyncio.run(cell()) == 1.0


def test_two_runs_at_once_buy_each_answer_once(serve, tmp_path: Path) -> None:
    server, found, said = serve(latency=0.01), [], []
    runs = [
        threading.Thread(
            target=lambda: found.append(
                medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, said.append)
            )
        )
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert set(Counter(server.log.prompts).values()) == {1}
    assert found[0].values.equals(found[1].values)
    assert any("another run is asking the same judge" in line for line in said)
