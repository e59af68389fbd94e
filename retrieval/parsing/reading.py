"""Reads a file in a process of its own, under limits: a hostile or huge file costs a document, never the server."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from django.conf import settings

from retrieval.parsing.parsed import Parsed, Unreadable

PATIENCE = 120.0  # seconds
BROKE = 1  # what Python ends with after an error that nobody caught; a limit ends it by a signal

logger = logging.getLogger(__name__)


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
    if done.returncode == BROKE:
        logger.error("The reader of %s broke:\n%s", name, done.stderr.decode("utf-8", "replace")[-4_000:])
        raise Unreadable(
            "The reader of this format broke on the file; the server's log says how.", "Save it as PDF or plain text."
        )
    if done.returncode:
        raise Unreadable("The file unfolds to more than can be read.", "Split it, or save it as plain text.")
    told = json.loads(done.stdout)
    if "cause" in told:
        raise Unreadable(told["cause"], told["action"])
    return Parsed(told["text"], told["title"], tuple(told["pages"]))
