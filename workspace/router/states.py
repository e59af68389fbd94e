"""The states of a run and the legal moves between them: one table, one place."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED}),
    # Back into the queue when the router decides that a background route answers.
    RunState.RUNNING: frozenset(
        {RunState.DONE, RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED, RunState.QUEUED}
    ),
    RunState.INTERRUPTED: frozenset({RunState.RUNNING}),
    RunState.DONE: frozenset(),
    RunState.STOPPED: frozenset(),
    RunState.FAILED: frozenset(),
}

LIVE = frozenset({RunState.QUEUED, RunState.RUNNING})
SETTLED = frozenset({RunState.DONE, RunState.STOPPED, RunState.FAILED})


def may_move(old: RunState | str, new: RunState | str) -> bool:
    return RunState(new) in MOVES[RunState(old)]


def sources_of(new: RunState | str) -> list[str]:
    """The states from which a run may move to ``new``: for a conditional UPDATE that can't race."""
    return [old.value for old, targets in MOVES.items() if RunState(new) in targets]
