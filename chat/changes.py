"""What changed between two messages, or between two branches by their tips: words, evidence, what made them, figures.

Of branches, what both have is left out: from where they part, turns that ask the same are held against each other, and
others by their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from django.db.models import Q

from chat import diff, made, tree
from chat.diff import Difference, Piece
from chat.models import Chat, Message
from chat.thread import Shown
from workspace.router.states import LIVE
from workspace.templatetags.onepane import dollars

MOST = 60  # messages of each branch that are held against each other


@dataclass(frozen=True)
class Pair:
    """One message and its counterpart, if there is one; ``why`` is what makes two answers of branches differ."""

    old: Shown | None
    new: Shown | None
    pieces: Sequence[Piece]
    why: Sequence[Difference] = ()


@dataclass(frozen=True)
class Changes:
    """``old`` and ``new`` are the two messages, or the tips of the two branches; ``shared`` counts what branches have
    in common."""

    old: Shown
    new: Shown
    pairs: Sequence[Pair]
    why: Sequence[Difference]
    evidence: Sequence[Difference]
    branches: bool = False
    shared: int = 0
    left_out: int = 0
    added: int = field(init=False)
    removed: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "added", self._count("added"))
        object.__setattr__(self, "removed", self._count("removed"))

    def _count(self, kind: str) -> int:
        return sum(len(piece.text.split()) for pair in self.pairs for piece in pair.pieces if piece.kind == kind)

    @property
    def is_live(self) -> bool:
        return any(one.message.run and one.message.run.state in LIVE for one in (self.old, self.new))


def of_messages(old: Message, new: Message) -> Changes:
    left, right = Shown(old), Shown(new)
    made_old, made_new = _manifest(old), _manifest(new)
    passages = diff.evidence(made_old.get("evidence", []), made_new.get("evidence", []))
    return Changes(left, right, [_pair(left, right)], _why(made_old, made_new), passages)


def of_branches(chat: Chat, old: Message, new: Message) -> Changes:
    ids = [tree.ids_above(one)[::-1] for one in (old, new)]
    shared = next((n for n, (a, b) in enumerate(zip(*ids, strict=False)) if a != b), min(len(ids[0]), len(ids[1])))
    own = [each[shared:] for each in ids]
    shown = [[Shown(one) for one in _loaded(chat, each[:MOST])] for each in own]
    pairs = list(_aligned(*shown))
    left, right = ([_manifest(one.message) for one in each if not one.is_question] for each in shown)
    passages = diff.evidence(_passages(left), _passages(right))
    left_out = sum(max(0, len(each) - MOST) for each in own)
    ends = Shown(old), Shown(new)
    return Changes(*ends, pairs, _sums(left, right), passages, branches=True, shared=shared, left_out=left_out)


def withheld(*messages: Message) -> bool:
    """Whether a blind comparison keeps who wrote one of these."""
    above = Q(pk__in=[one.pk for one in messages])
    return Message.objects.filter(above, run__withheld=True).exists()


def _aligned(old: Sequence[Shown], new: Sequence[Shown]) -> Iterator[Pair]:
    turns = _turns(old), _turns(new)
    asked = [[turn[0].text if turn[0].is_question else "" for turn in each] for each in turns]
    nothing: list[Shown] = []
    for _, a, b, c, d in SequenceMatcher(None, asked[0], asked[1], autojunk=False).get_opcodes():
        for left, right in zip_longest(turns[0][a:b], turns[1][c:d], fillvalue=nothing):
            for one, other in zip_longest(left, right):
                yield replace(_pair(one, other), why=_unlike(one, other))


def _turns(shown: Sequence[Shown]) -> list[list[Shown]]:
    """A question with what stands under it; where branches part at an answer, that begins one."""
    turns: list[list[Shown]] = []
    for one in shown:
        if one.is_question or not turns:
            turns.append([])
        turns[-1].append(one)
    return turns


def _pair(old: Shown | None, new: Shown | None) -> Pair:
    return Pair(old, new, diff.words(old.text if old else "", new.text if new else ""))


def _unlike(old: Shown | None, new: Shown | None) -> list[Difference]:
    return made.differences(_manifest(old.message), _manifest(new.message)) if old and new else []


def _loaded(chat: Chat, ids: Sequence[Any]) -> list[Message]:
    rows = Message.objects.filter(chat=chat, pk__in=ids).exclude(run__withheld=True)
    return list(tree.with_runs(rows).order_by("depth"))


def _manifest(message: Message) -> dict[str, Any]:
    return (message.run.manifest if message.run else None) or {}


def _passages(manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [passage for one in manifests for passage in one.get("evidence", [])]


# What stands in the table whether or not it differs; anything else only where it does.
_ALWAYS = ("model", "chosen by", "prompt template", "temperature")


def _why(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What made both, then what it took."""
    if not old and not new:
        return []
    unlike = {one.name: one for one in made.differences(old, new) if one.name != "evidence"}
    always = [unlike.get(name) or Difference(name, *_both(name, old, new)) for name in _ALWAYS]
    rest = [one for name, one in unlike.items() if name not in _ALWAYS]
    numbers = Difference("evidence", _numbers(old), _numbers(new))
    figures = [_figure(one) for one in diff.figures(old, new)]
    return [one for one in (*always, *rest, numbers) if one.old or one.new] + figures


def _both(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    yield from (made.shown(name, made.facts(one).get(name, ())) for one in (old, new))


def _figure(one: Difference) -> Difference:
    """“cost, $” and 0.0081 as “cost” and $0.0081."""
    name, _, unit = one.name.partition(", ")
    shapes: dict[str, Callable[[str], str]] = {"$": dollars, "s": "{} s".format, "": str}
    old, new = (value if value == "unknown" else shapes[unit](value) for value in (one.old, one.new))
    return Difference(name, old, new)


def _numbers(manifest: Mapping[str, Any]) -> str:
    return " ".join(str(passage["number"]) for passage in manifest.get("evidence", []))


def _sums(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """What the answers of both branches took together, and who wrote them."""
    return [
        Difference("answers", str(len(old)), str(len(new))),
        Difference("models", _models(old), _models(new)),
        *(_figure(one) for one in diff.sums(old, new)),
    ]


def _models(manifests: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(one["model"]) for one in manifests if one.get("model")))
