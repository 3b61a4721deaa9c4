"""A visitor who waits for others sees their place in the queue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Semaphore

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from genre_app.ui import api
from genre_app.ui.classify import answers
from genre_app.ui.service import CONCURRENT
from tests.browser.classify import answered, card, fresh
from tests.chromium import drop
from tests.soak.requests import Visitor

pytestmark = pytest.mark.browser


def test_a_clip_that_waits_shows_its_place(shared, address, song, monkeypatch):
    page, free, answer = fresh(shared), Event(), answers.answer

    def answer_later(*given, **options):
        assert free.wait(60)
        return answer(*given, **options)

    monkeypatch.setattr(answers, "answer", answer_later)
    with Visitor(address, "default") as visitor, ThreadPoolExecutor(CONCURRENT + 1) as pool:
        try:
            others = [pool.submit(visitor.drop, Path(song)) for _ in range(CONCURRENT + 1)]
            page.wait_for_timeout(500)
            drop(page, song)
            expect(card(page)).to_contain_text("Your clip is number 2 of 2 that wait for an answer.")
            expect(page.locator("#queue-clips")).to_be_hidden()
        finally:
            free.set()
        answered(page)
        assert len(wait(others, timeout=60).done) == len(others)
    # A clip that need not wait is not announced.
    fresh(page)
    page.evaluate("""() => {
        window.cards = [];
        const look = () => cards.push(document.querySelector("#final-vote").textContent);
        new MutationObserver(look).observe(document.querySelector("#final-vote"), { subtree: true, childList: true });
    }""")
    drop(page, song)
    page.wait_for_function("cards.some((text) => text.includes('Classifying'))")
    answered(page)
    assert not any("number" in text for text in page.evaluate("cards"))


def test_a_batch_that_waits_shows_its_place(shared, address, song, monkeypatch):
    page, begun, free, classify_file = shared, Semaphore(0), Event(), api.classify_file

    def classify_later(*given):
        begun.release()
        assert free.wait(60)
        return classify_file(*given)

    monkeypatch.setattr(api, "classify_file", classify_later)
    page.get_by_role("tab", name="Batch").click()
    with ThreadPoolExecutor(2) as pool:
        try:
            for client in [Client(address, verbose=False, ssl_verify=False) for _ in range(2)]:
                pool.submit(client.predict, [handle_file(song)], "default", "mean", api_name="/classify_batch")
            assert begun.acquire(timeout=60)
            assert begun.acquire(timeout=60)
            page.locator("#songs input[type=file]").set_input_files(song)
            expect(page.locator("#progress")).to_have_text("Your batch is number 1 of 1 that wait for a place.")
        finally:
            free.set()
        expect(page.locator("#progress")).to_contain_text("1 of 1 done")
