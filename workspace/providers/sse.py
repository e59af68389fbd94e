"""Server-sent events out of bytes (WHATWG HTML, 9.2), a piece at a time.

Lines end with CR LF, LF or CR and nothing else: a U+2028 inside a JSON string is text. A field called ``error``
is kept, as some servers send their failure in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(rb"\r\n|\n|\r")


@dataclass(slots=True)
class Decoder:
    """Feed it bytes as they come; it yields (event name, data) for each whole event."""

    _rest: bytes = b""

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        seen = max(0, len(self._rest) - 4)  # no blank line ends before it, but one may begin there
        if self._rest:
            piece = self._rest + piece
        start = 0
        for blank in _BLANK.finditer(piece, seen):
            if blank.end() == len(piece) and piece.endswith(b"\r"):
                break  # its line feed may still come
            yield from self._event(piece[start : blank.start()])
            start = blank.end()
        self._rest = piece[start:]

    def end(self) -> Iterator[tuple[str, bytes]]:
        """What is left when the connection closed in order: the last event may lack its blank line."""
        rest, self._rest = self._rest, b""
        yield from self._event(rest)

    def _event(self, block: bytes) -> Iterator[tuple[str, bytes]]:
        if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
            yield "", block[6:]  # nearly every event of nearly every provider
            return
        if block.lstrip().startswith((b"{", b"[")):
            yield "error", block.strip()  # no event at all: some servers append a bare object when they fail
            return
        name, data = "", []
        for line in _LINE.split(block):
            key, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if key == b"data":
                data.append(value)
            elif key == b"event":
                name = value.decode("utf-8", "replace").strip()
            elif key == b"error":
                name, data = "error", [value]
        if data:
            yield name, b"\n".join(data)
