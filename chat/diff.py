"""What two messages of a chat differ in: their words, what they read, what made them, and what they took.

Words are compared as Python's ``difflib`` does (Ratcliff and Obershelp, 1988): words, and the space between them. In
code and tables whole lines are: words of several lines among each other read as none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.rendering import line_by_line

MOST = 20_000  # words of both together; longer texts are compared line by line
ISLAND = 12  # characters that are the same between two changes, at most, to be told as changed
_Block = tuple[bool, int, int, int, int]  # the same, and where it lies in both
_Token = tuple[str, bool]  # a word, a space or a line; whether it stands in code or a table
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+\Z")


FIGURES: dict[str, tuple[str, ...]] = {
    "time to first token, s": ("timings", "first_token"),
    "in all, s": ("timings", "total"),
    "tokens in": ("usage", "input"),
    "tokens out": ("usage", "output"),
    "cost, $": ("cost",),
    "supported sentences": ("support", "supported"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: in both (``same``), in the second alone (``added``), in the first alone (``removed``); ``lined``
    in code or a table, where columns count."""

    kind: str
    text: str
    lined: bool = False

    @property
    def html(self) -> SafeString:
        element = {"same": "span", "added": "ins", "removed": "del"}[self.kind]
        if self.lined:
            return format_html('<{} class="lined">{}</{}>', element, self.text, element)
        return format_html("{}" if self.kind == "same" else f"<{element}>{{}}</{element}>", self.text)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that made the answers, where it is not the same for both."""

    name: str
    old: str
    new: str


def words(old: str, new: str) -> list[Piece]:
    """The pieces of both texts in order: ``same`` and ``removed`` are the old one, ``same`` and ``added`` the new."""
    whole = len(old.split()) + len(new.split()) > MOST
    left, right = (list(_tokens(text, whole)) for text in (old, new))
    pieces: list[Piece] = []
    for same, a, b, c, d in _blocks(left, right):
        if not same and _is_line(left[a:b]) and _is_line(right[c:d]):
            pieces += _within(left[a][0], right[c][0])
            continue
        kinds = [("same", left[a:b])] if same else [("removed", left[a:b]), ("added", right[c:d])]
        for kind, part in kinds:
            pieces += [Piece(kind, _text(run), lined) for lined, run in groupby(part, lambda token: token[1])]
    return pieces


def _tokens(text: str, whole: bool) -> Iterator[_Token]:
    """Words and spaces, in code and tables lines; of a ``whole`` that is long lines everywhere."""
    for lined, part in line_by_line(text):
        for found in (_LINES if lined or whole else _WORDS).findall(part):
            yield found, lined


def _within(old: str, new: str) -> list[Piece]:
    """One line of code that became another: its words."""
    left, right = ([(word, True) for word in _WORDS.findall(line)] for line in (old, new))
    pieces = []
    for same, a, b, c, d in _blocks(left, right):
        kinds = [("same", left[a:b])] if same else [("removed", left[a:b]), ("added", right[c:d])]
        pieces += [Piece(kind, _text(part), True) for kind, part in kinds if part]
    return pieces


def _is_line(tokens: Sequence[_Token]) -> bool:
    return len(tokens) == 1 and tokens[0][1]


def _text(tokens: Iterable[_Token]) -> str:
    return "".join(text for text, _ in tokens)


def _blocks(left: list[_Token], right: list[_Token]) -> list[_Block]:
    return _joined(left, right, SequenceMatcher(None, left, right, autojunk=False).get_opcodes())


def _joined(left: list[_Token], right: list[_Token], codes: Iterable[tuple[str, int, int, int, int]]) -> list[_Block]:
    """What is the same between two changes, and shorter than both, is read with less effort as part of one change
    (as diff-match-patch by Neil Fraser cleans up)."""
    blocks: list[_Block] = []
    for kind, a, b, c, d in codes:
        blocks.append((kind == "equal", a, b, c, d))
        while len(blocks) > 2 and not blocks[-1][0] and blocks[-2][0] and _is_island(left, right, *blocks[-3:]):
            first, last = blocks[-3], blocks[-1]
            blocks[-3:] = [(False, first[1], last[2], first[3], last[4])]
    return blocks


def _is_island(left: list[_Token], right: list[_Token], before: _Block, same: _Block, after: _Block) -> bool:
    size = len(_text(left[same[1] : same[2]]).strip())
    changes = [max(len(_text(left[a:b])), len(_text(right[c:d]))) for _, a, b, c, d in (before, after)]
    return size <= min(*changes, ISLAND)


def likeness(old: str, new: str) -> float:
    """How alike two texts are, 0 to 1, by the words they share in order."""
    return SequenceMatcher(None, old.split(), new.split(), autojunk=False).ratio()


def manifests(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Difference]:
    """What differs between two manifests, by the names on the page; what is measured is told by ``figures``."""
    left, right = dict(_flat(old or {})), dict(_flat(new or {}))
    names = [name for name in dict.fromkeys([*left, *right]) if left.get(name) != right.get(name)]
    return [Difference(name, left.get(name, "none"), right.get(name, "none")) for name in names]


def made(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What made an answer, by the names on the page."""
    return dict(_flat(manifest))


def sums(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """What the answers of two branches took together; a sum with an unknown in it is unknown."""
    told = []
    for name, path in FIGURES.items():
        left, right = ([_at(one, path) for one in each] for each in (old, new))
        if any(value is not None for value in [*left, *right]):
            told.append(Difference(name, _sum(left), _sum(right)))
    return told


def _sum(values: Sequence[Any]) -> str:
    known = [value if isinstance(value, int) else float(value) for value in values if value is not None]
    return "unknown" if len(known) < len(values) else _plain(sum(known))


def figures(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Difference]:
    """What both took, whether or not it differs: seconds, tokens, dollars."""
    told = []
    for name, path in FIGURES.items():
        left, right = _at(old or {}, path), _at(new or {}, path)
        if left is not None or right is not None:
            told.append(Difference(name, _plain(left), _plain(right)))
    return told


def evidence(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[Difference]:
    """Passages that only one of the two was given, by what they say."""
    left, right = ({each["digest"]: each for each in one} for one in (old, new))
    told = [Difference("passage", _passage(left[digest]), "not given") for digest in left if digest not in right]
    return told + [
        Difference("passage", "not given", _passage(right[digest])) for digest in right if digest not in left
    ]


# What names a thing, and not what came of it.
_MADE = (
    "model",
    "model_version",
    "provider",
    "provider_version",
    "upstream_model",
    "resolved_model",
    "prompt_template",
    "prompt_template_version",
    "system_digest",
    "seed",
    "finish_reason",
)


def _flat(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _MADE:
        if manifest.get(name) not in (None, ""):
            yield name.replace("_", " "), _plain(manifest[name])
    for name, value in (manifest.get("parameters") or {}).items():
        yield name.replace("_", " "), _plain(value)
    decision = manifest.get("decision") or {}
    for name in ("route", "chosen_by", "configuration"):
        if decision.get(name) not in (None, ""):
            yield {"chosen_by": "chosen by", "configuration": "router version"}.get(name, name), _plain(decision[name])


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = (value or {}).get(name)
    return value


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _passage(passage: Mapping[str, Any]) -> str:
    return f"{passage['title']}: {passage['text'][:160]}"
