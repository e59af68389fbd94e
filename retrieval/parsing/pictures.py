"""Text in pictures, where Tesseract is installed: pictures as files, and scanned pages of a PDF. Runs in the child.

Nothing here is needed: without the program a picture is refused with what to install.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import warnings
from typing import Any

from retrieval.parsing.parsed import Parsed, Unreadable

PATIENCE = 60.0  # seconds for one picture
MOST_PIXELS = 80_000_000
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")


def is_picture(data: bytes) -> bool:
    return data.startswith(BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def picture(data: bytes) -> Parsed:
    """The words in a picture."""
    if not engine():
        raise Unreadable(
            "This is a picture, and no program that reads text in pictures is installed.",
            "Have tesseract-ocr installed on the server, then read it again.",
        )
    text = recognised(data)
    if not text:
        raise Unreadable("No text was recognised in the picture.", "Add a sharper or larger one.")
    return Parsed(text)


def recognised(data: bytes) -> str:
    """What Tesseract reads; nothing where it reads nothing. Raises Unreadable for what is no sound picture."""
    languages = os.environ.get("OCR_LANGUAGES") or "eng"
    try:
        done = subprocess.run(
            [engine(), "stdin", "stdout", "-l", languages], input=_as_png(data), capture_output=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Unreadable("The picture took too long to read.", "Make it smaller, and add it again.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unreadable(f"The picture was not read: {said[-1] if said else 'no reason given'}"[:200], "Look at "
                         "OCR_LANGUAGES and at what tesseract has installed.")  # fmt: skip
    return done.stdout.decode("utf-8", "replace").replace("\f", "\n").strip()


def engine() -> str:
    return shutil.which("tesseract") or ""


def scanned(page: Any) -> str:
    """The words of a PDF's page that is a picture; nothing where it can't be read."""
    if not engine():
        return ""
    told = []
    try:
        for one in page.images:
            told.append(recognised(one.data))
    except (Unreadable, ValueError, KeyError, NotImplementedError, OSError):
        pass  # a picture in a form nobody reads is no reason to refuse the pages that are text
    return "\n\n".join(filter(None, told))


def _as_png(data: bytes) -> bytes:
    """Every format as the one that each Tesseract reads, upright; a picture that unfolds to gigabytes is refused."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    out = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                ImageOps.exif_transpose(image).convert("L").save(out, "PNG")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("The picture unfolds to more than can be read.", "Make it smaller.") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise Unreadable(f"The picture is damaged: {error}"[:200], "Save it again, and add it once more.") from None
    return out.getvalue()
