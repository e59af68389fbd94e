"""The citations of one answer while it streams: only numbers that were issued with its passages come through.

Models write them in several ways (``[1]``, ``[1, 2]``, ``[1-3]``, ``[^1]``, ``[passage 1]``, ``【1†source】``), and
some providers tell them beside the text. All become ``[1]``; what points at nothing that was given is taken out and
counted. Code is left as it is: ``row[7]`` in a fence is no citation, and neither is ``[7](address)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workspace.types import Evidence

_NAMED = r"(?:(?:passages?|sources?|numbers?|documents?|refs?|citations?)\s+)?"
_NUMBERS = r"\^?[1-9]\d{0,2}(?:\s*[,;–-]\s*\^?[1-9]\d{0,2})*"
_WHOLE = re.compile(rf"\[{_NAMED}({_NUMBERS})\]|【{_NAMED}({_NUMBERS})(?:†[^】\n]{{0,80}})?】", re.IGNORECASE)
_BEGUN = re.compile(r"\[(?:[a-z]{1,9}\s*)?\^?(?:[1-9][\d\s,;^–-]*\]?)?|【[^】\n]{0,90}", re.IGNORECASE)
_SIGN = re.compile(r"\[|【|``*|~~*|\n *\n")  # each begins with a letter of its own: re looks for those alone
_RANGE = re.compile(r"(\d+)\s*[–-]\s*\^?(\d+)|(\d+)")
MOST_OF_A_RANGE = 20


class Citations:
    """Feed it an answer's text with ``take``; ``rest`` gives what is still held back at the end.

    ``so_far`` is what the answer holds already: whoever goes on with it may stand in the middle of code. With
    ``active`` false everything passes: nothing was searched, so a number in brackets is the writer's own.
    """

    def __init__(self, passages: Sequence[Evidence] = (), *, active: bool = True, so_far: str = "") -> None:
        self.dropped = 0
        self._passages = tuple(passages)
        self._issued = frozenset(passage.number for passage in passages)
        self._active = active
        self._held = ""
        self._fence = ""  # the run of signs that closes the code we are in
        self._last = so_far[-1:]
        self._told: set[int] = set()  # beside the text, since its last word
        if active and so_far:
            self._written(so_far)

    def take(self, text: str) -> str:
        """What may be shown now; the end waits while it could still become a citation."""
        if not self._active:
            return text
        self._held += text
        out: list[str] = []
        while self._held and self._step(out):
            pass
        return self._shown(out)

    def rest(self) -> str:
        """The text is over: what was held back, as it stands."""
        out: list[str] = []
        while self._held and self._step(out, over=True):
            pass
        return self._shown(out)

    def cite(self, *, number: int = 0, url: str = "", title: str = "") -> str:
        """What a provider says beside its text: ``[1]`` for a passage that was given, by number, address or name."""
        if not self._active:
            return ""
        found = number if number in self._issued else self._named(url, title)
        if not found:
            self.dropped += 1
            return ""
        before = self.rest()
        if found in self._told and not before:
            return ""  # several of its sentences, told one by one
        words = before.rstrip(" ")
        spaces = before[len(words) :]
        last = words[-1:] or ("x" if spaces else self._last)
        gap = "" if not last or last.isspace() or last == "]" else " "
        self._told.add(found)
        self._last = spaces[-1:] or "]"
        return f"{words}{gap}[{found}]{spaces}"

    def _named(self, url: str, title: str) -> int:
        for passage in self._passages:
            if (url and passage.url == url) or (title and not url and passage.title == title):
                return passage.number
        return 0

    def _shown(self, out: list[str]) -> str:
        text = "".join(out)
        if text:
            self._last = text[-1]
            self._told.clear()
        return text

    def _step(self, out: list[str], *, over: bool = False) -> bool:
        """Move the beginning of what is held to ``out``; False when it has to wait for more."""
        found = _SIGN.search(self._held)
        if found is None:
            inline = 0 < len(self._fence) < 3  # which a blank line ends
            self._move(out, len(self._held) if over else len(self._held.rstrip(" \n" if inline else " ")))
            return False
        sign, at = found[0], found.start()
        start = len(self._held[:at].rstrip(" ")) if sign in "[【" else at
        if start:
            return self._move(out, start)
        if sign in "[【":
            return self._bracket(out, at, over)
        if found.end() == len(self._held) and sign[0] in "`~" and not over:
            return False  # the run may go on
        self._code(sign)
        return self._move(out, found.end())

    def _bracket(self, out: list[str], at: int, over: bool) -> bool:
        """``at`` is where the bracket stands, behind the spaces that go with it when it is taken out."""
        whole = None if self._fence else _WHOLE.match(self._held, at)
        if whole is None:
            begun = None if self._fence else _BEGUN.fullmatch(self._held, at)
            if begun and not over:
                return False
            return self._move(out, at + 1)
        if whole.end() == len(self._held) and not over:
            return False  # an address may follow
        if self._held[whole.end() : whole.end() + 1] == "(":
            return self._move(out, whole.end())
        numbers = _numbers(whole[1] or whole[2])
        kept = [number for number in numbers if number in self._issued]
        self.dropped += len(numbers) - len(kept)
        if kept:
            out.append(f"{self._held[:at]}[{', '.join(map(str, kept))}]")
        self._held = self._held[whole.end() :]
        return True

    def _move(self, out: list[str], count: int) -> bool:
        out.append(self._held[:count])
        self._held = self._held[count:]
        return True

    def _code(self, sign: str) -> None:
        if not self._fence:
            self._fence = sign if sign[0] == "`" or sign.startswith("~~~") else ""
        elif sign[0] == self._fence[0] and (len(sign) == len(self._fence) or len(sign) >= len(self._fence) >= 3):
            self._fence = ""
        elif sign[0] == "\n" and len(self._fence) < 3:
            self._fence = ""  # inline code ends with its paragraph

    def _written(self, text: str) -> None:
        for found in _SIGN.finditer(text):
            if found[0] not in "[【":
                self._code(found[0])


def without(text: str) -> str:
    """A text less its citations: in another prompt the numbers mean other passages."""
    stripping = Citations()
    return stripping.take(text) + stripping.rest()


def _numbers(text: str) -> list[int]:
    """``1, 3-5`` as 1, 3, 4, 5; a range that is no range counts as its ends."""
    found: list[int] = []
    for first, last, single in _RANGE.findall(text):
        if single:
            found.append(int(single))
        elif 0 <= int(last) - int(first) <= MOST_OF_A_RANGE:
            found += range(int(first), int(last) + 1)
        else:
            found += [int(first), int(last)]
    return list(dict.fromkeys(found))
