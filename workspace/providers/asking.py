"""One question to a provider: what is sent is said first, and a server that names what it won't take is asked once
more without it. It knows no protocol: what to change in a request is the protocol's own table.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from workspace.providers.base import Call, ProviderError, Said, Sent
from workspace.providers.exchange import Reader, exchange

Body = dict[str, Any]
# A request that was refused and the words of the refusal in; the request to make instead, if there is one, out.
Amend = Callable[[Body, str], Body | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request as its protocol has it. ``not_parameters`` are fields that hold the talk itself."""

    path: str
    body: Body
    headers: Mapping[str, str]
    reader: Callable[[], Reader]
    not_parameters: Collection[str] = ()
    amend: Amend = lambda body, words: None


async def ask(call: Call, question: Question) -> AsyncGenerator[Said, None]:
    """The answer. A refusal that can be amended is so once, and then stands."""
    try:
        async with aclosing(_attempt(call, question, question.body)) as pieces:
            async for said in pieces:
                yield said
        return
    except ProviderError as error:
        words = error.wire.message if error.wire and error.wire.message else error.failure.cause
        other = question.amend(question.body, words) if error.failure.code == "bad_request" else None
        if other is None:
            raise
    async with aclosing(_attempt(call, question, other)) as pieces:
        async for said in pieces:
            yield said


async def _attempt(call: Call, question: Question, body: Body) -> AsyncGenerator[Said, None]:
    yield Sent(parameters={name: value for name, value in body.items() if name not in question.not_parameters})
    answer = exchange(call, question.path, body, headers=question.headers, reader=question.reader())
    async with aclosing(answer) as pieces:
        async for said in pieces:
            yield said
