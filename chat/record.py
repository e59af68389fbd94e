"""The rows of a turn: what opens with it in one transaction, and what settles with its run.

Plain synchronous functions, called in the writer's thread. They refuse in words (``chat/authority.py``), and
return values; nothing here starts a run or tells anybody.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from chat import access, authority, chain, ledger, requests, tree
from chat.frames import Continue, Frame, Refused, Retry, Send
from chat.models import Chat, Message, MessageBlob
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.router import run_rows
from workspace.router.decide import stored
from workspace.router.run_rows import Outcome
from workspace.router.states import SETTLED
from workspace.types import (
    Decision,
    Part,
    Request,
    canonical,
    sha256,
    text_of,
    text_part,
)

TITLE = 60  # characters of a question that name its chat


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A turn whose rows are written. ``fresh`` is False for a frame that was carried out before."""

    chat: Chat
    answer: Message
    question: Message
    request: Request
    sibling_of: UUID | None = None
    asked: bool = True
    fresh: bool = True
    is_lane: bool = False
    seq: int = 0
    reasoning: str = ""
    decided: Decision | None = None


def open_send(person_id: UUID, send: Send) -> Opened:
    person = authority.author(person_id)
    chat, is_new = chat_of(person, send)
    if not is_new and (before := Message.objects.filter(chat=chat, client_id=send.client_id).first()):
        return _opened_before(chat, before)
    question = place_question(person, chat, authority.parent_of(chat, send.parent), send)
    answer = place_answer(person, chat, question)
    tree.stand(chat, person, answer)
    request = requests.request_for(person, chat, question, model=send.model)
    return Opened(chat=chat, answer=answer, question=question, request=request)


def open_retry(person_id: UUID, retry: Retry) -> Opened:
    person = authority.author(person_id)
    old = _answer(person, retry)
    authority.refuse_withheld(old)
    if before := Message.objects.filter(chat_id=old.chat_id, client_id=retry.client_id).select_related("run").first():
        return _opened_before(old.chat, before)
    question = _question_of(old)
    answer = place_answer(person, old.chat, question, client_id=retry.client_id)
    tree.stand(old.chat, person, answer)
    request = replace(
        requests.request_for(person, old.chat, question, model=retry.model), instead_of=_left(old, retry.model)
    )
    return Opened(chat=old.chat, answer=answer, question=question, request=request, sibling_of=old.pk, asked=False)


def _left(old: Message, model: str) -> str:
    """The model that the router had chosen for an answer, where the person now chooses another."""
    decision = (old.run.decision if old.run else None) or {}
    chosen = decision.get("model", "") if decision.get("chosen_by") in ("route", "fallback") else ""
    return chosen if model and chosen != model else ""


def open_continue(person_id: UUID, ask: Continue) -> Opened:
    person = authority.author(person_id)
    answer = _answer(person, ask)
    run = answer.run
    assert run is not None
    Chat.objects.select_for_update(no_key=True).only("pk").get(pk=answer.chat_id)  # nobody asks below it meanwhile
    if answer.children.exists():
        raise Refused("gone_on", "Questions below this answer were asked of it as it is.", "Retry it for a whole one.")
    if not run_rows.reopen_row(run.pk):
        raise Refused("not_interrupted", "That answer is not interrupted.", "Retry it for another one.")
    question = _question_of(answer)
    model = run.decision["model"] if run.decision else ""
    request = requests.request_for(person, answer.chat, question, model=model, so_far=run.text)
    return Opened(
        chat=answer.chat,
        answer=answer,
        question=question,
        request=replace(requests.as_answer(request, answer), evidence=requests.read_before(run)),
        is_lane=hasattr(answer, "lane"),
        asked=False,
        seq=run.seq,
        reasoning=run.reasoning,
    )


def open_background(answer_id: UUID) -> Opened | None:
    """An answer that waits for a worker, taken by this process; ``None`` when another has it."""
    message = answer(answer_id)
    run = message.run
    assert run is not None and run.person is not None and run.decision is not None
    if not run_rows.take_row(run.pk):
        return None
    question = _question_of(message)
    request = requests.request_for(run.person, message.chat, question, model="", so_far=run.text)
    return Opened(
        chat=message.chat,
        answer=message,
        question=question,
        request=replace(request, mode="background"),
        asked=False,
        seq=run.seq,
        reasoning=run.reasoning,
        decided=stored(run.decision),
    )


def stop_queued(answer_id: UUID, run_id: UUID) -> bool:
    """Stop an answer that waits for a worker; False when one writes it."""
    if not run_rows.stop_queued(run_id):
        return False
    _write(answer_id, [], settled=True)
    return True


def settle_answer(answer_id: UUID, outcome: Outcome) -> None:
    """The answer becomes immutable, but an interrupted one may still be continued."""
    parts = [plain_part(text_part(outcome.text))] if outcome.text else []
    _write(answer_id, parts, settled=outcome.state in SETTLED)


@transaction.atomic(savepoint=False)
def _write(answer_id: UUID, parts: list[dict[str, Any]], *, settled: bool) -> None:
    """What an answer says and, once it is settled, its link, at one stroke; its run has settled before."""
    message = chain.covered(answer_id)
    message.digest = digest_of(parts)
    if settled:
        chain.seal(message, message.parent)
    changed = Message.objects.filter(pk=answer_id, settled=False).update(
        parts=parts, digest=message.digest, settled=settled, chain=message.chain, whose=message.whose
    )
    if changed and settled:
        chain.count(message.chat_id, message.chain)


def answer(answer_id: UUID) -> Message:
    """An answer with all that its partial shows."""
    related = ("parent", "lane", "fusion", "run__model_version__model", "run__judgement")
    return Message.objects.select_related(*related).get(pk=answer_id)


def running_answer(person_id: UUID, ask: Frame) -> UUID:
    """The run behind an answer that the person may stop."""
    run_id = _answer(authority.author(person_id), ask).run_id
    assert run_id is not None
    return run_id


def parts_of(message: Message) -> tuple[Part, ...]:
    """A message's content; an unsettled answer's words are in its run."""
    if message.parts or message.run is None:
        return tuple(Part(**part) for part in message.parts)
    return (text_part(message.run.text),) if message.run.text else ()


def asked(answer: Message) -> str:
    """The words of the question that an answer stands under."""
    return text_of(parts_of(answer.parent)) if answer.parent else ""


def digest_of(parts: list[dict[str, Any]]) -> str:
    return sha256(canonical(parts))


def plain_part(part: Part) -> dict[str, Any]:
    """A part as a row keeps it: without the fields it does not use."""
    return {name: value for name in Part.__slots__ if (value := getattr(part, name))}


def chat_of(person: Person, send: Send) -> tuple[Chat, bool]:
    """The chat a question goes into, and whether it begins with it. Its id follows from the question's then, so one
    sent twice begins one chat."""
    if send.chat is not None:
        return authority.writable_chat(person, send.chat), False
    chat_id = uuid.uuid5(person.pk, str(send.client_id))
    if begun := Chat.objects.filter(pk=chat_id).first():
        return begun, False
    return ledger.begin(pk=chat_id, owner=person, title=_title(send.text)), True


@transaction.atomic(savepoint=False)
def place_question(
    person: Person, chat: Chat, parent: Message | None, send: Send, *, client_id: UUID | None = None
) -> Message:
    blobs = authority.found(
        lambda: access.attached_blobs(person, list(send.blobs)),
        "An attached image is not here any more.",
        "Attach it again.",
    )
    images = [
        Part(kind="image", digest=b.digest, media_type=b.media_type, size=b.size, width=b.width, height=b.height)
        for b in blobs
    ]
    parts = [plain_part(part) for part in ([text_part(send.text)] if send.text else []) + images]
    question = Message(
        chat=chat,
        parent=parent,
        role=Message.Role.PERSON,
        author=person,
        parts=parts,
        grounding=_grounding(send),
        reasoning=send.reasoning,
        persona=authority.persona_of(person, send.persona),
        variables=dict(send.variables) if send.persona else {},
        digest=digest_of(parts),
        depth=parent.depth + 1 if parent else 0,
        client_id=client_id or send.client_id,
        settled=True,
    )
    chain.seal(question, parent)
    question.save(force_insert=True)
    chain.count(chat.pk, question.chain)
    if blobs:
        MessageBlob.objects.bulk_create([MessageBlob(message=question, blob=blob) for blob in blobs])
    return question


def _grounding(send: Send) -> dict[str, Any]:
    """As the question's row keeps it: only what was asked for."""
    wanted: dict[str, Any] = {name: True for name in ("documents", "web") if getattr(send, name)}
    if send.documents and send.collections:
        wanted["collections"] = [str(one) for one in send.collections]
    wanted |= {name: [str(one) for one in ids] for name in ("attached", "kept") if (ids := getattr(send, name))}
    return wanted


def place_answer(person: Person, chat: Chat, question: Message, *, client_id: UUID | None = None) -> Message:
    """The answer's row and its run's, before a word of it."""
    return place_answers(person, chat, [question], client_id=client_id or new_id())[0]


def place_answers(
    person: Person, chat: Chat, questions: Sequence[Message], *, withheld: bool = False, **fields: Any
) -> list[Message]:
    """One answer below each, in two statements however many there are: all lanes wait for them."""
    runs = run_rows.open_rows(len(questions), person=person, withheld=withheld)
    answers = [
        Message(chat=chat, parent=question, role=Message.Role.MODEL, run=run, depth=question.depth + 1, **fields)
        for question, run in zip(questions, runs, strict=True)
    ]
    return Message.objects.bulk_create(answers)


def _opened_before(chat: Chat, message: Message) -> Opened:
    """What the same frame opened the first time."""
    asked = message.role == Message.Role.PERSON
    answer = message.children.select_related("run").order_by("id").first() if asked else message
    question = message if asked else _question_of(message)
    assert answer is not None
    return Opened(chat=chat, answer=answer, question=question, request=Request(messages=()), asked=asked, fresh=False)


def _question_of(answer: Message) -> Message:
    """The question an answer stands under; no answer is a root."""
    assert answer.parent is not None
    return answer.parent


def _answer(person: Person, ask: Any) -> Message:
    message = authority.writable(person, ask.chat, ask.message)
    if message.run_id is None:
        raise Refused("not_an_answer", "That message is a question.", "Choose the answer below it.")
    return message


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE else line[:TITLE].rsplit(" ", 1)[0] + " …"
