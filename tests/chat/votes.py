"""Votes on comparisons, as rows: what a leaderboard is made of.

``python -m tests.chat.votes`` casts many in the database that the environment names, blind and sighted, of several
models and topics, by the first two people there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chat.models import Lane
    from workspace.accounts.models import Person

MODELS = ("counting", "instant", "md", "echo")  # the strongest first; of the tests' provider
NEW = "vision"  # with too few votes for a rank
QUESTIONS = ("Write a python function that sorts a list.", "Write an email to the landlord.")


def vote(
    person: Person,
    *models: str,
    best: str = "",
    blind: bool = True,
    text: str = "",
    question: str = "Which is it?",
    each: Sequence[Mapping[str, Any]] = ({}, {}, {}),
    **run: Any,
) -> list[Lane]:
    """One comparison that has been voted on; the first answer has that text, runs are as told, each or all."""
    from chat.models import Chat, Comparison, Lane, Message, Vote
    from workspace.router.models import Run

    chat = Chat.objects.create(owner=person)
    parts = [{"kind": "text", "text": question}]
    asked = Message.objects.create(chat=chat, role="person", author=person, settled=True, parts=parts)
    comparison = Comparison.objects.create(chat=chat, question=asked, person=person, blind=blind)
    lanes = {}
    for place, name in enumerate(models):
        words = text if text and not place else "word " * 5
        made = {"state": "done", "text": words, "manifest": {"model": name}, **run, **each[place]}
        answer = Message.objects.create(
            chat=chat, parent=asked, role="model", run=Run.objects.create(**made), depth=1, settled=True
        )
        lanes[name] = Lane.objects.create(comparison=comparison, place=place, answer=answer, asked={"model": name})
    choice = "best" if best else "tie"
    digests = {lane.letter: lane.answer.digest for lane in lanes.values()}
    Vote.objects.create(
        comparison=comparison, person=person, choice=choice, lane=lanes.get(best), blind=blind, digests=digests
    )
    return list(lanes.values())


def cast(times: int = 14) -> None:
    """Every two models meet so often, blind and sighted; of four votes the stronger one wins two, and one is a tie.
    What an answer costs, and how long its first token takes, are in the order of the models."""
    from workspace.accounts.models import Person

    people = list(Person.objects.order_by("pk")[:2])
    for n in range(times):
        for pair in combinations(MODELS, 2):
            took = [{"cost": Decimal(4 - MODELS.index(one)) / 500, "first_token_s": 0.2 * 2 ** MODELS.index(one)}
                    for one in pair]  # fmt: skip
            for blind in (True, False):
                best = (pair[0], pair[0], "", pair[1])[n % 4]
                asked = QUESTIONS[n % len(QUESTIONS)]
                vote(people[n % len(people)], *pair, best=best, blind=blind, question=asked, each=took)
    for blind in (True, False):
        vote(people[0], NEW, MODELS[0], best=NEW, blind=blind, cost=Decimal("0.004"))


if __name__ == "__main__":
    import django

    django.setup()
    from django.db import transaction

    with transaction.atomic():
        cast()
