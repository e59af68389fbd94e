"""The text of a file, by its format. Pure: bytes in, Markdown-like text out. Runs in the child process alone.

What can't be read is ``Unreadable``, with the cause and what to do next in words for the person.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import PurePath

from retrieval.parsing import packed
from retrieval.parsing.pages import article, page
from retrieval.parsing.parsed import Parsed, Unreadable, clean
from retrieval.parsing.pictures import is_picture, picture, scanned
from retrieval.parsing.plain import comma_separated, plain

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # how old Office files begin, and new ones that are encrypted
MOST_TEXT = 20_000_000  # characters of one document

Reader = Callable[[bytes], Parsed]
PACKED: dict[str, Reader] = {
    ".docx": packed.docx,
    ".pptx": packed.pptx,
    ".xlsx": packed.xlsx,
    ".epub": packed.epub,
}
LOOSE: dict[str, Reader] = {
    ".html": page,
    ".htm": page,
    ".xhtml": page,
    ".webpage": article,
    ".csv": comma_separated,
    ".tsv": comma_separated,
    ".eml": packed.letter,
}


def parse(data: bytes, name: str) -> Parsed:
    """The text of a file. Its beginning tells its format, and its name where text looks like text."""
    if not data.strip():
        raise Unreadable("The file is empty.", "Look whether it was saved, and add it again.")
    parsed = _reader_of(data, PurePath(name).suffix.lower())(data)
    text = clean(parsed.text)
    if not text.strip():
        raise Unreadable(
            "There is no text in the file; it may hold pictures of pages.",
            "Have tesseract-ocr installed on the server and read it again, or add a file with its text.",
        )
    if len(text) > MOST_TEXT:
        raise Unreadable(f"The file holds over {MOST_TEXT // 1_000_000} million characters.", "Split it into parts.")
    return Parsed(text, " ".join(clean(parsed.title).split()), parsed.pages)


def _reader_of(data: bytes, suffix: str) -> Reader:
    if data.startswith(b"%PDF"):
        return _pdf
    if data.startswith(OLE):
        raise Unreadable(
            "The file is locked with a password, or of the formats before 2007.",
            "Save it without a password as .docx, .xlsx, .pptx or PDF, and add that.",
        )
    if is_picture(data):
        return picture
    if data.startswith(b"PK\x03\x04"):
        if suffix not in PACKED:
            raise Unreadable(f"Files of the type {suffix or 'zip'} are not read.", "Save it as PDF, and add that.")
        return PACKED[suffix]
    if suffix == ".pdf" or suffix in PACKED:
        raise Unreadable(f"The name ends in {suffix}, but the file is none.", "Save it again as what it is.")
    return LOOSE.get(suffix, plain)


def _pdf(data: bytes) -> Parsed:
    from pypdf import PdfReader

    with packed.damaged("PDF"):
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("The PDF is locked with a password.", "Save it without one, and add it again.")
        pages = [one.extract_text().strip() or scanned(one) for one in reader.pages]
        return Parsed.of_pages(pages, str((reader.metadata and reader.metadata.title) or ""))
