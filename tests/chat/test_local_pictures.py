"""A picture on its way through the whole product: attached in a chat, seen by a local model added in the admin."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from lxml import html

from tests.faults.talk import Talk, rows
from tests.faults.test_processes import wait_for
from tests.hosts.seeing import picture, seeing_models
from tests.serving import Served

pytestmark = pytest.mark.timeout(480)

MODELS = "/admin/providers/languagemodel/"
PAGE = MODELS + "local/"


def test_a_local_model_sees_what_was_attached(tmp_path: Path) -> None:
    folder = seeing_models(tmp_path / "models", "llava")["llava"]
    served = Served(tmp_path / "data", local_models=True)
    try:
        served.start(within=120)
        with browser_of(served) as browser:
            assert browser.get(served.link).status_code == 200  # the owner, by the link that the server prints
            wait_for(lambda: "The states are not known" not in browser.get(PAGE).text, within=90)
            added = browser.post(PAGE, data={"action": "add", "model": folder, **form(browser, PAGE)})
            assert "Added llava." in added.text
            keep_short(browser)
            digests = [
                browser.post(
                    "/blobs/",
                    files={"file": (f"{colour}.png", picture(colour), "image/png")},
                    headers={"X-CSRFToken": form(browser, "/")["csrfmiddlewaretoken"]},
                ).json()["digest"]
                for colour in ("red", "blue")
            ]
            key = browser.cookies["sessionid"]
        with Talk(served, key) as talk:
            for blobs in (digests[:1], digests[:1], digests[1:], []):
                talk.ask("What is this?", model="llava", blobs=blobs)
                settled = talk.until("settled", within=240)
                assert settled["state"] == "done", rows(served, "SELECT * FROM router_run")
        red, again, blue, none = rows(served, "SELECT text, tokens_input FROM router_run ORDER BY id")
        assert red == again and len({red[0], blue[0], none[0]}) == 3
        # As many tokens as the picture has parts, and its place in the prompt.
        assert red[1] == blue[1] > none[1] + 10
    finally:
        served.end()


def browser_of(served: Served) -> httpx.Client:
    home = served.link.partition("/sign-in/")[0]
    return httpx.Client(base_url=home, follow_redirects=True, timeout=120, headers={"origin": home})


def keep_short(browser: httpx.Client) -> None:
    """It knows no end: 24 tokens, drawn with one seed, tell as much as a whole window of them."""
    pages = re.findall(r"/admin/providers/languagemodel/\d+/change/", browser.get(MODELS + "?q=llava").text)
    (page,) = set(pages)
    (change,) = html.fromstring(browser.get(page).text).xpath("//form[@id='languagemodel_form']")
    values: dict[str, list[str]] = {}
    for name, value in change.form_values():
        values.setdefault(name, []).append(value)
    browser.post(
        page, data={**values, "parameters": '{"max_tokens": 24, "temperature": 1.5, "seed": 7}'}
    ).raise_for_status()
    assert "max_tokens" in browser.get(page).text


def form(browser: httpx.Client, page: str) -> dict[str, str]:
    text = browser.get(page).text
    found = re.search(r'csrfmiddlewaretoken" value="(\w+)"', text) or re.search(r"csrf\w*\W+(\w{64})", text)
    assert found, text[:500]
    return {"csrfmiddlewaretoken": found[1]}
