"""A key never comes back in what a server says: it is masked in the bytes as they come in, before anything reads,
shortens, logs or stores them.

Found as it is, in any escapes of JSON, HTML or URLs, and in base64 at any offset. Shorter ones than ``SHORTEST`` are
words, as local servers take ("none", "lm-studio"), and are left alone: masking them would harm answers.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache

SHORTEST = 10
MASK = b"(key)"
_MARKED = re.compile(rb"\\[u/]|%|&").search  # one of these is in every escape there is
NAMED = {"&": b"&amp;", "<": b"&lt;", ">": b"&gt;", '"': b"&quot;", "'": b"&apos;"}


class Mask:
    def __init__(self, key: str) -> None:
        self._plain: tuple[bytes, ...] = ()
        self._any: re.Pattern[bytes] | None = None
        if len(key) >= SHORTEST:
            self._plain, self._any = _forms(key)

    def __call__(self, said: bytes) -> bytes:
        if self._any is None:
            return said
        for form in self._plain:
            if form in said:
                said = said.replace(form, MASK)
        # Escapes are rare and their pattern is slow: it is tried only where some stand.
        return self._any.sub(MASK, said) if _MARKED(said) else said

    def text(self, said: str) -> str:
        return self(said.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _forms(key: str) -> tuple[tuple[bytes, ...], re.Pattern[bytes]]:
    raw = key.encode()
    # Three bytes make four signs: what all offsets share is cut out of each, and it stands in both alphabets.
    inner = [
        base64.b64encode(b"\0" * shift + raw)[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6] for shift in range(3)
    ]
    other = [part.replace(b"+", b"-").replace(b"/", b"_") for part in inner]
    return tuple(dict.fromkeys([raw, *inner, *other])), re.compile(b"".join(map(_escaped, key)), re.I)


def _escaped(sign: str) -> bytes:
    """One sign of a key in every way it may be written."""
    number, utf8 = ord(sign), sign.encode()
    ways = [rb"\\*(?-i:%s)" % re.escape(utf8), rb"\\+u%04x" % number, rb"&#0*%d;" % number, rb"&#x0*%x;" % number]
    ways.append(b"".join(rb"%%(?:25)*%02x" % byte for byte in utf8))
    if sign in NAMED:
        ways.append(NAMED[sign])
    return b"(?:" + b"|".join(ways) + b")"
