"""A picture on its way through the whole product: attached in a chat, seen by a local model added in the admin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.faults.talk import Talk, rows
from tests.hosts.seeing import picture, seeing_models
from tests.serving import ROOT, Served

pytestmark = pytest.mark.timeout(180)

OWNER = """
import django; django.setup()
from workspace.accounts.models import Person, Role
Person.objects.filter(role=Role.OWNER).delete()
Person.objects.filter(username="person0").update(role=Role.OWNER)
"""
PAGE = "/admin/providers/languagemodel/local/"


def test_a_local_model_sees_what_was_attached(tmp_path: Path) -> None:
    folder = seeing_models(tmp_path / "models", "llava")["llava"]
    served = Served(tmp_path / "data", local_models=True)
    [key] = served.people(1, "http://127.0.0.1:9/v1")
    made = subprocess.run([sys.executable, "-c", OWNER], cwd=ROOT, env=served.environment, check=False)
    assert made.returncode == 0
    try:
        served.start()
        with browser_of(served, key) as browser:
            added = browser.post(PAGE, data={"action": "add", "model": folder, **form(browser, PAGE)})
            assert "Added llava." in added.text
            digests = [
                browser.post(
                    "/blobs/",
                    files={"file": (f"{colour}.png", picture(colour), "image/png")},
                    headers={"X-CSRFToken": form(browser, "/")["csrfmiddlewaretoken"]},
                ).json()["digest"]
                for colour in ("red", "blue")
            ]
        with Talk(served, key) as talk:
            for blobs in (digests[:1], digests[1:], []):
                talk.ask("What is this?", model="llava", blobs=blobs)
                assert talk.until("settled", within=120)["state"] == "done"
        red, blue, none = rows(served, "SELECT text, tokens_input FROM router_run ORDER BY id")
        assert len({red[0], blue[0], none[0]}) == 3
        # As many tokens as the picture has parts, and its place in the prompt.
        assert red[1] == blue[1] > none[1] + 10
    finally:
        served.end()


def browser_of(served: Served, key: str) -> httpx.Client:
    return httpx.Client(base_url=served.url, cookies={"sessionid": key}, follow_redirects=True, timeout=120,
                        headers={"origin": served.url})  # fmt: skip


def form(browser: httpx.Client, page: str) -> dict[str, str]:
    text = browser.get(page).text
    found = re.search(r'csrfmiddlewaretoken" value="(\w+)"', text) or re.search(r"csrf\w*\W+(\w{64})", text)
    assert found, text[:500]
    return {"csrfmiddlewaretoken": found[1]}
