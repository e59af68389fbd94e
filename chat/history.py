"""A chat's tree as a map: the order of its rows, the lines between them, and what is folded so that it stays readable.

The line that a person stands on keeps its column; what leaves it is set in, before it goes on. A chat's shape is read
without a word of it; texts are loaded for the rows that are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chat import tree
from chat.compare.masks import mask, names_in
from chat.models import Branch, Chat, Checkpoint, Lane, Message, Vote
from chat.steps import beginning, shortened
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.models import Run
from workspace.router.states import LIVE

LONG = 3  # a straight run of more is folded
FEW = 4  # versions of one message beside the path; of more, only the newest are shown
SMALL = 60  # a chat of so many messages shows its branches open
DEEPEST = 8  # columns; what leaves more often is drawn at the last
WINDOW = 80  # rows sent at once


@dataclass(frozen=True, slots=True)
class Rail:
    """A line that passes a row in a column; on the path or beside it."""

    column: int
    on_path: bool


@dataclass
class Row:
    """One row: a message (``count`` 1), a folded branch by its tip, or a folded run or versions (``fold``), which
    ``opens`` by the message it begins with."""

    id: UUID
    column: int
    kind: str = "message"  # "branch", "run", "versions"
    opens: UUID | None = None
    start: UUID | None = None  # where its branch begins, on the row that shows it
    count: int = 1
    branches: int = 0
    rails: tuple[Rail, ...] = ()
    leaves: int | None = None  # the column that it leaves
    up: bool = False
    down: bool = False
    on_path: bool = False
    here: bool = False
    versions: str = ""
    # What is loaded for the rows that are shown
    message: Message | None = None
    branch: Branch | None = None
    flags: list[Checkpoint] = field(default_factory=list)
    made_by: str = ""  # by its manifest, where no version of a model here made it
    lane: str = ""
    best: bool = False
    held: bool = False  # a blind lane among those that still write: its beginning would tell who is quick
    origin: Message | None = None

    @property
    def is_question(self) -> bool:
        return self.message is not None and self.message.role == Message.Role.PERSON

    @property
    def text(self) -> str:
        if self.message is None:
            return ""
        if self.held:
            return "being written"
        text = beginning(self.message) or (shortened(self.message.run.text) if self.message.run else "")
        withheld = self.message.run is not None and self.message.run.withheld
        return mask(text, names_in(catalog.load_sync()), "") if withheld else text

    @property
    def model(self) -> str:
        run = self.message.run if self.message else None
        if run is None or run.withheld:
            return "withheld"
        version = run.model_version
        return (version.model.name if version else self.made_by) or "no model"

    @property
    def mark(self) -> int | None:
        run = self.message.run if self.message else None
        version = run.model_version if run and not run.withheld else None
        return version.model.mark if version else None

    @property
    def is_fold(self) -> bool:
        return self.kind in ("run", "versions")


@dataclass
class Map:
    """All rows, and what the page says about them."""

    rows: list[Row]
    messages: int
    branches: int
    pruned: list[Branch]
    width: int  # columns
    here: int  # the row where the person stands

    @property
    def first(self) -> int:
        """The first row of the window around the person."""
        return max(0, min(self.here - WINDOW // 2, len(self.rows) - WINDOW))


def the_map(chat: Chat, person: Person, *, opened: Collection[UUID] = (), pruned: bool = False, by: str = "") -> Map:
    """``opened`` are folds to show whole; ``pruned`` shows what was pruned; ``by`` is ``branches`` or ``mine``, a list
    of tips in place of the tree."""
    shape = _Shape.of(chat, person, pruned=pruned)
    if by:
        rows = list(_tips(shape, person if by == "mine" else None))
    else:
        rows = list(_Drawing(shape, set(opened)).rows())
    here = next((number for number, row in enumerate(rows) if row.here), 0)
    width = 1 + max((row.column for row in rows), default=0)
    return Map(rows, shape.count, shape.branches, shape.pruned, width, here)


def load(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows with what they show: a few queries, however many."""
    ids = [row.id for row in rows]
    related = ("author", "run__model_version__model", "origin__chat")
    heavy = ("run__reasoning", "run__evidence", "run__failure", "run__manifest", "origin__parts")
    messages = {m.pk: m for m in Message.objects.filter(pk__in=ids).select_related(*related).defer(*heavy)}
    unknown = [m.run_id for m in messages.values() if m.run and not m.run.model_version_id]
    made = dict(Run.objects.filter(pk__in=unknown).values_list("pk", "manifest"))
    starts = [row.start for row in rows if row.start]
    branches = {one.start_id: one for one in Branch.objects.filter(start__in=starts)}
    lanes = {lane.answer_id: lane for lane in Lane.objects.filter(answer__in=ids).select_related("comparison")}
    best = set(Vote.objects.filter(lane__in=lanes.values()).values_list("lane__answer", flat=True))
    blind = {lane.comparison_id for lane in lanes.values() if lane.comparison.is_withheld}
    writing = Lane.objects.filter(comparison__in=blind, answer__run__state__in=LIVE)
    held = set(writing.values_list("comparison", flat=True)) if blind else set()
    flags = flags_of(ids)
    for row in rows:
        row.message, row.flags = messages.get(row.id), flags.get(row.id, [])
        row.branch = branches.get(row.start) if row.start else None
        if row.message and row.message.run_id:
            row.made_by = str((made.get(row.message.run_id) or {}).get("model") or "")
        row.origin = row.message.origin if row.message else None
        if lane := lanes.get(row.id):
            row.lane, row.best = lane.letter, row.id in best and not lane.comparison.is_withheld
            row.held = lane.comparison_id in held
    return rows


def flags_of(messages: Sequence[UUID]) -> dict[UUID, list[Checkpoint]]:
    """The checkpoints that stand on these messages."""
    found: dict[UUID, list[Checkpoint]] = defaultdict(list)
    for one in Checkpoint.objects.filter(message__in=messages, removed=False).order_by("created"):
        found[one.message_id].append(one)
    return found


class _Shape:
    """Ids, parents and who asked: all of the chat, and not a word of it."""

    def __init__(self, rows: Sequence[tuple[Any, ...]], branches: Sequence[Branch], *, pruned: bool) -> None:
        self.said = {one.start_id: one for one in branches}
        self.pruned = [one for one in branches if one.pruned]
        self.shows_pruned = pruned
        self.children: dict[UUID | None, list[UUID]] = defaultdict(list)
        self.parent: dict[UUID, UUID | None] = {}
        self.asked: dict[UUID, UUID | None] = {}
        self.flagged: set[UUID] = set()
        self.path: set[UUID] = set()
        self.tip: UUID | None = None
        for id, parent, author in rows:
            self.parent[id], self.asked[id] = parent, author
            self.children[parent].append(id)

    @classmethod
    def of(cls, chat: Chat, person: Person, *, pruned: bool) -> _Shape:
        tip = tree.place_of(chat, person)  # before the rows: what somebody says meanwhile stands among them
        rows = Message.objects.filter(chat=chat).order_by("depth", "pk").values_list("pk", "parent_id", "author_id")
        shape = cls(list(rows), list(Branch.objects.filter(chat=chat).order_by("pk")), pruned=pruned)
        shape.tip = tip.pk if tip else None
        at = shape.tip
        while at is not None:
            shape.path.add(at)
            at = shape.parent[at]
        flags = Checkpoint.objects.filter(chat=chat, removed=False)
        shape.flagged = set(flags.values_list("message", flat=True))
        shape.measure()
        return shape

    def measure(self) -> None:
        """Sizes and tips of all that is seen, children before parents."""
        self.family = {parent: [id for id in ids if self.seen(id)] for parent, ids in self.children.items()}
        self.size: dict[UUID, int] = {}
        self.ends: dict[UUID, int] = {}
        self.end: dict[UUID, UUID] = {}
        for id in reversed(self.parent):
            below = self.family.get(id, [])
            self.size[id] = 1 + sum(self.size[one] for one in below)
            self.ends[id] = sum(self.ends[one] for one in below) or 1
            self.end[id] = self.end[self.main(below)] if below else id
        self.open: set[UUID] = set()  # nothing above them is pruned
        for id, parent in self.parent.items():
            if self.seen(id) and (parent is None or parent in self.open):
                self.open.add(id)
        roots = self.family.get(None, [])
        self.count = sum(self.size[one] for one in roots)
        self.branches = sum(self.ends[one] for one in roots)

    def seen(self, id: UUID) -> bool:
        said = self.said.get(id)
        return self.shows_pruned or not (said and said.pruned) or id in self.path

    def main(self, family: Sequence[UUID]) -> UUID:
        """The one that the line goes on with: where the person stands, else the newest."""
        return next((one for one in family if one in self.path), family[-1])

    def marked(self, id: UUID) -> bool:
        said = self.said.get(id)
        return id in self.flagged or bool(said and (said.name or said.starred or said.pruned))


class _Drawing:
    """The rows of the tree, from its top."""

    def __init__(self, shape: _Shape, opened: set[UUID]) -> None:
        self._shape = shape
        self._opened = opened
        self._folds = shape.count > SMALL

    def rows(self) -> Iterator[Row]:
        waiting: list[Row] = []
        self._push(waiting, None, 0, ())
        while waiting:
            row = waiting.pop()
            if row.kind != "message":
                yield row
                continue
            yield from self._line(row, waiting)

    def _line(self, row: Row, waiting: list[Row]) -> Iterator[Row]:
        """A message and what follows it in its column, up to where something leaves."""
        shape, plain = self._shape, []
        while True:
            below = shape.family.get(row.id, [])
            row.down = bool(below)
            if self._is_plain(row, below):
                plain.append(row)
                row = self._row(below[0], row.column, row.rails)
                continue
            yield from self._run(plain)
            yield row
            self._push(waiting, row.id, row.column, row.rails)
            return

    def _is_plain(self, row: Row, below: Sequence[UUID]) -> bool:
        if len(below) != 1 or row.versions or row.here or row.leaves is not None:
            return False
        return row.up and not self._shape.marked(row.id)

    def _run(self, plain: list[Row]) -> Iterator[Row]:
        if len(plain) <= LONG or plain[0].id in self._opened:
            yield from plain
            return
        first = plain[0]
        yield Row(first.id, first.column, "run", first.id, count=len(plain), rails=first.rails, up=True, down=True,
                  on_path=first.on_path)  # fmt: skip

    def _push(self, waiting: list[Row], parent: UUID | None, column: int, rails: tuple[Rail, ...]) -> None:
        """What follows a message, on a pile: its line at the bottom, what leaves it above."""
        family = self._shape.family.get(parent, [])
        if not family:
            return
        main = self._shape.main(family)
        waiting.append(self._row(main, column, rails, up=parent is not None))
        beside = [one for one in family if one != main]
        rail = (Rail(column, main in self._shape.path),) if parent is not None else ()
        shown = [one for one in beside if self._is_shown(one, beside, parent)]
        for one in reversed(shown):
            waiting.append(self._beside(one, column, rails + rail, forks=parent is not None))
        if hidden := [one for one in beside if one not in set(shown)]:
            fold = Row(hidden[0], self._set_in(column), "versions", parent or beside[0], count=len(hidden))
            fold.rails, fold.leaves = rails + rail, column if parent is not None else None
            waiting.append(fold)

    def _is_shown(self, id: UUID, beside: Sequence[UUID], parent: UUID | None) -> bool:
        if len(beside) <= FEW or (parent or beside[0]) in self._opened:
            return True
        return id in beside[1 - FEW :] or self._shape.marked(id)

    def _beside(self, id: UUID, column: int, rails: tuple[Rail, ...], *, forks: bool) -> Row:
        row = self._row(id, self._set_in(column), rails, up=False)
        row.leaves = column if forks else None
        if id in self._opened:
            row.opens = id
        if self._folds and self._shape.size[id] > 1 and id not in self._opened:
            row.kind, row.opens = "branch", id
            row.id, row.count, row.branches = self._shape.end[id], self._shape.size[id], self._shape.ends[id]
        return row

    def _row(self, id: UUID, column: int, rails: tuple[Rail, ...], *, up: bool = True) -> Row:
        shape = self._shape
        family = shape.family[shape.parent[id]]
        row = Row(id, column, rails=rails, up=up, on_path=id in shape.path, here=id == shape.tip)
        if len(family) > 1:
            row.versions, row.start = f"{family.index(id) + 1}/{len(family)}", id
        elif id in shape.said or shape.parent[id] is None:
            row.start = id
        return row

    def _set_in(self, column: int) -> int:
        return min(column + 1, DEEPEST)


def _tips(shape: _Shape, mine: Person | None) -> Iterator[Row]:
    """A row for each branch, by its tip: starred ones first, then the newest."""
    ends = [id for id in shape.parent if shape.end[id] == id and id in shape.open]
    rows = []
    for id in ends:
        start, count = _start(shape, id)
        if mine and shape.asked.get(start) != mine.pk and shape.asked.get(shape.parent[start] or start) != mine.pk:
            continue
        row = Row(id, 0, "branch", start=start, count=count, on_path=id in shape.path, here=id == shape.tip)
        rows.append(row)
    starred = {id for id, one in shape.said.items() if one.starred}
    yield from sorted(rows, key=lambda row: (row.start in starred, row.id), reverse=True)


def _start(shape: _Shape, id: UUID) -> tuple[UUID, int]:
    """Where the branch of a tip begins, and how many messages it has of its own."""
    count = 1
    while (parent := shape.parent[id]) is not None and len(shape.family[parent]) < 2:
        id, count = parent, count + 1
    return id, count


def brought(chat: Chat, rows: Sequence[Row]) -> list[tuple[int, int, int, int]]:
    """Dashed lines from what was copied within the chat to its copy: from row and column to row and column."""
    places = {row.id: (number, row.column) for number, row in enumerate(rows)}
    pairs = Message.objects.filter(chat=chat, origin__chat=chat).values_list("origin_id", "pk", "parent__origin_id")
    return [
        (*places[origin], *places[copy])
        for origin, copy, above in pairs
        if above is None and origin in places and copy in places
    ]
