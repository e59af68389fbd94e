"""The rows of comparisons: opened with all lanes in one transaction, voted on, revealed, fused.

Synchronous functions for the writer's thread, as ``chat/record.py`` has them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.utils import timezone

from chat import authority, record, requests, tree
from chat.frames import Compare, Continue, Fuse, LaneAsk, Refused
from chat.models import Chat, Comparison, Fusion, Lane, Message, Thumb, Vote
from chat.record import Opened
from workspace.accounts.models import Person
from workspace.accounts.rights import may_administer
from workspace.ids import new_id
from workspace.router.models import RouterVersion, Run
from workspace.router.prompts import FUSE, to_fuse
from workspace.router.states import LIVE, RunState
from workspace.types import PromptMessage, Request, text_part

REASONS = ("clearer", "more correct", "better length", "better cited", "better tone")
LIKED = REASONS
DISLIKED = ("wrong", "unclear", "too long", "too short", "badly cited", "wrong tone")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLane:
    lane: Lane
    answer: Message
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedComparison:
    """A comparison whose rows are written. ``search`` asks for the evidence of all lanes, where any is wanted."""

    comparison: Comparison
    chat: Chat
    question: Message
    lanes: Sequence[OpenedLane]
    search: Request | None = None
    fresh: bool = True


def open_compare(person_id: UUID, ask: Compare) -> OpenedComparison:
    """One question under each place that is gone on from, and an answer in each lane: in random order when blind."""
    person = authority.author(person_id)
    chat, is_new = record.chat_of(person, ask)
    comparisons = Comparison.objects.filter(chat=chat).select_related("question__author")
    if not is_new and (before := comparisons.filter(question__client_id=ask.client_id).first()):
        return OpenedComparison(comparison=before, chat=chat, question=before.question, lanes=(), fresh=False)
    refuse_configurations(person, ask.lanes)
    lanes = list(ask.lanes)
    for lane in lanes:
        authority.persona_of(person, lane.persona)
    if ask.blind:
        random.SystemRandom().shuffle(lanes)
    questions: dict[UUID | None, Message] = {}
    for parent in dict.fromkeys(lane.parent or ask.parent for lane in ask.lanes):
        client_id = None if questions else ask.client_id
        place = authority.parent_of(chat, parent)
        questions[parent] = record.place_question(person, chat, place, ask, client_id=client_id or new_id())
    first = next(iter(questions.values()))
    comparison = Comparison.objects.create(chat=chat, question=first, person=person, blind=ask.blind)
    bases = {parent: requests.request_for(person, chat, asked, model="") for parent, asked in questions.items()}
    places = [lane.parent or ask.parent for lane in lanes]
    answers = record.place_answers(person, chat, [questions[place] for place in places], withheld=ask.blind)
    rows = Lane.objects.bulk_create(
        Lane(comparison=comparison, place=number, answer=answer, asked=lane.asked)
        for number, (answer, lane) in enumerate(zip(answers, lanes, strict=True))
    )
    opened = [
        OpenedLane(lane=row, answer=row.answer, request=requests.as_lane(bases[place], row))
        for row, place in zip(rows, places, strict=True)
    ]
    tree.stand(chat, person, opened[0].answer)
    base = next(iter(bases.values()))
    return OpenedComparison(
        comparison=comparison,
        chat=chat,
        question=first,
        lanes=opened,
        search=base if base.grounding.is_wanted else None,
    )


def open_continue(person_id: UUID, ask: Continue) -> list[Opened]:
    """An interrupted answer that goes on; with a lane of a blind comparison, its interrupted neighbours. A lane that
    was interrupted before its passages came reads what the others read."""
    opened = [record.open_continue(person_id, ask)]
    if not opened[0].is_lane:
        return [fused_again(opened[0], ask.message)]
    comparison = opened[0].answer.lane.comparison
    if comparison.is_withheld:
        beside = Message.objects.filter(lane__comparison=comparison, run__state=RunState.INTERRUPTED)
        others = list(beside.order_by("lane__place").values_list("pk", flat=True))
        opened += [record.open_continue(person_id, Continue(chat=ask.chat, message=one)) for one in others]
    of = [one.answer.pk for one in opened]
    return [replace(one, request=reading(comparison, one.request, of=of)) for one in opened]


def reading(comparison: Comparison, request: Request, *, of: Sequence[UUID]) -> Request:
    """The request of a lane that begins later, or goes on, one of these: it reads what the others read, though that be
    nothing; where none got that far, it is searched for anew."""
    if request.evidence is not None or not request.grounding.is_wanted:
        return request
    runs = list(Run.objects.filter(message__lane__comparison=comparison).select_related("message"))
    others = [run for run in runs if run.message.pk not in of]
    read = next((requests.read_before(run) for run in runs if run.evidence), None)
    if read is None and any(run.state in LIVE for run in others):
        raise Refused("still_looking", "No lane has its passages yet.", "Wait a moment, and try again.")
    if read is None and any(run.state == RunState.DONE for run in others):
        read = ()
    return replace(request, evidence=read)


def open_fuse(person_id: UUID, ask: Fuse) -> Opened:
    """One more answer to the question, made of lanes; it reads what they read."""
    person = authority.author(person_id)
    comparison = comparison_to_write(person, ask.chat, ask.comparison)
    if comparison.is_withheld:
        raise Refused("withheld", "This comparison is blind, and open.", "Vote first, or reveal it without a vote.")
    lanes = list(comparison.lanes.select_related("answer__run", "answer__chat").filter(answer__in=ask.lanes))
    if len(lanes) < 2:
        raise Refused("too_few", "One answer can't be fused.", "Choose two lanes or more.")
    if waiting := [lane.letter for lane in lanes if not lane.answer.settled]:
        raise Refused("still_writing", f"{_and(waiting)} is still being written.", "Wait for it, or stop it.")
    question = lanes[0].answer.parent
    assert question is not None
    answer = record.place_answer(person, comparison.chat, question, client_id=ask.client_id)
    fusion = Fusion.objects.create(answer=answer, instruction=ask.instruction or FUSE)
    fusion.lanes.set(lanes)
    tree.stand(comparison.chat, person, answer)
    request = fused(requests.request_for(person, comparison.chat, question, model=ask.model), fusion)
    return Opened(
        chat=comparison.chat,
        answer=answer,
        question=question,
        request=request,
        asked=False,
        sibling_of=lanes[0].answer_id,
    )


def open_background(answer_id: UUID) -> Opened | None:
    opened = record.open_background(answer_id)
    return fused_again(opened, answer_id) if opened else None


def fused_again(opened: Opened, of: UUID) -> Opened:
    """A fused answer that is continued, tried again or made by a worker is made of its lanes as before."""
    fusion = Fusion.objects.filter(answer=of).first()
    if fusion is None or not opened.fresh:
        return opened
    if opened.answer.pk != of:
        lanes = list(fusion.lanes.all())
        fusion = Fusion.objects.create(answer=opened.answer, instruction=fusion.instruction)
        fusion.lanes.set(lanes)
    return replace(opened, request=fused(opened.request, fusion))


def fused(request: Request, fusion: Fusion) -> Request:
    """The request behind a fused answer: the lanes' words as part of what is asked, and what they read as evidence."""
    lanes = list(fusion.lanes.select_related("answer__run"))
    last = request.messages[-1]
    told = to_fuse(fusion.instruction, [(lane.letter, _text(lane.answer)) for lane in lanes])
    parts = (*last.parts, text_part(told))
    runs = [lane.answer.run for lane in lanes if lane.answer.run]
    evidence = next((requests.read_before(run) for run in runs if run.evidence), None)
    return replace(
        request,
        messages=(*request.messages[:-1], PromptMessage(role=last.role, parts=parts)),
        evidence=evidence,
        grounding=replace(request.grounding, collections=(), attached=(), offered=False, web=False),
        alone=True,
        asked=request.question,
    )


def vote(
    person: Person, chat_id: UUID, id: UUID, *, choice: str, lane: UUID | None, reasons: Collection[str]
) -> Comparison:
    """Keep a vote, and reveal a blind comparison to whoever asked; a vote for one lane goes on from there.

    Votes bind to what was read: all lanes must have settled. A blind one is final; a sighted one may change. The
    comparison is locked meanwhile: of two votes at once, each must find what the other one left.
    """
    comparison = _locked(comparison_to_write(person, chat_id, id))
    lanes = list(comparison.standing.select_related("answer__run"))
    if waiting := [one.letter for one in lanes if not one.answer.settled]:
        raise Refused("still_writing", f"{_and(waiting)} is not finished.", "Wait for it, stop it, or continue it.")
    best = next((one for one in lanes if one.answer_id == lane), None)
    if choice not in Vote.Choice.values or (choice == Vote.Choice.BEST) is not bool(best):
        raise Refused("bad_vote", "The vote names no lane.", "Choose the best lane, a tie, or all bad.")
    before = Vote.objects.filter(comparison=comparison, person=person).first()
    if before and before.blind:
        raise Refused("voted", "You have voted on this comparison.", "A vote that was cast blind stays.")
    if unknown := set(reasons) - set(REASONS):
        raise Refused("bad_vote", f"“{min(unknown)[:40]}” is no reason to choose from.", "Reload the page.")
    fields = {
        "choice": choice,
        "lane": best,
        "reasons": [reason for reason in REASONS if reason in reasons],
        "blind": comparison.is_withheld,
        "digests": {one.letter: one.answer.digest for one in lanes},
    }
    Vote.objects.update_or_create(comparison=comparison, person=person, defaults=fields)
    if comparison.person_id == person.pk:
        _reveal(comparison)
    if best:
        tree.stand(comparison.chat, person, best.answer)
    return comparison


def reveal(person: Person, chat_id: UUID, id: UUID) -> Comparison:
    """Give up a blind vote: who asked sees who wrote what."""
    comparison = _locked(comparison_to_write(person, chat_id, id))
    if comparison.person_id != person.pk:
        raise Refused("not_yours", "Who asked decides when this comparison is revealed.", "Vote, or ask them.")
    _reveal(comparison)
    return comparison


def thumb(
    person: Person, chat_id: UUID, answer_id: UUID, *, up: bool, reasons: Collection[str], toggle: bool = True
) -> Lane:
    """Like or dislike one lane, and say why. The same again takes it back, unless only its reasons change."""
    lane = authority.found(
        lambda: Lane.objects.select_related("comparison").get(answer=authority.writable(person, chat_id, answer_id)),
        "That lane is not here.",
        "Reload the page.",
    )
    before = Thumb.objects.filter(lane=lane, person=person).first()
    if before and before.up is up and toggle and not reasons:
        before.delete()
    else:
        known = [reason for reason in (LIKED if up else DISLIKED) if reason in reasons]
        fields = {"up": up, "reasons": known, "blind": lane.comparison.is_withheld}
        Thumb.objects.update_or_create(lane=lane, person=person, defaults=fields)
    return lane


def comparison_to_write(person: Person, chat_id: UUID, id: UUID) -> Comparison:
    """A comparison of that very chat, in which the person may write."""
    chat = authority.writable_chat(person, chat_id)
    comparison = Comparison.objects.select_related("chat", "question").filter(chat=chat, pk=id).first()
    if comparison is None:
        raise Refused("not_found", "That comparison is not here.", "Reload the page.")
    return comparison


def _locked(comparison: Comparison) -> Comparison:
    return Comparison.objects.select_for_update(of=("self",)).select_related("chat").get(pk=comparison.pk)


def is_over(comparison: Comparison) -> bool:
    """Whether every lane has come to an end."""
    live = [state.value for state in LIVE]
    return not comparison.lanes.filter(answer__run__state__in=live).exists()


def refuse_configurations(person: Person, lanes: Sequence[LaneAsk]) -> None:
    """A version of the router's file, drafts among them, is for those who may write one."""
    wanted = {lane.configuration for lane in lanes if lane.configuration}
    if wanted and not may_administer(person):
        raise Refused("not_admin", "Router versions are compared by admins.", "Choose models, or ask an admin.")
    if wanted - set(RouterVersion.objects.filter(pk__in=wanted).values_list("pk", flat=True)):
        raise Refused("no_configuration", "A router version of a lane is not here.", "Choose another one.")


def _reveal(comparison: Comparison) -> None:
    if comparison.is_withheld:
        comparison.revealed = timezone.now()
        comparison.save(update_fields=["revealed"])
        Run.objects.filter(message__lane__comparison=comparison).update(withheld=False)


def _text(answer: Message) -> str:
    return "\n\n".join(part.text for part in record.parts_of(answer) if part.kind == "text")


def _and(letters: Sequence[str]) -> str:
    return letters[0] if len(letters) == 1 else f"{', '.join(letters[:-1])} and {letters[-1]}"
