"""Recorded answers with pieces damaged: whatever comes is an answer or one of our errors, never a crash or a hang."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path

import pytest

from workspace.providers.base import ProviderError
from workspace.providers.errors import CAUSES
from workspace.providers.replay import cases_in, hear, in_one

CASES = [case for case in cases_in(Path(__file__).parent / "provider_streams") if len(case.body) < 20_000]
STRANGERS = (b"null", b"[]", b"{}", b'"x"', b"7", b"true", b"[null]", b'{"a":null}', b"\xff", b"\n\n", b"\r")


def damaged(body: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(body) + 1)
        value = body.find(b":", place) + 1
        if chance.random() < 0.6 and value:  # a value of another type
            ends = [end for end in (body.find(b",", value), body.find(b"}", value)) if end > 0]
            body = body[:value] + chance.choice(STRANGERS) + body[min(ends, default=len(body)) :]
        else:
            body = body[:place] + chance.choice(STRANGERS) + body[place + chance.randrange(40) :]
    return body


@pytest.mark.parametrize("seed", range(8))
async def test_damage_is_told_as_an_error_of_ours(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(seed)
    for case in chance.choices(CASES, k=100):
        heard = await hear(replace(case, body=damaged(case.body, chance)), in_one)
        assert isinstance(heard.text, str)
        assert isinstance(heard.reasoning, str)
        if isinstance(heard.error, ProviderError):
            assert heard.error.failure.code in CAUSES
