"""A file of chats as it was brought: one file, or an archive of several with what they show beside them.

It knows how programs call the files they export, and nothing of what is in them. ChatGPT's large exports are split
(``conversations-000.json`` and so on), and its pictures are called by their ids, with or without a name behind
(``file-2xY.dat``, ``file_00a-sanitized.png``).
"""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator

from chat.exchange.nodes import Unreadable

INSIDE = 4  # times the limit of a file: what may come out of one that is packed
HUGE = Unreadable("The file unfolds to more than can be read.", "Export fewer chats at a time.")
BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError, EOFError, ValueError,
)  # fmt: skip
LONGEST = 100  # characters of a file's name
_CHATS = re.compile(r"conversations[^/]*\.json")
_ID = re.compile(r"file[-_][A-Za-z0-9]+")
_OF_A_MAC = ("__MACOSX/", "._")  # what its own archiver adds


class Brought:
    """``data`` may be as long as ``most``, and ``INSIDE`` times that may come out of it in all. Raises Unreadable."""

    def __init__(self, data: bytes, most: int) -> None:
        if len(data) > most:
            raise Unreadable(f"The file is over {most // 1_000_000} MB.", "Export fewer chats at a time.")
        self._left = most * INSIDE
        self._alone, self._archive = data, _opened(data)
        self._names = _files(self._archive) if self._archive else []
        self._read: dict[str, bytes] = {}
        self._by_id: dict[str, str] = {}
        for name in self._names:
            if id := _ID.match(_base(name)):
                self._by_id.setdefault(id[0], name)

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Every file that may hold chats, with its name, one after the other: those that are called conversations, or
        where there is none all that could be."""
        if self._archive is None:
            yield "", self._alone
            return
        named = [name for name in self._names if _CHATS.fullmatch(_base(name))]
        for name in named or [name for name in self._names if name.endswith((".json", ".jsonl"))]:
            yield name, self._contents(name)

    def asset(self, id: str) -> bytes | None:
        """A file of the archive by the id that a chat points at it with, as an address or bare."""
        found = _ID.match(id.rsplit("/", 1)[-1])
        name = self._by_id.get(found[0]) if found else None
        if name is None:
            return None
        if name not in self._read:
            self._read[name] = self._contents(name)
        return self._read[name]

    def others(self, used: set[str]) -> list[str]:
        """The names of the files that are neither among ``used`` nor were asked for."""
        return [_base(name) for name in self._names if name not in used and name not in self._read]

    def _contents(self, name: str) -> bytes:
        assert self._archive is not None
        try:
            with self._archive.open(name) as inside:
                found = inside.read(self._left + 1)
        except BROKEN:
            raise _torn() from None
        self._left -= len(found)
        if self._left < 0:
            raise HUGE
        return found


def _opened(data: bytes) -> zipfile.ZipFile | None:
    if data[:4] != b"PK\x03\x04":
        return None
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except BROKEN:
        raise _torn() from None


def _torn() -> Unreadable:
    return Unreadable("The archive can't be opened.", "Download the export again.")


def _files(archive: zipfile.ZipFile) -> list[str]:
    names = [one.filename for one in archive.infolist() if not one.is_dir()]
    return [name for name in names if not name.startswith(_OF_A_MAC[0]) and not _base(name).startswith(_OF_A_MAC[1])]


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1][:LONGEST]
