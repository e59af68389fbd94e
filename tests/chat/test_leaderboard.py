"""Votes become strengths: blind and sighted apart, of the models that a reader may use, and few votes are no rank."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from chat.compare.leaderboard import LEAST, leaderboard
from chat.models import Chat, Comparison, Lane, Message, Vote
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.router.models import Run

pytestmark = pytest.mark.django_db


def vote(person: Person, *models: str, best: str = "", blind: bool = True, words: int = 5) -> None:
    """One comparison that has been voted on; the first model's answer has so many words."""
    chat = Chat.objects.create(owner=person)
    question = Message.objects.create(chat=chat, role="person", author=person, settled=True, client_id=uuid4())
    comparison = Comparison.objects.create(chat=chat, question=question, person=person, blind=blind)
    lanes = {}
    for place, name in enumerate(models):
        run = Run.objects.create(state="done", text="word " * (5 if place else words), manifest={"model": name})
        answer = Message.objects.create(chat=chat, parent=question, role="model", run=run, depth=1, settled=True)
        lanes[name] = Lane.objects.create(comparison=comparison, place=place, answer=answer, asked={"model": name})
    Vote.objects.create(
        comparison=comparison, person=person, choice="best" if best else "tie", lane=lanes.get(best), blind=blind,
        digests={},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def models(db: None) -> None:
    for name in ("strong", "weak", "new"):
        add_model(name)
    add_model("secret", groups=["bridge"])


def told(groups: set[str] | None = None, **options: bool) -> list[str]:
    chosen = {"blind": True, "styled": False, "versions": False, **options}
    return [one.strength.model for one in leaderboard(groups or set(), **chosen).standings]


def test_who_wins_stands_first_and_who_has_few_votes_stands_apart(alice: Person) -> None:
    for n in range(30):
        vote(alice, "strong", "weak", best="weak" if n % 5 == 0 else "strong")
    vote(alice, "new", "weak", best="new")
    assert told() == ["strong", "weak"]
    found = leaderboard(set(), blind=True, styled=False, versions=False)
    assert found.few == [("new", 1)] and found.votes == 31
    assert [one.strength.rank for one in found.standings] == [1, 2]


def test_blind_and_sighted_votes_are_never_mixed(alice: Person) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "weak", best="strong")
        vote(alice, "strong", "weak", best="weak", blind=False)
    assert told() == ["strong", "weak"]
    assert told(blind=False) == ["weak", "strong"]


def test_a_win_by_length_alone_is_taken_out(alice: Person) -> None:
    for n in range(60):
        words = 40 if n % 2 else 1
        vote(alice, "strong", "weak", best="strong" if (words == 40) ^ (n % 10 == 0) else "weak", words=words)
    for n in range(40):
        vote(alice, "strong", "weak", best="strong" if n % 10 else "weak", words=40)
    plain = leaderboard(set(), blind=True, styled=False, versions=False).standings
    held = leaderboard(set(), blind=True, styled=True, versions=False).standings
    lead = plain[0].strength.elo - plain[1].strength.elo
    fair = next(s.strength.elo for s in held if s.strength.model == "strong")
    fair -= next(s.strength.elo for s in held if s.strength.model == "weak")
    assert plain[0].strength.model == "strong" and abs(fair) < lead


def test_a_model_that_a_reader_may_not_use_is_not_named(alice: Person, client: Client) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "secret", best="secret")
    assert told() == [] and told({"bridge"}) == ["secret", "strong"]
    client.force_login(alice)
    page = client.get("/leaderboard/").content.decode()
    assert "secret" not in page and "Too few votes" in page


def test_versions_and_settings_are_told_apart_when_asked(alice: Person, client: Client) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "weak", best="strong")
    client.force_login(alice)
    page = client.get("/leaderboard/?versions=1").content.decode()
    assert "strong version" in page and "strong version" in " ".join(told(versions=True))
