"""The page on which people rate: who may ask, what it tells, what it keeps; and in a real browser, by keyboard."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi.testclient import TestClient

from flows.loopback import free_port
from flows.rating_page import rating_app
from tasks.preference.rating.compared_answers import Answer
from tasks.preference.rating.vote_book import VoteBook

HERE = "http://127.0.0.1"
CHROMIUM = shutil.which("chromium")


def book(folder, items: int = 6, answer: str = "{model} <b>says</b> {i}") -> VoteBook:
    answers = [
        Answer(f"q{i}", "talk", f"question {i}?", model, answer.format(model=model[-1], i=i))
        for i in range(items)
        for model in ("model-of-a", "model-of-b")
    ]
    return VoteBook.made(folder / "votes.sqlite", answers)


def client(votes: VoteBook, **settings) -> TestClient:
    found = TestClient(rating_app(votes, **settings), base_url=HERE)
    found.post("/name", data={"annotator": "Ann Żyła"})
    return found


def number(text: str) -> str:
    return text.split('name="shown" value="')[1].split('"')[0]


def test_a_pair_is_shown_and_its_vote_kept(tmp_path):
    votes = book(tmp_path)
    asker = client(votes)
    text = asker.get("/").text
    assert "&lt;b&gt;says&lt;/b&gt;" in text and "<b>says" not in text
    assert "model-of-" not in text
    assert (
        asker.post("/vote", data={"shown": number(text), "vote": "left 4", "comment": " so "}).status_code
        == 200
    )
    (kept,) = votes.votes().itertuples()
    assert (kept.annotator, kept.choice, kept.strength, kept.comment) == ("Ann Żyła", "left", 4, "so")


def test_undo_shows_the_same_pair_again(tmp_path):
    votes = book(tmp_path)
    asker = client(votes)
    first = asker.get("/").text
    asker.post("/vote", data={"shown": number(first), "vote": "tie 0"})
    assert number(asker.get("/").text) != number(first)
    asker.post("/undo")
    assert number(asker.get("/").text) == number(first) and votes.votes().empty


@pytest.mark.parametrize("vote", ["left", "left 9", "up 1", "", "tie 3"])
def test_what_is_no_vote_is_said_and_not_kept(tmp_path, vote):
    votes = book(tmp_path)
    asker = client(votes)
    answer = asker.post("/vote", data={"shown": number(asker.get("/").text), "vote": vote})
    assert answer.status_code == 422 and "This vote was not kept" in answer.text
    assert votes.votes().empty


def test_scores_are_asked_for_and_kept(tmp_path):
    votes = book(tmp_path)
    asker = client(votes, scores=True)
    shown = number(asker.get("/").text)
    assert asker.post("/vote", data={"shown": shown, "vote": "left 1"}).status_code == 422
    asker.post("/vote", data={"shown": shown, "vote": "left 1", "left_score": "6", "right_score": "5"})
    assert votes.votes()[["left_score", "right_score"]].values.tolist() == [[6, 5]]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_foreign_pages_are_refused(tmp_path, headers):
    assert client(book(tmp_path)).get("/", headers=headers).status_code == 403


def test_on_another_address_a_token_is_needed(tmp_path):
    votes = book(tmp_path)
    asker = TestClient(rating_app(votes, token="right"), base_url="http://elsewhere:80")
    assert [asker.get("/").status_code, asker.get("/?token=wrong").status_code] == [403, 403]
    assert asker.get("/?token=right").status_code == 200
    assert asker.post("/name", data={"annotator": "x"}, headers={"Origin": "http://evil"}).status_code == 403
    assert asker.get("/").status_code == 200  # the cookie has it now


def test_a_huge_form_is_refused(tmp_path):
    assert client(book(tmp_path)).post("/vote", data={"comment": "x" * 100_000}).status_code == 413


def test_nothing_is_fetched_from_elsewhere(tmp_path):
    answer = client(book(tmp_path)).get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "//" not in answer.text.replace("<!--", "")


@contextmanager
def served(votes: VoteBook):
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(rating_app(votes), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"{HERE}:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not there")
def test_in_a_browser_two_people_vote_by_keyboard(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    votes = book(tmp_path)
    with served(votes) as url, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages = []
        for name in ("ann", "bo"):
            page = browser.new_context(viewport={"width": 390, "height": 800}).new_page()
            page.goto(url)
            page.keyboard.type(name)
            page.keyboard.press("Enter")
            page.wait_for_selector(".votes")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            pages.append(page)
        for _ in range(3):
            for page in pages:
                page.keyboard.press("c")
                page.keyboard.type("a 5 in a comment is no vote")
                page.keyboard.press("Escape")
                with page.expect_navigation():
                    page.keyboard.press("1")
        with pages[0].expect_navigation():
            pages[0].keyboard.press("u")
        browser.close()
    kept = votes.votes()
    assert kept["annotator"].value_counts().to_dict() == {"ann": 2, "bo": 3}
    assert set(zip(kept["choice"], kept["strength"], strict=True)) == {("left", 4)}
    assert set(kept["comment"]) == {"a 5 in a comment is no vote"}
