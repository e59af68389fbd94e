"""Every name that crosses the websocket, once in Python. ``static/js/wire.js`` is its twin; a test compares them.

Frames are JSON objects with ``type``. Frames about a run carry ``run`` and ``seq``: numbers rise by one
within a run, so a returning client says the last it saw and gets exactly what is missing.
"""

from __future__ import annotations

from enum import StrEnum


class Ask(StrEnum):
    """What a browser may send. Fields in brackets may be missing or null.

    open      chat, [seen {run: seq}]      follow this chat; missed frames of its live runs come first
    send      client_id, [chat], [parent], text, [blobs [digest]], [model], [documents bool],
              [collections [id]] (of those that may be read; all without it), [web bool],
              [reasoning bool], [persona number], [variables {name: text}]     a question; no chat begins
              one; ``parent`` is the message it follows,
              null for a root: an edit is a send with the parent of the edited question
    compare   as send, without model, with lanes [{[model], [temperature], [top_p], [max_tokens], [system],
              [configuration number], [persona number], [parent]}], [blind bool]     one question, an
              answer in each of 2 to 8 lanes
    fuse      client_id, chat, comparison, lanes [message], [model], [instruction]    one answer made of several
    lane      client_id, chat, comparison, and what a lane of compare has, or [again message]     one lane more, or
              one that failed asked again in its place
    retry     client_id, chat, message, [model]     a sibling of this answer
    continue  chat, message                          go on with an interrupted answer
    stop      chat, message
    suggest   id number, text              how may this draft go on; the next one replaces it
    """

    OPEN = "open"
    SEND = "send"
    COMPARE = "compare"
    FUSE = "fuse"
    LANE = "lane"
    RETRY = "retry"
    CONTINUE = "continue"
    STOP = "stop"
    SUGGEST = "suggest"


class Tell(StrEnum):
    """What the server sends.

    opened    chat, live [message], newest, may_write   the subscription holds; these answers are being written
    access    chat, may_read, may_write, cause, action  what the person may do there has changed; without
              may_read nothing of this chat is told any more
    started   chat, client_id, run, answer, title, url, question {id, text, author, images [url]} | null,
              parent, sibling_of | null, model (chosen name or ""), closed, tail (of a continued answer)
    compared  chat, client_id, question, title, url, parent, html    a comparison began: its question and its board
    voted     chat, comparison             the board has changed: a vote, or who wrote what
    step      run, seq, text               what the run waits for
    evidence  run, seq, html               the margin cards
    decision  run, seq, model, mark, reason, mode
    failing   run, seq, text               one attempt failed; the next begins
    reasoning run, seq, text
    delta     run, seq, text               goes after the open tail
    block     run, seq, html, tail         closed blocks to append, and the whole new open tail
    settled   chat, run, answer, state, html    the answer as the page would render it: replaces the <li>
    suggestion  id, text                   so far; of the newest ``suggest`` alone
    changed   chat                         its versions, flags or names have changed: draw the thread again
    moved     chat, tip                    the person stands elsewhere, by another of their tabs
    landed    chat, answer, title, url, state    an answer written in the background is there
    refused   [client_id], code, cause, action  nothing was stored; the composer keeps the text
    """

    OPENED = "opened"
    ACCESS = "access"
    STARTED = "started"
    COMPARED = "compared"
    VOTED = "voted"
    STEP = "step"
    EVIDENCE = "evidence"
    DECISION = "decision"
    FAILING = "failing"
    REASONING = "reasoning"
    DELTA = "delta"
    BLOCK = "block"
    SETTLED = "settled"
    SUGGESTION = "suggestion"
    CHANGED = "changed"
    MOVED = "moved"
    LANDED = "landed"
    REFUSED = "refused"


class RunEventKind(StrEnum):
    """What a run's journal holds."""

    STEP = "step"
    EVIDENCE = "evidence"
    DECISION = "decision"
    FAILING = "failing"
    REASONING = "reasoning"
    DELTA = "delta"


MAX_FRAME = 2_000_000  # bytes; larger ones are refused unread
MAX_DRAFT = 1_000  # the last characters of a draft that a suggestion follows
MAX_COLLECTIONS = 100  # that a question may name
LANE_LETTERS = "ABCDEFGH"
MAX_LANES = len(LANE_LETTERS)  # of a comparison
MAX_SYSTEM = 20_000  # characters of an instruction that a lane is given
MAX_VARIABLES = 20  # of a persona
MAX_VALUE = 2_000  # characters of a variable's value
MAX_TEXT = 400_000  # characters of one question
