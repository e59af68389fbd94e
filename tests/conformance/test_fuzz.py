"""Recorded answers cut and mutated: no crash, no hang, and no word lost of what came before the fault.

``make test`` runs a share of it, ``make soak`` twenty-five times as many with seeds of their own.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from workspace.providers.base import ProviderError
from workspace.providers.errors import CAUSES
from workspace.providers.replay import Case, Heard, byte_by_byte, cases_in, differences, hear, in_one

CASES = cases_in(Path(__file__).parent / "provider_streams")
STREAMS = [c for c in CASES if c.meta["body_file"].endswith("sse") and c.meta["http_status"] == 200]
SMALL = [case for case in STREAMS if len(case.body) < 20_000]
GARBAGE = (
    b"data: {",
    b"data: \xff\xfe\x00",
    b"<html><body>502</body></html>",
    b"\x00\x00",
    b"data: 7",
    b": ",
    b"event: x",
)
HUGE = b'data: {"x":"' + b"x" * 3_000_000 + b'"}'
DEEP = b"data: " + b"[" * 100_000 + b"]" * 100_000


def frames_of(body: bytes) -> list[bytes]:
    return re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body)


def in_characters(body: bytes, chance: random.Random) -> list[bytes]:
    """Cuts inside the characters of several bytes, and some elsewhere."""
    inside = [place for place, byte in enumerate(body) if 0x80 <= byte < 0xC0]
    places = chance.sample(inside, min(len(inside), 40)) + [chance.randrange(len(body) + 1) for _ in range(5)]
    return [body[a:b] for a, b in pairwise(sorted({0, len(body), *places}))]


def dropped(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return frames[:at] + frames[at + 1 :]


def repeated(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return [*frames[: at + 1], *frames[at:]]


def swapped(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return frames[:at] + frames[at : at + 2][::-1] + frames[at + 2 :]


def truncated(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    frame = (frames[at : at + 1] or [b""])[0]
    return [*frames[:at], frame[: chance.randrange(len(frame) + 1)]]


def garbled(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return [*frames[:at], chance.choice(GARBAGE) + b"\n\n", *frames[at:]]


def huge(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return [*frames[:at], HUGE + b"\n\n", *frames[at:]]


def deep(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    return [*frames[:at], DEEP + b"\n\n", *frames[at:]]


def bitten(frames: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    """One bit of a frame flipped."""
    frame = bytearray((frames[at : at + 1] or [b""])[0])
    if frame:
        frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    return [*frames[:at], bytes(frame), *frames[at + 1 :]]


Mutation = Callable[[list[bytes], int, random.Random], list[bytes]]
MUTATIONS: dict[Mutation, int] = {
    dropped: 500, repeated: 500, swapped: 500, truncated: 700, garbled: 700, bitten: 700, huge: 20, deep: 40,
}  # fmt: skip
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


async def before(case: Case, frames: list[bytes], at: int) -> Heard:
    """What is heard of the frames before the fault alone."""
    return await hear(replace(case, body=b"".join(frames[:at])), in_one)


def check(heard: Heard, earlier: Heard) -> None:
    """Whatever came is an answer or an error of ours, and begins with what was said before. A thought that was not
    yet told from the answer may turn out to be one."""
    assert heard.text.startswith(earlier.text) or (heard.reasoning + heard.text).startswith(earlier.text.strip())
    assert heard.reasoning.startswith(earlier.reasoning)
    assert heard.error is None or isinstance(heard.error, ProviderError)
    if heard.error:
        assert heard.error.failure.code in CAUSES
        assert heard.error.failure.action


@pytest.mark.parametrize("times", [1, pytest.param(25, marks=SOAK)])
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
async def test_a_mutated_stream_loses_no_word_before_the_fault(
    mutation: Mutation, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(f"{mutation.__name__} {times}")
    changed = 0
    for case in chance.choices(SMALL, k=MUTATIONS[mutation] * times):
        frames = frames_of(case.body)
        at = chance.randrange(len(frames))
        heard = await hear(replace(case, body=b"".join(mutation(frames, at, chance))), in_one)
        check(heard, await before(case, frames, at))
        changed += heard.text != case.expect["text"] or bool(heard.error) != bool(case.expect["error"])
    assert changed, "no mutation changed anything"


@pytest.mark.parametrize("times", [1, pytest.param(25, marks=SOAK)])
async def test_cuts_inside_characters_change_nothing(times: int) -> None:
    chance = random.Random(times)
    manifold = [case for case in CASES if len(case.body) < 60_000 and not case.body.isascii()]
    for case in manifold * times:
        assert await differences(case, lambda body: in_characters(body, chance)) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_every_recorded_answer_byte_by_byte_and_in_any_pieces() -> None:
    chance = random.Random(0)
    for case in CASES:
        assert await differences(case, byte_by_byte) == []
        for _ in range(20):
            size = chance.choice([1, 2, 3, 7, 64, 1000])
            pieces = lambda body, size=size: [body[n : n + size] for n in range(0, len(body), size)]  # noqa: E731
            assert await differences(case, pieces) == []
