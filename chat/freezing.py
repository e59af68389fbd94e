"""A branch of a chat becomes a suite: its questions, with what was said before each, the passages that were read, and
the answer that was given as reference. Who freezes it may write down what is right."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from chat import access, record, tree
from chat.models import Chat, Message
from chat.views import index
from workspace.accounts.rights import may_chat, person_of
from workspace.measurement import importing
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Item
from workspace.types import text_of

LONGEST_BRANCH = 2_000  # messages


@dataclass(frozen=True, slots=True)
class Turn:
    """A question of the branch and the answer that follows it there."""

    number: int
    question: str
    answer: str
    before: list[dict[str, str]]
    evidence: list[dict[str, str]]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def freeze(request: HttpRequest, id: UUID) -> HttpResponse:
    """The branch that leads to ``message``, or to where the person stands; a POST keeps what was chosen of it."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    if not may_chat(person):
        raise PermissionDenied
    wanted = request.POST.get("message") or request.GET.get("message")
    tip = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    turns = turns_of(chat, tip)
    if request.method == "POST":
        try:
            suite = importing.keep(person, _name(request, chat), _items(request, turns))
        except NotTaken as refused:
            messages.error(request, str(refused))
        else:
            return redirect(f"{reverse('measures')}?suite={suite.pk}#new")
    context = {**index(request, chat), "chat": chat, "turns": turns, "tip": tip}
    return render(request, "measurement/freeze.html", context)


def turns_of(chat: Chat, tip: Message | None) -> list[Turn]:
    """Answers that a blind comparison withholds are left out, and so is a question without an answer."""
    found: list[Turn] = []
    before: list[dict[str, str]] = []
    question = ""
    for message in tree.path(chat, tip, LONGEST_BRANCH):
        text = text_of(tuple(record.parts_of(message)))
        if message.role == Message.Role.PERSON:
            question = text
            continue
        run = message.run
        if not question.strip() or not text.strip() or run is None or run.withheld:
            continue
        passages = [{"title": e["title"], "text": e["text"]} for e in run.evidence or []]
        found.append(Turn(len(found) + 1, question, text, list(before), passages))
        before += [{"role": "person", "text": question}, {"role": "model", "text": text}]
        question = ""
    return found


def _items(request: HttpRequest, turns: list[Turn]) -> list[Item]:
    """Raises NotTaken."""
    found = [_item(request, turn) for turn in turns if request.POST.get(f"keep-{turn.number}")]
    if not found:
        raise NotTaken("No question is chosen. Choose one at least.")
    return found


def _item(request: HttpRequest, turn: Turn) -> Item:
    lines = [one.strip() for one in request.POST.get(f"gold-{turn.number}", "").splitlines() if one.strip()]
    answers: list[str] | None = [] if request.POST.get(f"none-{turn.number}") else lines or None
    if answers == [] and lines:
        raise NotTaken(f"Question {turn.number} has an answer and is said to have none. Choose one of both.")
    return Item(
        position=turn.number,
        key=f"q{turn.number}",
        question=turn.question[: importing.LONGEST],
        answers=answers,
        evidence=turn.evidence or None,
        before=turn.before,
        reference=turn.answer,
        rubric=request.POST.get(f"rubric-{turn.number}", "").strip(),
    )


def _name(request: HttpRequest, chat: Chat) -> str:
    return " ".join(request.POST.get("name", "").split())[:120] or str(chat)
