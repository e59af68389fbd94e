"""Reads a file in a process of its own, under limits: a hostile or huge file costs a document, never the server."""

from __future__ import annotations

import json
import logging
import os

from django.conf import settings

from retrieval.parsing.parsed import Parsed, Unreadable
from workspace.hosts.errand import Broke, Busy, Errand, Failed, Slow

READING = Errand(module="retrieval.parsing.child", patience=120.0, places=8)

logger = logging.getLogger(__name__)


def read(data: bytes, name: str) -> Parsed:
    """The text of a file. Raises Unreadable."""
    env = {key: os.environ[key] for key in ("TESSDATA_PREFIX",) if key in os.environ}
    try:
        with READING.told(data, name, env={**env, "OCR_LANGUAGES": settings.OCR_LANGUAGES}) as out:
            told = json.load(out)
    except Busy:
        raise Unreadable("Too many files are being read just now.", "Try again in a few minutes.") from None
    except Slow:
        raise Unreadable("The file took too long to read.", "Split it, or save it as plain text.") from None
    except Broke as broke:
        logger.error("The reader of %s broke:\n%s", name, broke)
        raise Unreadable(
            "The reader of this format broke on the file; the server's log says how.", "Save it as PDF or plain text."
        ) from None
    except Failed:
        raise Unreadable("The file unfolds to more than can be read.", "Split it, or save it as plain text.") from None
    if "cause" in told:
        raise Unreadable(told["cause"], told["action"])
    return Parsed(told["text"], told["title"], tuple(told["pages"]))
