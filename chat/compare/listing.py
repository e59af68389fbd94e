"""The comparisons of the chats that a person may read, as a list: what was asked, of whom, and what was voted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch

from chat import access
from chat.models import Comparison, Lane, Vote
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.router.states import SETTLED

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """One comparison. What a blind one withholds is not here."""

    comparison: Comparison
    lanes: Sequence[Lane]
    vote: Vote | None
    may_vote: bool

    @property
    def question(self) -> str:
        words = next((part["text"] for part in self.comparison.question.parts if part.get("kind") == "text"), "")
        return " ".join(words.split()) or "An image"

    @property
    def models(self) -> Sequence[tuple[int | None, str]]:
        """Mark and name of each lane's model; none, while who wrote what is withheld."""
        if self.comparison.is_withheld:
            return ()
        versions = [(lane, lane.answer.run.model_version if lane.answer.run else None) for lane in self.lanes]
        return [(v.model.mark, v.model.name) if v else (None, lane.asked.get("model", "")) for lane, v in versions]

    @property
    def waits(self) -> bool:
        """Whether it is only the reader's vote that is missing."""
        return self.may_vote and self.vote is None and all(lane.answer.settled for lane in self.lanes)

    @property
    def is_writing(self) -> bool:
        return any(lane.answer.run and lane.answer.run.state not in SETTLED for lane in self.lanes)


def listed(person: Person) -> list[Listed]:
    """The newest first."""
    lanes = (
        Lane.objects.filter(replaced=False)
        .select_related("answer__run__model_version__model")
        .defer("answer__run__text", "answer__run__evidence", "answer__run__reasoning", "answer__run__manifest")
    )
    found = Comparison.objects.filter(chat__in=access.chats_of(person)).select_related("chat", "question__author")
    newest = list(found.prefetch_related(Prefetch("lanes", lanes)).order_by("-created")[:SHOWN])
    votes = Vote.objects.filter(person=person, comparison__in=[one.pk for one in newest]).select_related("lane")
    mine = {vote.comparison_id: vote for vote in votes}
    rights = access.rights_in({one.chat_id for one in newest}, [person.pk]) if may_chat(person) else {}
    return [
        Listed(one, list(one.lanes.all()), mine.get(one.pk), rights.get((one.chat_id, person.pk), False))
        for one in newest
    ]
