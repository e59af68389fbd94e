"""What comes with the words of one conversation of another program: its pictures, and a count of what was left out."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from workspace.pictures import ImageRefused, picture_of
from workspace.types import sha256

_ADDRESS = re.compile(r"data:[\w/.+-]+;base64,")


class Luggage:
    """``asset`` gives the bytes of a file of the same archive by the id that a message points at it with."""

    def __init__(self, asset: Callable[[str], bytes | None]) -> None:
        self.asset = asset
        self.blobs: dict[str, Mapping[str, str]] = {}  # by digest, as our own format keeps them
        self.left_out: Counter[str] = Counter()

    def picture(self, data: bytes | None) -> Mapping[str, Any] | None:
        """The bytes as a part of a message, where they are a picture that can be shown."""
        try:
            found = picture_of(data or b"")
        except ImageRefused:
            return None
        assert data is not None
        digest = sha256(data)
        kept = {"digest": digest, "media_type": found.media_type, "data": base64.b64encode(data).decode()}
        self.blobs.setdefault(digest, kept)
        size = {"size": len(data), "width": found.width, "height": found.height}
        return {"kind": "image", "digest": digest, "media_type": found.media_type, **size}

    def inline(self, address: str) -> Mapping[str, Any] | None:
        """The same of a picture whose bytes are its address."""
        begins = _ADDRESS.match(address)
        try:
            return self.picture(base64.b64decode(address[begins.end() :], validate=True)) if begins else None
        except ValueError:
            return None
