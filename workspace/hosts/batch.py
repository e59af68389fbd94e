"""One loaded model and the answers it writes, all of them a token at a time (continuous batching).

A new answer joins between two tokens of the others; its prompt is read in parts, so that a long one stalls nobody.
Chats take turns for free places. The prompt of a chat's next question begins with what was read before, and is read
from there. It runs in the engine's thread alone, and knows no socket and no budget.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from workspace.hosts import seeing
from workspace.hosts.columns import Alone, Columns, Past, forward
from workspace.hosts.jobs import End, Failed, Job, Piece, Ran, Step
from workspace.hosts.loading import Loaded, lower, to_cpu
from workspace.hosts.sampling import choose
from workspace.hosts.shortage import is_out_of_memory
from workspace.hosts.sizes import PART, PREFIXES, rows_for
from workspace.hosts.threads import Threads

Tell = Callable[[Job, Piece], None]

PLACES = {"cpu": 16, "cuda": 128}  # answers at once
KEPT = 8  # prompts of finished answers that are kept to begin from
SOON = 5.0  # seconds that need no explanation
SHORTEST = 64  # tokens under which a context is not cut
OUT = "out of memory: nothing is left to give up"


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read of an answer that ended: its tokens as they are compared, and how far its positions are shifted."""

    tokens: list[int]
    past: Past
    shift: int


class Batch:
    """``tokens`` is how many the cache of all answers together may hold, ``most`` how many answers are written at once,
    ``room`` tells how many bytes are left on the CPU. ``short`` says that for want of memory another model was loaded
    than was meant."""

    def __init__(
        self,
        loaded: Loaded,
        tell: Tell,
        *,
        tokens: int,
        most: int | None = None,
        room: Callable[[], int] = lambda: sys.maxsize,
        short: bool = False,
    ) -> None:
        self.loaded = loaded
        self.tokens = tokens
        self.waiting: list[Job] = []
        self.rows: list[Job] = []
        self._tell = tell
        self._room = room
        self._short = short
        self._threads = Threads(useful=loaded.kind == "cpu")
        self._columns: Columns | Alone = Columns(loaded.layers)
        self._reading: tuple[Job, Columns | Alone] | None = None
        self._kept: list[Kept] = []
        self._next: list[int] = []  # the last chosen token of each row, not yet read
        self._places = self._most = 1 if loaded.serial else most or PLACES[loaded.kind]

    @property
    def busy(self) -> bool:
        return bool(self.rows or self.waiting or self._reading)

    @property
    def threads(self) -> int:
        return self._threads.count

    def round(self) -> None:
        """Read a part of what waits, then one token for everybody."""
        try:
            self._forget_gone()
            self._read()
            self._say_who_waits()
            if self.rows:
                self._write()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            del error
            self._out_of_memory()
        if self.loaded.broken:
            self.fail(OUT, 507)
        if not self.busy:  # a crowd is over
            self._places = self._most
            self._columns = Columns(self.loaded.layers)

    def fail(self, message: str, status: int = 500) -> None:
        """Everybody here gets this answer."""
        for job in self._everybody():
            self._tell(job, Failed(status, message))
        self.waiting, self.rows, self._next, self._reading = [], [], [], None
        self._columns = Columns(self.loaded.layers)

    def forget_prefixes(self) -> None:
        self._kept.clear()

    def _everybody(self) -> list[Job]:
        return [*self.rows, *([self._reading[0]] if self._reading else []), *self.waiting]

    def _forget_gone(self) -> None:
        self.waiting = [job for job in self.waiting if not job.gone.is_set()]
        if self._reading and self._reading[0].gone.is_set():
            self._reading = None
        for row in reversed(range(len(self.rows))):
            if self.rows[row].gone.is_set():
                self._leave(row)

    def _read(self) -> None:
        """Prompts, up to a part's tokens of them."""
        left = PART[self.loaded.kind]
        while left > 0:
            if self._reading is None and not self._begin():
                return
            assert self._reading is not None
            job, columns = self._reading
            tokens = job.tokens
            read = columns.lengths[0]
            seen = None
            if job.pictures and read < job.looking:  # their tokens are read in one go, with all before and behind
                part, seen = tokens, seeing.given(self.loaded.model, job.pictures, len(job.prompt), len(tokens))
            else:
                part = tokens[read : read + left]
            scores = forward(self.loaded.model, columns, [part], seen)
            left -= len(part)
            if read + len(part) == len(tokens):
                self._join(job, columns, scores)

    def _begin(self) -> bool:
        """Take the next answer, if it has a place."""
        job = self._whose_turn()
        if job is None:
            return False
        if self.loaded.serial:
            self._reading = (job, Alone(self.loaded.model))
            self.waiting.remove(job)
            return True
        columns = Columns(self.loaded.layers)
        known, kept = self._known(job)
        if kept is not None:
            columns.join(kept.past, known, kept.shift)
            job.cached = max(job.cached, known)
        else:
            columns.start()
        self._reading = (job, columns)
        self.waiting.remove(job)
        return True

    def _whose_turn(self) -> Job | None:
        """The chat with the fewest answers running goes first, then who came first."""
        if not self.waiting or len(self.rows) >= self._places:
            return None
        running = [row.chat for row in self.rows]
        job = min(self.waiting, key=lambda job: running.count(job.chat))
        if not self.rows:
            return job
        most = max(job.claim, *(row.claim for row in self.rows))
        return job if rows_for(len(self.rows) + 1) * most <= self.tokens else None

    def _say_who_waits(self) -> None:
        """Once, to each answer that finds no place or whose turn takes its time: a stream that says nothing is given
        up."""
        full, late = self._whose_turn() is None, time.monotonic() - SOON
        if self._reading and self._reading[0].came < late:
            self._say_why(self._reading[0], f"Reading {len(self._reading[0].tokens)} tokens")
        before = len(self.rows) + (self._reading is not None)
        for number, job in enumerate(self.waiting, before):
            if full or job.came < late:
                self._say_why(job, f"Waiting for {number} answer{'s' if number > 1 else ''} before it")

    def _say_why(self, job: Job, words: str) -> None:
        if not job.waits and not job.written:
            job.waits = True
            self._tell(job, Step(words))

    def _join(self, job: Job, past: Columns | Alone, scores: torch.Tensor) -> None:
        """It has a row before anything is told: what fails here begins again, and no answer is lost."""
        if job.generator is None or job.generator.device.type != scores.device.type:  # it begins again after a move
            job.generator = job.sampling.generator(scores.device)
        token = self._choose(job, scores[0])
        if token is None:
            self._reading = None
            return
        if isinstance(past, Alone) or isinstance(self._columns, Alone):
            self._columns = past
        else:
            self._columns.most = max(job.claim, *(row.claim for row in self.rows), 0)
            self._columns.join(past.view(0), past.lengths[0], past.shifts[0])
        self._reading = None
        self.rows.append(job)
        self._next.append(token)
        self._say_what_writes(job)
        if not self._say(job, token):
            self._keep(job, self._columns, len(self.rows) - 1)
            self._leave(len(self.rows) - 1)

    def _write(self) -> None:
        """One token for each row."""
        self._threads.began(len(self.rows))
        scores = forward(self.loaded.model, self._columns, [[token] for token in self._next])
        self._threads.ended()
        best = scores.argmax(-1).tolist()
        for row in reversed(range(len(self.rows))):
            job = self.rows[row]
            token = best[row] if job.sampling.is_greedy else self._choose(job, scores[row])
            if token is None:
                self._leave(row)
                continue
            self._next[row] = token
            if not self._say(job, token):
                self._keep(job, self._columns, row)
                self._leave(row)

    def _choose(self, job: Job, scores: torch.Tensor) -> int | None:
        """``None`` after a failure of this answer alone, such as parameters that no number can be drawn with."""
        try:
            return choose(scores, job.sampling, written=job.written, prompt=job.prompt, generator=job.generator)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self._tell(job, Failed(500, f"{type(error).__name__}: {error}"))
            return None

    def _say(self, job: Job, token: int) -> bool:
        """Tell what is new; whether the answer goes on."""
        pieces = job.take(token)
        for piece in pieces:
            self._tell(job, piece)
        return not (pieces and isinstance(pieces[-1], End))

    def _say_what_writes(self, job: Job) -> None:
        """Once, and again where short memory has changed it in the middle of the answer."""
        ran = Ran(
            precision=self.loaded.precision,
            device=self.loaded.device,
            context=job.context,
            short=self._short or job.context is not None,
        )
        if ran != job.ran:
            job.ran = ran
            self._tell(job, ran)

    def _leave(self, row: int) -> None:
        if isinstance(self._columns, Columns):
            self._columns.leave(row)
        self.rows[row], self._next[row] = self.rows[-1], self._next[-1]
        self.rows.pop()
        self._next.pop()

    def _keep(self, job: Job, columns: Columns | Alone, row: int) -> None:
        """The last token was chosen and not read."""
        if isinstance(columns, Alone):
            return
        try:
            past = columns.past(row)
        except (RuntimeError, MemoryError) as error:  # the answer has ended well, and what is kept helps only the next
            if not is_out_of_memory(error):
                raise
            self.forget_prefixes()
            return
        tokens = job.known_as[: past[0][0].shape[2]]
        self._kept = [kept for kept in self._kept if kept.tokens != tokens[: len(kept.tokens)]]
        self._kept.append(Kept(tokens, past, columns.shifts[row]))
        room = max(0, self.tokens // PREFIXES)
        while len(self._kept) > KEPT or (self._kept and sum(len(kept.tokens) for kept in self._kept) > room):
            self._kept.pop(0)

    def _known(self, job: Job) -> tuple[int, Kept | None]:
        """How much of it was read before; the last token is read again, for its scores. Pictures are known together or
        not at all."""
        found: tuple[int, Kept | None] = (0, None)
        tokens = job.known_as
        for kept in self._kept:
            same = min(_common(kept.tokens, tokens), len(tokens) - 1)
            if same > found[0]:
                found = (same, kept)
        return found if found[0] >= max(16, job.looking) else (0, None)

    def _out_of_memory(self) -> None:
        """Everybody goes back to wait, and the next rung of the ladder is taken."""
        concerned = [*self.rows, *([self._reading[0]] if self._reading else [])]
        self.waiting = concerned + [job for job in self.waiting if job not in concerned]
        self.rows, self._next, self._reading = [], [], None
        self._columns = Columns(self.loaded.layers)
        self.forget_prefixes()
        gc.collect()
        if self.loaded.kind == "cuda":
            torch.cuda.empty_cache()
        concerned = concerned or self.waiting[:1]
        said = self._next_rung(concerned)
        for job in concerned:
            self._tell(job, Step(f"Out of memory: {said}") if said else Failed(507, OUT))
            if not said:
                self.waiting.remove(job)

    def _next_rung(self, concerned: list[Job]) -> str:
        """What was given up, in words; empty when nothing is left, and the router's own fallback goes on. A rung may
        itself want for memory: then the next is tried."""
        for rung in (self._smaller_batch, self._lower_precision, self._shorter_context, self._without_gpu):
            try:
                if said := rung(concerned):
                    return said
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
        return ""

    def _smaller_batch(self, concerned: list[Job]) -> str:
        if self._places == 1 or len(concerned) < 2:
            return ""
        self._places = max(1, len(concerned) // 2)
        return f"{self._places} answer{'s' if self._places > 1 else ''} at a time instead of {len(concerned)}"

    def _lower_precision(self, concerned: list[Job]) -> str:
        precision = lower(self.loaded)
        self._short = self._short or bool(precision)
        return f"the model goes on in {precision}" if precision else ""

    def _shorter_context(self, concerned: list[Job]) -> str:
        can = [job for job in concerned if not job.pictures]  # half of a picture is none
        longest = max((len(job.prompt) for job in can), default=0)
        if longest <= SHORTEST:
            return ""
        size = max(SHORTEST, longest // 2)
        for job in can:
            if len(job.prompt) > size:
                job.shorten(size)
        return f"only the first words and the last {size} tokens of the conversation are read"

    def _without_gpu(self, concerned: list[Job]) -> str:
        if self.loaded.kind == "cpu" or self.loaded.bytes > self._room():
            return ""
        to_cpu(self.loaded)
        self._short = True
        self._threads = Threads(useful=True)
        self._places = self._most = min(self._most, PLACES["cpu"])
        return "the model goes on without the GPU"


def _common(a: list[int], b: list[int]) -> int:
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))
