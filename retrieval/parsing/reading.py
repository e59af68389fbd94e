"""Reads a file in a process of its own, under limits: a hostile or huge file costs a document, never the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from django.conf import settings

from retrieval.parsing.parsed import Parsed, Unreadable

PATIENCE = 120.0  # seconds


def read(data: bytes, name: str) -> Parsed:
    """The text of a file. Raises Unreadable."""
    command = [sys.executable, "-m", "retrieval.parsing.child", name]
    few = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TESSDATA_PREFIX") if key in os.environ}
    few["OCR_LANGUAGES"] = settings.OCR_LANGUAGES
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=PATIENCE, cwd=settings.BASE_DIR, env=few
        )
    except subprocess.TimeoutExpired:
        raise Unreadable("The file took too long to read.", "Split it, or save it as plain text.") from None
    if done.returncode:
        raise Unreadable("The file unfolds to more than can be read.", "Split it, or save it as plain text.")
    told = json.loads(done.stdout)
    if "cause" in told:
        raise Unreadable(told["cause"], told["action"])
    return Parsed(told["text"], told["title"], tuple(told["pages"]))
