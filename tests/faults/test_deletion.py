"""A deleted document is gone from the disk: found by reading every file, in a server of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.serving import ROOT, Served
from tests.upstream import Upstream

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


def _agrees(served: Served) -> bool:
    command = [sys.executable, "manage.py", "verify_index"]
    return subprocess.run(command, cwd=ROOT, env=served.environment, capture_output=True, check=False).returncode == 0


def _row(page: str) -> str:
    found = re.search(r"<tr><td><a[^>]*>keys.*?</tr>", page, re.DOTALL)
    return found[0] if found else ""
