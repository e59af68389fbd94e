"""What the router is asked for an answer: the conversation up to its question, and on which terms.

Plain synchronous functions; they read, and write nothing.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from chat import authority, tree
from chat.models import Chat, Lane, Message
from chat.tree import Told
from retrieval.access import collection_ids_of, documents_of
from retrieval.citations import without
from workspace.accounts.models import Person
from workspace.router.models import Run
from workspace.types import Evidence, Grounding, Part, PromptMessage, Request, Role

HISTORY = 400  # messages of a branch a prompt is built from; the window then decides how many fit
OF_ROWS = ("persona", "configuration")  # a name in their place came in a file, and names nothing here


def request_for(person: Person, chat: Chat, question: Message, *, model: str, so_far: str = "") -> Request:
    return replace(
        _asked_by(person),
        messages=conversation(question),
        chat_id=str(chat.pk),
        model=model,
        grounding=Grounding(
            collections=_collections(person, question),
            attached=_attached(person, question),
            offered=True,
            web=bool(question.grounding.get("web")),
        ),
        requires_reasoning=question.reasoning,
        persona=question.persona_id,
        variables=question.variables,
        so_far=so_far,
    )


def conversation(question: Message) -> tuple[PromptMessage, ...]:
    """What was said up to a question, and the question."""
    return tuple(
        PromptMessage(role=_role(told.role), parts=parts)
        for told in tree.said(question, HISTORY)
        if (parts := _told_parts(told))
    )


def _collections(person: Person, question: Message) -> tuple[str, ...]:
    """The collections that a question asks for and the person may read; all of those where it names none."""
    if not question.grounding.get("documents"):
        return ()
    readable = map(str, collection_ids_of(person))
    named = question.grounding.get("collections")
    return tuple(one for one in readable if named is None or one in named)


def _attached(person: Person, question: Message) -> tuple[str, ...]:
    """The documents that lie beside a question, for it alone or for the chat, which the person may still read."""
    named = [*question.grounding.get("attached", ()), *question.grounding.get("kept", ())]
    if not named:
        return ()
    readable = {str(pk) for pk in documents_of(person).filter(pk__in=named).values_list("pk", flat=True)}
    return tuple(one for one in dict.fromkeys(named) if one in readable)


def _told_parts(told: Told) -> tuple[Part, ...]:
    """A message as a later prompt repeats it: the numbers that it cites were issued for it alone, and no provider takes
    a picture for a model's own words."""
    if told.role == Message.Role.PERSON:
        return told.parts
    texts = tuple(part for part in told.parts if part.kind == "text")
    return tuple(replace(part, text=without(part.text)) for part in texts) if told.grounded else texts


def as_answer(request: Request, answer: Message) -> Request:
    """The request of an answer that may be a lane."""
    lane = Lane.objects.filter(answer=answer).first()
    return as_lane(request, lane) if lane else request


def as_lane(request: Request, lane: Lane) -> Request:
    """The request of a lane of a comparison: as it was asked there, by nobody else."""
    grounding = replace(request.grounding, offered=False)  # what is searched is one thing for all lanes
    asked = {name: value for name, value in lane.asked.items() if name not in OF_ROWS or isinstance(value, int)}
    return replace(request, **asked, grounding=grounding, quoted=True, alone=True)


def read_before(run: Run) -> tuple[Evidence, ...] | None:
    """What an answer was written from: its numbers must go on meaning the same passages."""
    return tuple(Evidence(**passage) for passage in run.evidence) or None


def asker(person_id: UUID) -> Request:
    """A request that says who asks, and asks nothing."""
    return _asked_by(authority.author(person_id))


def _asked_by(person: Person) -> Request:
    groups = tuple(person.groups.values_list("name", flat=True))
    return Request(messages=(), person_id=str(person.pk), user=person.username, groups=groups)


def _role(role: str) -> Role:
    return "person" if role == Message.Role.PERSON else "model"
