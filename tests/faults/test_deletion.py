"""A deleted document is gone from the disk: found by reading every file, in a server of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import ROOT, Served
from tests.upstream import Upstream
from tests.websites import HERE, Web

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="PostgreSQL's files are its own"),
]

SECRET = b"The cormorant keeps the seventeenth key under the heather."


def holders(folder: Path) -> list[str]:
    """The files that hold a telling part of the text."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and b"seventeenth key under" in path.read_bytes():
            found.append(str(path.relative_to(folder)))
    return sorted(found)


def until(what: str, ready: object, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < ends, what
        time.sleep(0.1)  # the worker is another thread of another process


@pytest.mark.parametrize(
    ("local_models", "state"),
    [(False, "searchable by words"), pytest.param(True, "ready", marks=[pytest.mark.soak, pytest.mark.timeout(400)])],
    ids=["words", "words and vectors"],
)
def test_no_byte_of_a_deleted_document_is_left_on_the_disk(tmp_path: Path, local_models: bool, state: str) -> None:
    """With vectors, none is left either: the index and the rows, which are gone, agree."""
    with Upstream() as upstream:
        served = Served(tmp_path, local_models=local_models)
        [key] = served.people(1, upstream.url)
        served.start()
        try:
            with httpx.Client(base_url=served.url, cookies={"sessionid": key}, follow_redirects=True) as browser:
                page = browser.get("/documents/")
                token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
                assert token
                form = {"csrfmiddlewaretoken": token[1]}
                headers = {"Origin": served.url}
                added = browser.post(
                    "/documents/add/", data=form, files={"files": ("keys.md", SECRET)}, headers=headers
                )
                assert added.status_code == 200
                until("read", lambda: state in _row(browser.get("/documents/").text), 200)
                assert holders(tmp_path), "it is on the disk, or this test sees nothing"
                link = re.search(r'href="(/documents/[\w-]{36}/)">keys', browser.get("/documents/").text)
                assert link
                browser.post(f"{link[1]}delete/", data=form, headers=headers)
                assert "keys" not in _row(browser.get("/documents/").text)
                until(f"left in {holders(tmp_path)}", lambda: not holders(tmp_path))
                if local_models:
                    until("vectors are left", lambda: _agrees(served), 60)
        finally:
            served.end()
    assert holders(tmp_path) == []


def test_nor_is_one_of_a_file_of_a_chat_a_page_or_a_file_that_another_took_the_place_of(tmp_path: Path) -> None:
    with Upstream() as upstream, Web() as web:
        web.pages["/keys"] = f"<title>Page of keys</title><p>{SECRET.decode()}</p>"
        served = Served(tmp_path, FETCH_PRIVATE_HOSTS=HERE)
        [key] = served.people(1, upstream.url)
        served.start()
        try:
            with httpx.Client(base_url=served.url, cookies={"sessionid": key}, follow_redirects=True) as browser:
                token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/documents/").text)
                assert token
                form, headers = {"csrfmiddlewaretoken": token[1]}, {"Origin": served.url}

                def listed() -> list[str]:
                    """The addresses of its documents that can be searched."""
                    rows = re.findall(r"<tr>.*?</tr>", browser.get("/documents/").text, re.DOTALL)
                    ready = [row for row in rows if "searchable by words" in row and re.search("[Kk]eys", row)]
                    return [re.findall(r'href="(/documents/[\w-]{36}/)"', row)[0] for row in ready]

                def post(address: str, **more: Any) -> None:
                    answer = browser.post(address, data=form | more.pop("data", {}), headers=headers, **more)
                    assert answer.status_code == 200, answer.text

                post("/documents/attach/", files={"file": ("attached keys.md", SECRET)})
                post("/documents/add/", data={"url": f"{web.url}/keys"})
                post("/documents/add/", files={"files": ("keys.md", SECRET)})
                until("read", lambda: len(listed()) == 3)
                assert len(holders(tmp_path / "documents")) == 2, "the page's, and one of two that are the same"
                post("/documents/add/", files={"files": ("keys.md", b"Nothing to see here.")})
                web.pages["/keys"] = "<title>Page of keys</title><p>Nothing here.</p>"
                post("/documents/add/", data={"url": f"{web.url}/keys"})
                until("read anew", lambda: len(listed()) == 3 and len(holders(tmp_path / "documents")) == 1)
                for address in listed():
                    post(f"{address}delete/")
                until(f"left in {holders(tmp_path)}", lambda: not holders(tmp_path))
        finally:
            served.end()
    assert holders(tmp_path) == []


def _agrees(served: Served) -> bool:
    command = [sys.executable, "manage.py", "verify_index"]
    return subprocess.run(command, cwd=ROOT, env=served.environment, capture_output=True, check=False).returncode == 0


def _row(page: str) -> str:
    found = re.search(r"<tr><td><a[^>]*>keys.*?</tr>", page, re.DOTALL)
    return found[0] if found else ""
