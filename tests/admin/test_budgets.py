"""Budgets in the admin: made, shown with what is left of them, refused in words, and binding at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.models import Budget, DailyUsage


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def add(client: Client, **values: Any) -> Any:
    form = {"person": "", "group": "", "period": "month", "usd": "10", **values}
    return client.post(reverse("admin:router_budget_add"), form, follow=True)


def test_a_budget_is_made_shown_with_its_rest_and_taken_away(
    owner: Client, bob: Person, django_capture_on_commit_callbacks: Any
) -> None:
    assert catalog.load_sync().limits == ()
    with django_capture_on_commit_callbacks(execute=True):
        add(owner, person=bob.pk)
    budget = Budget.objects.get()
    assert [limit.budget_id for limit in catalog.load_sync().limits] == [budget.pk]
    DailyUsage.objects.create(day=timezone.localdate(), person=bob, cost=Decimal("2.5"))
    page = owner.get(reverse("admin:router_budget_changelist")).text
    assert "bob" in page and "$10.00" in page and "$7.50" in page
    with django_capture_on_commit_callbacks(execute=True):
        owner.post(reverse("admin:router_budget_delete", args=[budget.pk]), {"post": "yes"})
    assert not Budget.objects.exists() and catalog.load_sync().limits == ()


def test_a_budget_without_a_person_or_a_group_is_everybodys(owner: Client) -> None:
    add(owner)
    assert str(Budget.objects.get()) == "everybody: $10 a month"


@pytest.mark.parametrize(("usd", "said"), [("10", "Make two budgets for both."), ("-1", "A budget is 0 or more.")])
def test_what_can_not_be_is_refused_in_words(owner: Client, bob: Person, usd: str, said: str) -> None:
    group = Group.objects.create(name="research")
    answer = add(owner, person=bob.pk, group=group.pk if usd == "10" else "", usd=usd)
    assert not Budget.objects.exists() and said in answer.text
