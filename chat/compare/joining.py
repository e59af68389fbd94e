"""One lane more in a comparison that is there, or a failed one asked again in its place.

Synchronous functions for the writer's thread, as ``rows.py`` has them. Nothing is written over: a lane that is asked
again stays, as one that was replaced.
"""

from __future__ import annotations

from uuid import UUID

from chat import authority, record, requests
from chat.compare.rows import OpenedComparison, OpenedLane, comparison_to_write, reading, refuse_configurations
from chat.frames import Join, LaneAsk, Refused
from chat.models import Comparison, Lane
from workspace.accounts.models import Person
from workspace.router.states import RunState
from workspace.wire import MAX_LANES

AGAIN = (RunState.FAILED, RunState.STOPPED)  # one that is interrupted is continued


def open_join(person_id: UUID, ask: Join) -> OpenedComparison:
    """A lane with the question and the evidence of the others. Raises Refused."""
    person = authority.author(person_id)
    comparison = comparison_to_write(person, ask.chat, ask.comparison)
    if comparison.lanes.filter(answer__client_id=ask.client_id).exists():
        return _opened(comparison, (), fresh=False)
    if comparison.is_withheld:
        raise Refused("withheld", "This comparison is blind, and open.", "Vote first, or reveal it without a vote.")
    if ask.again:
        lane = _again(person, comparison, ask.again, ask.client_id)
    else:
        lane = _one_more(person, comparison, ask.lane, ask.client_id)
    question = lane.answer.parent
    assert question is not None
    base = requests.request_for(person, comparison.chat, question, model="")
    request = requests.as_lane(base, lane)
    opened = OpenedLane(lane=lane, answer=lane.answer, request=reading(comparison, request, of=[lane.answer.pk]))
    return _opened(comparison, (opened,))


def _one_more(person: Person, comparison: Comparison, asked: LaneAsk, client_id: UUID) -> Lane:
    refuse_configurations(person, (asked,))
    authority.persona_of(person, asked.persona)
    place = comparison.standing.count()
    if place >= MAX_LANES:
        raise Refused("lanes", f"A comparison has at most {MAX_LANES} lanes.", "Begin another one with this question.")
    answer = record.place_answer(person, comparison.chat, comparison.question, client_id=client_id)
    return Lane.objects.create(comparison=comparison, place=place, answer=answer, asked=asked.asked)


def _again(person: Person, comparison: Comparison, answer_id: UUID, client_id: UUID) -> Lane:
    old = comparison.standing.select_related("answer__run", "answer__parent").filter(answer=answer_id).first()
    if old is None or old.answer.parent is None:
        raise Refused("not_found", "That lane is not here.", "Reload the page.")
    if old.answer.run is None or old.answer.run.state not in AGAIN:
        raise Refused("not_failed", f"{old.letter} has not failed.", "Add a lane to ask its model once more.")
    Lane.objects.filter(pk=old.pk).update(replaced=True)
    answer = record.place_answer(person, comparison.chat, old.answer.parent, client_id=client_id)
    return Lane.objects.create(comparison=comparison, place=old.place, answer=answer, asked=old.asked)


def _opened(comparison: Comparison, lanes: tuple[OpenedLane, ...], *, fresh: bool = True) -> OpenedComparison:
    return OpenedComparison(
        comparison=comparison, chat=comparison.chat, question=comparison.question, lanes=lanes, fresh=fresh
    )
