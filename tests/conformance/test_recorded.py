"""Every provider against recorded traffic of its protocol: one contract, whatever pieces the network makes of it."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.management import call_command

from workspace.providers.replay import Case, byte_by_byte, cases_in, compare, differences, hear, in_one

FOLDER = Path(__file__).parent / "provider_streams"
CASES = cases_in(FOLDER)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_recorded_answer_means_what_it_should_in_any_pieces(case: Case) -> None:
    chance = random.Random(case.name)

    def anywhere(body: bytes) -> list[bytes]:
        places = sorted({0, len(body), *(chance.randrange(len(body) + 1) for _ in range(max(2, len(body) // 40)))})
        return [body[a:b] for a, b in pairwise(places)]

    assert await differences(case, in_one) == []
    assert await differences(case, anywhere) == []
    if len(case.body) < 40_000:
        assert await differences(case, byte_by_byte) == []


@pytest.mark.parametrize("protocol", sorted({case.protocol for case in CASES}))
async def test_an_answer_cut_anywhere_keeps_what_came_and_says_that_it_was_cut(protocol: str) -> None:
    streams = [
        case for case in CASES if case.protocol == protocol and case.meta["streaming"] and not case.expect["error"]
    ]
    case = max((c for c in streams if len(c.body) < 20_000), key=lambda c: len(c.expect["text"]))
    whole = case.expect["text"]
    for place in range(0, len(case.body), 97):
        heard = await hear(case, lambda body, end=place: [body[:end]])
        assert whole.startswith(heard.text)
        assert heard.finish or (heard.error and heard.error.failure.code == "cut_off")


async def test_the_comparison_sees_a_changed_letter() -> None:
    case = next(
        case for case in CASES if case.meta["streaming"] and len(case.expect["text"]) > 20 and not case.expect["error"]
    )
    heard = await hear(case)
    assert compare(case, heard) == []
    heard.text = heard.text[:-1] + "\N{SNOWMAN}"
    assert [line.split(":")[0] for line in compare(case, heard)] == ["text"]


@pytest.mark.parametrize("case", [c for c in CASES if c.meta["http_status"] != 200], ids=lambda case: case.name)
async def test_a_refusal_is_told_with_its_cause_and_a_next_step(case: Case) -> None:
    error = (await hear(case)).error
    assert error is not None
    assert error.failure.cause.endswith((".", "…")) or " It says: " in error.failure.cause
    assert error.failure.action.endswith(".")
    assert "<" not in error.failure.cause


def test_the_command_fails_when_anything_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "openai_compatible"
    folder.mkdir()
    for source in (FOLDER / "openai_compatible").glob("azure-401*"):
        (folder / source.name).write_bytes(source.read_bytes())
    call_command("provider_replay", str(tmp_path))
    body = folder / "azure-401.json"
    body.write_bytes(body.read_bytes().replace(b"Access", b"Excess"))
    with pytest.raises(SystemExit):
        call_command("provider_replay", str(tmp_path))
    assert "0 of 1 cases" in capsys.readouterr().out
