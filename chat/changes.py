"""What changed between two messages, or between two branches by their tips: words, evidence, what made them, figures.

Of branches, what both have is left out: from where they part, one message is held against the other in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from django.db.models import Q

from chat import diff, tree
from chat.diff import Difference, Piece
from chat.models import Chat, Message
from chat.thread import Shown
from workspace.router.states import LIVE
from workspace.templatetags.onepane import dollars

MOST = 60  # messages of each branch that are held against each other


@dataclass(frozen=True)
class Pair:
    """One message and its counterpart; of a branch that is longer, there is none."""

    old: Shown | None
    new: Shown | None
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Line:
    """A row of “why it changed”."""

    name: str
    old: str
    new: str

    @property
    def changed(self) -> bool:
        return self.old != self.new


@dataclass(frozen=True)
class Changes:
    """``old`` and ``new`` are the two messages, or the tips of the two branches; ``shared`` counts what branches have
    in common."""

    old: Shown
    new: Shown
    pairs: Sequence[Pair]
    why: Sequence[Line]
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
    pairs = [_pair(a, b) for a, b in zip_longest(*shown)]
    left, right = ([_manifest(one.message) for one in each if not one.is_question] for each in shown)
    passages = diff.evidence(_passages(left), _passages(right))
    left_out = sum(max(0, len(each) - MOST) for each in own)
    ends = Shown(old), Shown(new)
    return Changes(*ends, pairs, _sums(left, right), passages, branches=True, shared=shared, left_out=left_out)


def withheld(*messages: Message) -> bool:
    """Whether a blind comparison keeps who wrote one of these."""
    above = Q(pk__in=[one.pk for one in messages])
    return Message.objects.filter(above, run__withheld=True).exists()


def _pair(old: Shown | None, new: Shown | None) -> Pair:
    return Pair(old, new, diff.words(old.text if old else "", new.text if new else ""))


def _loaded(chat: Chat, ids: Sequence[Any]) -> list[Message]:
    rows = Message.objects.filter(chat=chat, pk__in=ids).exclude(run__withheld=True)
    return list(tree.with_runs(rows).order_by("depth"))


def _manifest(message: Message) -> dict[str, Any]:
    return (message.run.manifest if message.run else None) or {}


def _passages(manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [passage for one in manifests for passage in one.get("evidence", [])]


# What stands in the table whether or not it differs; anything else only where it does.
_ALWAYS = ("model", "chosen by", "prompt template", "temperature")


def _why(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Line]:
    """What made both, then what it took."""
    if not old and not new:
        return []
    left, right = diff.made(old), diff.made(new)
    names = list(dict.fromkeys([*_ALWAYS, *left, *right]))
    lines = [Line(name, left.get(name, ""), right.get(name, "")) for name in names]
    numbers = [Line("evidence", _numbers(old), _numbers(new))]
    figures = [_figure(one) for one in diff.figures(old, new)]
    kept = [one for one in lines if (one.name in _ALWAYS and (one.old or one.new)) or one.changed]
    return kept + [one for one in numbers if one.old or one.new] + figures


def _figure(one: Difference) -> Line:
    """“cost, $” and 0.0081 as “cost” and $0.0081."""
    name, _, unit = one.name.partition(", ")
    shapes: dict[str, Callable[[str], str]] = {"$": dollars, "s": "{} s".format, "": str}
    old, new = (value if value == "unknown" else shapes[unit](value) for value in (one.old, one.new))
    return Line(name, old, new)


def _numbers(manifest: Mapping[str, Any]) -> str:
    return " ".join(str(passage["number"]) for passage in manifest.get("evidence", []))


def _sums(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What the answers of both branches took together, and who wrote them."""
    return [
        Line("answers", str(len(old)), str(len(new))),
        Line("models", _models(old), _models(new)),
        *(_figure(one) for one in diff.sums(old, new)),
    ]


def _models(manifests: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(one["model"]) for one in manifests if one.get("model")))
