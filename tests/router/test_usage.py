"""What was used, as both pages tell it: by day, model, person and route; and each person sees their own alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.providers.setup import ensure_quotes
from workspace.router import catalog, decisions, usage
from workspace.router.health import health
from workspace.router.models import Budget, DailyUsage
from workspace.router.usage import Span
from workspace.router.usage_plot import COLOURS, plot
from workspace.types import Failure

pytestmark = pytest.mark.django_db
ADMIN_PAGE = "admin:router_dailyusage_changelist"
Spend = Callable[..., None]


@pytest.fixture
def spend() -> Spend:
    def spend(person: Person, model: str, usd: str, *, days_ago: int = 0, **more: Any) -> None:
        day = timezone.localdate() - timedelta(days=days_ago)
        sums = {"runs": 2, "tokens_input": 1_000, "tokens_output": 200, **more}
        DailyUsage.objects.create(day=day, person=person, model=model, cost=Decimal(usd), **sums)

    return spend


@pytest.fixture
def add_echo(db: None) -> None:
    ensure_quotes()
    add_model("echo")


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_a_span_is_summed_by_each_part_dearest_first(alice: Person, bob: Person, spend: Spend) -> None:
    spend(alice, "atlas", "3", route="long")
    spend(bob, "flash", "1", route="short", failed=1)
    spend(bob, "atlas", "2", days_ago=6)
    spend(bob, "atlas", "50", days_ago=7)
    week = Span.until_today(7)
    now, before = usage.total(week), usage.total(week.before)
    assert (now.cost, now.answers, now.failed, now.tokens) == (Decimal(6), 6, 1, 3_600)
    assert (before.cost, before.answers) == (Decimal(50), 2)
    told = {part: [(name, figures.cost) for name, figures in usage.by(part, week)] for part in usage.PARTS}
    assert told == {
        "model": [("atlas", 5), ("flash", 1)],
        "person": [("bob", 3), ("alice", 3)],
        "route": [("long", 3), ("", 2), ("short", 1)],
    }
    assert usage.total(week, person_id=bob.pk).cost == 3


def test_a_plot_stacks_to_the_sum_of_each_day(alice: Person, spend: Spend) -> None:
    for number in range(COLOURS + 3):
        spend(alice, f"model-{number}", str(number + 1), days_ago=2)
    spend(alice, "model-0", "11", days_ago=0)
    span = Span.until_today(7)
    drawn = plot(usage.by_day(span), span, "cost")
    assert [bar.value for bar in drawn.bars] == [0, 0, 0, 0, 55, 0, 11]
    assert drawn.greatest == 55 and drawn.names[-1] == "all others" and len(drawn.names) == COLOURS + 1
    assert drawn.names[0] == "model-0"
    for bar in drawn.bars:
        assert sum(piece.height for piece in bar.pieces) == pytest.approx(float(bar.value) / 55 * 100, abs=0.01)
    assert drawn.bars[4].pieces[-1].y == pytest.approx(0, abs=0.01)


def test_a_year_is_drawn_in_weeks_that_lose_no_day(alice: Person, spend: Spend) -> None:
    for days in (0, 1, 100, 364):
        spend(alice, f"of-{days}", "1", days_ago=days)
    span = Span.until_today(365)
    drawn = plot(usage.by_day(span), span, "answers")
    assert len(drawn.bars) == 53 and sum(bar.value for bar in drawn.bars) == 8
    assert drawn.bars[0].first == span.first and drawn.bars[-1].last == span.last


def test_the_admin_sees_everybody_and_narrows_to_one(alice: Person, bob: Person, spend: Spend) -> None:
    spend(alice, "atlas", "3.25")
    spend(bob, "flash", "1.5", unpriced=4)
    client = signed_in(alice)
    page = client.get(reverse(ADMIN_PAGE)).text
    assert "$4.75" in page and "atlas" in page and "flash" in page and "4 calls without a known price" in page
    page = client.get(reverse(ADMIN_PAGE), {"person": "bob", "of": "tokens", "days": "7"}).text
    assert (
        "$1.50" in page and "flash" in page and "atlas" not in page and "days=30&amp;of=tokens&amp;person=bob" in page
    )


def test_a_person_sees_their_own_and_what_their_budgets_allow(alice: Person, bob: Person, spend: Spend) -> None:
    group = Group.objects.create(name="research")
    group.user_set.add(bob)
    Budget.objects.create(person=bob, usd=10)
    Budget.objects.create(group=group, usd=5, period="day")
    Budget.objects.create(person=alice, usd=999)
    spend(alice, "atlas", "3")
    spend(bob, "flash", "1.5")
    page = signed_in(bob).get(reverse("usage")).text
    assert "flash" in page and "atlas" not in page and "alice" not in page and "999" not in page
    assert "$8.50 of $10.00 left" in page and "$3.50 of $5.00 left" in page


def test_nothing_used_says_so(bob: Person) -> None:
    page = signed_in(bob).get(reverse("usage")).text
    assert "Nothing was asked in these days" in page and "<svg viewBox" not in page.partition("usage-figures")[2]


@pytest.mark.parametrize("query", [{"days": "8"}, {"days": "x"}, {"of": "shoes"}, {"person": "nobody"}])
def test_what_is_not_offered_shows_the_usual_page(alice: Person, spend: Spend, query: dict[str, str]) -> None:
    spend(alice, "atlas", "3")
    answer = signed_in(alice).get(reverse(ADMIN_PAGE), query)
    assert answer.status_code == 200 and "atlas" in answer.text
    assert ("There is nobody called" in answer.text) == ("person" in query)


def test_the_download_has_every_day_and_runs_no_formula(alice: Person, bob: Person, spend: Spend) -> None:
    spend(alice, "=cmd()", "0.00000123", days_ago=1)
    spend(bob, "flash", "1.5", route="short")
    answer = signed_in(alice).get(reverse(ADMIN_PAGE), {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["person"], row["model"], row["cost_usd"]) for row in rows] == [
        ("alice", "'=cmd()", "0.00000123"),
        ("bob", "flash", "1.50000000"),
    ]
    own = signed_in(bob).get(reverse("usage"), {"format": "csv"})
    assert "alice" not in own.text and "flash" in own.text


# --- The admin's first page


def first_page(alice: Person) -> str:
    text: str = signed_in(alice).get(reverse("admin:index")).text
    return text


def test_the_first_page_tells_the_month_and_what_needs_somebody(alice: Person, bob: Person, spend: Spend) -> None:
    ensure_quotes()
    Budget.objects.create(person=bob, usd=10)
    spend(bob, "flash", "9", failed=3, runs=6)
    page = first_page(alice)
    assert "$9.00" in page and "6" in page
    assert "No language model is set up" in page
    assert "Of bob’s budget for this month $1.00 of $10.00 is left" in page
    assert "3 of today’s 6 answers failed" in page


def test_a_quiet_workspace_has_nothing_to_do(alice: Person, add_echo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_dropped", 0)  # whatever this process lost in other tests
    assert "Needs you" not in first_page(alice)


def test_a_model_that_fails_and_one_without_a_price_are_named(
    alice: Person, add_echo: None, settings: LazySettings
) -> None:
    settings.REDIS_URL = ""  # no other process is told of it
    candidate = catalog.load_sync().candidates["echo"]
    refused = Failure(code="auth", cause="The key was refused.", action="Renew it.", permanent=True)
    health.note(candidate, refused)
    Budget.objects.create(usd=10)
    catalog.forget()
    page = first_page(alice)
    assert "echo keeps failing (The key was refused)" in page
    assert "The price of echo is not known" in page
