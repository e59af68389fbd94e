"""One request through the router: whom it calls, in which order, what it tells, and what the manifest keeps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from retrieval.web import looking
from tests.scripted import Scripted, add_model, broken, say
from workspace.providers.base import Cited
from workspace.providers.setup import ensure_quotes
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.execute import Execution
from workspace.router.health import FAILURES, health
from workspace.router.race import allowance
from workspace.types import (
    AttemptFailed,
    Decided,
    Delta,
    Event,
    Evidence,
    EvidenceFound,
    Failure,
    Finished,
    Grounding,
    Manifest,
    PromptMessage,
    Reasoning,
    Request,
    StepTaken,
    Usage,
    UsageReported,
    sha256,
    text_part,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("scripted", "models")]

ASKED = Request(messages=(PromptMessage(role="person", parts=(text_part("Tell me"),)),))
HALF = "The kettle boils, and the steam "


@pytest.fixture
def models(transactional_db: Any) -> None:
    ensure_quotes()
    for name in ("first", "second", "third"):
        add_model(name, at=name, price="1")
    configure()


def configure(*, file: dict[str, Any] | None = None, **route: Any) -> None:
    whole = {"condition": "default", "model": "first", "fallbacks": ["second", "third"], **route}
    save_version("default", json.dumps({"routes": [whole], **(file or {})}))
    catalog.forget()


class Told:
    """What one request told."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        finished = events[-1]
        assert isinstance(finished, Finished)
        self.manifest: Manifest = finished.manifest
        self.failure: Failure | None = finished.failure
        self.text = "".join(event.text for event in events if type(event) is Delta)
        self.steps = [event.text for event in events if isinstance(event, StepTaken)]
        self.failed = [(event.model, event.failure.code) for event in events if isinstance(event, AttemptFailed)]
        self.called = [attempt.model for attempt in self.manifest.attempts]


async def run(request: Request = ASKED) -> Told:
    return Told([event async for event in Execution(request).events()])


async def test_an_answer_is_told_in_order_and_the_manifest_says_what_made_it() -> None:
    say("One ", "two.", Usage(input=9, output=2))
    told = await run()
    assert [type(event) for event in told.events] == [Decided, Delta, Delta, UsageReported, Finished]
    manifest = told.manifest
    assert (manifest.model, manifest.provider, manifest.upstream_model) == ("first", "first", "first")
    assert (manifest.usage, manifest.finish_reason) == (Usage(input=9, output=2), "stop")
    [attempt] = manifest.attempts
    assert (attempt.model, attempt.offset, attempt.failure) == ("first", 0, None)
    assert attempt.first_token is not None and attempt.ended is not None
    assert attempt.started <= attempt.first_token <= attempt.ended


async def test_before_a_word_the_next_one_answers_and_the_failure_is_told() -> None:
    say(broken("timeout"))
    say("Here.")
    told = await run()
    assert (told.text, told.failed, told.called) == ("Here.", [("first", "timeout")], ["first", "second"])
    assert told.failure is None and told.manifest.model == "second"
    assert not any("broke off" in step for step in told.steps)


@pytest.mark.parametrize("repeated", ["", HALF, "kettle boils, and the steam "])
async def test_after_a_word_the_next_one_goes_on_and_nothing_comes_twice(repeated: str) -> None:
    say(HALF, broken("timeout"))
    say(*repeated, "lifts the lid.")
    told = await run()
    assert told.text == HALF + "lifts the lid."
    assert Scripted.calls[-1].so_far == HALF
    assert [attempt.offset for attempt in told.manifest.attempts] == [0, len(HALF)]
    assert "first broke off; second goes on" in told.steps


async def test_half_a_repetition_of_one_that_broke_off_too_is_not_kept() -> None:
    say(HALF, broken("timeout"))
    say("The kettle boils", broken("timeout"))
    say("lifts the lid.")
    told = await run()
    assert (told.text, told.called) == (HALF + "lifts the lid.", ["first", "second", "third"])


async def test_text_of_an_interrupted_answer_is_gone_on_with() -> None:
    say("and the steam ", "lifts the lid.")
    told = await run(replace(ASKED, so_far="The kettle boils, "))
    assert told.text == "and the steam lifts the lid."
    assert told.manifest.attempts[0].offset == len("The kettle boils, ")


async def test_when_nobody_is_left_the_last_failure_is_the_answers() -> None:
    for code in ("timeout", "garbage", "out_of_memory"):
        say("Word ", broken(code)) if code == "garbage" else say(broken(code))
    told = await run()
    assert told.failure and told.failure.code == "out_of_memory"
    assert (told.text, told.called) == ("Word ", ["first", "second", "third"])
    assert told.failed == [("first", "timeout"), ("second", "garbage")]


async def test_the_manifest_names_who_wrote_last_though_others_failed_after_it() -> None:
    say("Word ", broken("timeout"))
    say(broken("timeout"))
    say(broken("timeout"))
    told = await run()
    assert (told.called, told.manifest.model, told.manifest.upstream_model) == (
        ["first", "second", "third"], "first", "first",
    )  # fmt: skip


async def test_quotes_does_not_finish_somebodys_sentence() -> None:
    await _configure(fallbacks=["quotes"])
    say("Half ", broken("timeout"))
    told = await run()
    assert (told.called, told.text) == (["first"], "Half ")


async def test_a_model_that_keeps_failing_is_passed_by() -> None:
    for _ in range(FAILURES):
        say(broken("timeout"))
        say("Here.")
        await run()
    say("At once.")
    told = await run()
    assert told.called == ["second"] and told.manifest.decision
    assert [drop.model for drop in told.manifest.decision.dropped] == ["first"]
    assert told.manifest.decision.chosen_by == "fallback"


async def test_a_person_who_chose_it_gets_it_though_it_keeps_failing() -> None:
    for _ in range(FAILURES):
        say(broken("timeout"))
        say("Here.")
        await run()
    say("It works again.")
    told = await run(replace(ASKED, model="first"))
    assert (told.text, told.called) == ("It works again.", ["first"])
    say("And for all.")
    assert (await run()).called == ["first"]


async def test_two_that_were_decided_at_once_are_not_both_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(FAILURES):
        say(broken("timeout"))
        say("Here.")
        await run()
    [breaker] = health._breakers.values()
    breaker.until = 1.0  # the pause is over
    probe, gate = asyncio.Event(), asyncio.Event()
    decided = asyncio.Event()
    say(Signal(probe), gate, "Works.")
    first = asyncio.create_task(run())
    await probe.wait()
    breaker_probing, breaker.probing = breaker.probing, 0.0  # the second was decided a moment earlier
    second = Execution(ASKED)
    events = second.events()
    await anext(events)
    decided.set()
    breaker.probing = breaker_probing
    say("From the spare.")
    told = [event async for event in events]
    assert "".join(event.text for event in told if type(event) is Delta) == "From the spare."
    gate.set()
    assert (await first).called == ["first"]


async def test_a_slow_model_is_raced_and_the_loser_is_recorded() -> None:
    await _configure(file={"hedge": {"after_s": 0.001, "percent": 100}})
    allowance.called()
    say(asyncio.Event())
    say("Quick.")
    told = await run()
    assert (told.text, told.manifest.model, told.called) == ("Quick.", "second", ["first", "second"])
    assert [(a.failure or Failure(code="", cause="", action="")).code for a in told.manifest.attempts] == ["outrun", ""]


async def test_the_winner_of_a_race_that_breaks_off_is_the_one_that_is_named() -> None:
    await _configure(file={"hedge": {"after_s": 0.001, "percent": 100}})
    allowance.called()
    say(asyncio.Event())
    say(HALF, broken("timeout"))
    say("lifts the lid.")
    told = await run()
    assert told.text == HALF + "lifts the lid."
    assert told.called == ["first", "second", "third"]
    assert told.failed == [("second", "timeout")]
    assert "second broke off; third goes on" in told.steps


async def test_a_race_is_not_run_over_a_budget_of_the_route() -> None:
    await _configure(file={"hedge": {"after_s": 0.001, "percent": 100}}, budget={"usd": 0.0006})
    allowance.called()
    slow = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, slow.set)
    say(slow, "Slow.")
    told = await run()
    assert (told.text, told.called) == ("Slow.", ["first"])


async def test_an_answer_may_not_cost_more_than_its_route_may() -> None:
    await _configure(budget={"usd": 0.0001})
    told = await run()
    assert told.failure and (told.failure.code, told.called) == ("budget", [])
    assert "$0.0001" in told.failure.cause


async def test_the_deadline_of_a_route_ends_the_answer_with_its_words() -> None:
    await _configure(total_s=0.05)
    say("Some words ", asyncio.Event())
    told = await run()
    assert told.failure and (told.failure.code, told.text) == ("timeout", "Some words ")
    assert told.called == ["first"]  # no time is left for another


async def test_thoughts_are_told_apart_and_are_no_text_to_go_on_from() -> None:
    say(Reasoning("Hm. "), broken("timeout"))
    say("Here.")
    told = await run()
    assert (told.text, Scripted.calls[-1].so_far) == ("Here.", "")


async def test_what_a_closed_story_had_spent_is_in_its_manifest() -> None:
    say("Some ", "words ", asyncio.Event())
    execution = Execution(ASKED)
    events = execution.events()
    async for event in events:
        if type(event) is Delta and event.text == "words ":
            break
    await events.aclose()
    manifest = execution.manifest("Some words ", stopped=True)
    [attempt] = manifest.attempts
    assert manifest.finish_reason == "stopped" and attempt.usage and attempt.usage.estimated
    assert attempt.usage.output == 3 and manifest.cost == attempt.cost and attempt.cost


async def _configure(**options: Any) -> None:
    from channels.db import database_sync_to_async

    await database_sync_to_async(configure)(**options)


class Signal(asyncio.Event):
    """Says that its turn has come, and holds nobody up."""

    def __init__(self, reached: asyncio.Event) -> None:
        super().__init__()
        self._reached = reached

    async def wait(self) -> Any:
        self._reached.set()
        return True


PASSAGE = Evidence(
    number=1, chunk_id="c", document_id="d", title="Tea", text="Tea boils.", digest=sha256("Tea boils."), score=0.9
)


async def test_evidence_that_came_with_the_request_is_read_by_every_model_and_nothing_is_searched() -> None:
    for model in ("first", "second"):
        say("Tea boils [1].")
        told = await run(replace(ASKED, model=model, evidence=(PASSAGE,)))
        assert [event.evidence for event in told.events if isinstance(event, EvidenceFound)] == [(PASSAGE,)]
        assert told.manifest.evidence == (PASSAGE,)


async def test_only_what_was_given_is_cited_and_the_rest_is_counted() -> None:
    say("Tea boils [1], they say [7", "]. ", Cited(title=PASSAGE.title), "And rests", Cited(url="https://no.example/"))
    told = await run(replace(ASKED, model="first", evidence=(PASSAGE,)))
    assert told.text == "Tea boils [1], they say. [1] And rests"
    assert (told.manifest.uncited, told.manifest.text_digest) == (2, sha256(told.text))
    say("The array row[7] holds [1].")
    assert (await run(replace(ASKED, model="first"))).text == "The array row[7] holds [1]."


async def test_a_call_that_breaks_off_within_a_citation_loses_no_word() -> None:
    say("Tea boils for minutes on end [", broken())
    say("1] and rests [9].")
    told = await run(replace(ASKED, evidence=(PASSAGE,)))
    assert told.text == "Tea boils for minutes on end [1] and rests." and told.manifest.uncited == 1


async def test_a_passage_that_did_not_fit_the_window_can_not_be_cited() -> None:
    await sync_to_async(add_model)("short", window=700)
    catalog.forget()
    long = replace(PASSAGE, number=2, text="Leaves " * 900)
    say("Tea boils [1], and leaves [2].")
    told = await run(replace(ASKED, model="short", evidence=(PASSAGE, long)))
    assert told.text == "Tea boils [1], and leaves." and told.manifest.uncited == 1
    assert Scripted.calls[-1].evidence == (PASSAGE,)


async def test_evidence_that_was_looked_for_in_vain_is_not_looked_for_again() -> None:
    told = await run(replace(ASKED, model="quotes", evidence=()))
    assert "No passage fits the question" in told.steps


async def test_the_web_is_searched_for_who_asks_and_where_a_route_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    async def look(question: str, *, person_id: str, **_: Any) -> looking.Looked:
        asked.append((question, person_id))
        return looking.Looked((PASSAGE,), "1 of 2 pages could not be read", ({"engine": "Own", "results": 2},))

    monkeypatch.setattr("retrieval.web.looking.look", look)
    told = await run(replace(ASKED, model="quotes", person_id="7", grounding=Grounding(web=True)))
    assert [event.evidence for event in told.events if isinstance(event, EvidenceFound)] == [(PASSAGE,)]
    assert told.manifest.searched == ({"engine": "Own", "results": 2},)
    assert told.steps[:2] == ["Searching the web", "Reading 1 passage. 1 of 2 pages could not be read"]
    await _configure(model="quotes", grounding={"web": True})
    told = await run()
    assert told.manifest.evidence == (PASSAGE,) and asked == [("Tell me", "7"), ("Tell me", "")]
    await run(replace(ASKED, alone=True))
    assert len(asked) == 2, "what a comparison searches is not a route's business"
