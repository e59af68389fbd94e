"""Text in whatever encoding it was saved, and tables of it. Runs in the child alone."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import Any

from retrieval.parsing.parsed import MOST_ROWS, Parsed, Unreadable, records

LATIN = 0.7  # share of ASCII from which old text is Western: what guesses an encoding needs more foreign signs
_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16


def plain(data: bytes) -> Parsed:
    return Parsed(decoded(data))


def comma_separated(data: bytes) -> Parsed:
    text = decoded(data)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:10_000], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    csv.field_size_limit(10_000_000)
    try:
        rows = [row for _, row in zip(range(MOST_ROWS + 1), csv.reader(io.StringIO(text), dialect), strict=False)]
    except csv.Error as error:
        raise Unreadable(f"The table can't be read: {error}.", "Save it again as CSV.") from None
    if len(rows) > MOST_ROWS:
        raise Unreadable(f"The table has over {MOST_ROWS:,} rows.", "Split it into parts.")
    return Parsed(records(rows))


def decoded(data: bytes, named: str = "") -> str:
    """Text in UTF-8, in the encoding that it ``named`` itself, or in whatever it most probably is. Raises Unreadable
    for what is no text."""
    if not data.startswith(_MARKS):
        if b"\x00" in data[:100_000]:
            raise _no_text()
        for encoding in ("utf-8-sig", named):
            with contextlib.suppress(UnicodeDecodeError, LookupError):
                return data.decode(encoding)
        if sum(byte < 128 for byte in data) > LATIN * len(data):
            return data.decode("cp1252", "replace")
    from charset_normalizer import from_bytes

    best = from_bytes(data[:1_000_000]).best()
    if best is None:
        raise _no_text()
    return data.decode(best.encoding, "replace").lstrip("\ufeff")


def _no_text() -> Unreadable:
    return Unreadable("The file is not text.", "Save it as PDF, and add that.")
