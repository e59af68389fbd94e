"""Suites are named, shared and deleted; who is not invited sees neither a suite nor a report of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from retrieval.models import Collection
from tests.measurement.test_judging import lines
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.measurement import corpus, importing, starting
from workspace.measurement import tasks as measurement_tasks
from workspace.measurement.models import Item, Measurement, Schedule, Suite

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scripted")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement_tasks.go_on, "delay", lambda *_: None)
    add_model("clerk", price="10")


@pytest.fixture
def measured(alice: Person) -> Measurement:
    measurement = starting.begin(alice, importing.add(alice, "things.jsonl", lines()), ["clerk"], queued=False)
    Measurement.objects.update(state="paused")
    return measurement


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def sees(person: Person, measurement: Measurement) -> bool:
    page = browser(person)
    listed = "things.jsonl" in page.get("/measure/").content.decode()
    parts = [page.get(f"/measure/{measurement.pk}/{part}").status_code for part in ("", "items/", "json/", "progress/")]
    assert set(parts) == {200 if listed else 404}
    return listed


@pytest.mark.parametrize("to", ["bob", "Bridge"])
def test_a_shared_suite_is_measured_and_its_reports_are_read(
    alice: Person, bob: Person, charlie: Person, measured: Measurement, to: str
) -> None:
    Group.objects.create(name="bridge").user_set.add(bob)
    assert not sees(bob, measured)
    owner, suite = browser(alice), f"/measure/suites/{measured.suite_id}/"
    assert "Nobody here is named" in owner.post(suite, {"share": "nobody"}, follow=True).content.decode()
    owner.post(suite, {"share": to})
    assert sees(bob, measured) and not sees(charlie, measured)
    guest = browser(bob)
    assert 'name="to"' not in guest.get(f"/measure/{measured.pk}/").content.decode()
    for address, form in (
        (f"/measure/{measured.pk}/change/", {"to": "on"}),
        (f"/measure/{measured.pk}/delete/", {}),
        (suite, {"delete": "1"}),
    ):
        assert guest.post(address, form).status_code == 403
        assert browser(charlie).post(address, form).status_code == 404
    form = {"known": str(measured.suite_id), "model": ["clerk"], "grounded": "1"}
    assert guest.post("/measure/begin/", form).status_code == 302
    theirs = Measurement.objects.get(owner=bob)
    assert sees(alice, theirs) and owner.post(f"/measure/{theirs.pk}/change/", {"to": "pause"}).status_code == 403
    owner.post(suite, {"unshare": str(measured.suite.shares.get().pk)})
    assert browser(bob).get(f"/measure/{measured.pk}/").status_code == 404
    assert browser(bob).get(f"/measure/{theirs.pk}/").status_code == 200, "what he measured stays his"


def test_a_schedule_over_a_suite_that_is_no_longer_shared_says_so(
    alice: Person, bob: Person, measured: Measurement
) -> None:
    Schedule.objects.create(
        owner=bob, suite=measured.suite, lanes=["clerk"], hours=24, due=timezone.now() - timedelta(minutes=1)
    )
    assert starting.begin_due() == 0
    assert Schedule.objects.get().why == "The suite is no longer shared with bob."


def test_a_suite_is_named_and_deleted_with_all_that_hangs_on_it(alice: Person, measured: Measurement) -> None:
    owner, suite = browser(alice), f"/measure/suites/{measured.suite_id}/"
    owner.post(suite, {"name": "  All   things "})
    assert "All things" in owner.get("/measure/").content.decode()
    assert "needs a name" in owner.post(suite, {"name": " "}, follow=True).content.decode()
    Measurement.objects.update(state="running")
    assert "Pause" in owner.post(suite, {"delete": "1"}, follow=True).content.decode()
    assert "Pause" in owner.post(f"/measure/{measured.pk}/delete/", follow=True).content.decode()
    assert Suite.objects.exists() and Measurement.objects.exists()
    Measurement.objects.update(state="done")
    owner.post(f"/measure/{measured.pk}/delete/")
    assert Suite.objects.exists() and not Measurement.objects.exists()
    owner.post(suite, {"delete": "1"})
    assert not Suite.objects.exists() and not Item.objects.exists()
    assert owner.post(f"/measure/suites/{uuid4()}/", {"delete": "1"}).status_code == 404


def test_texts_go_with_the_last_suite_that_asks_about_them(alice: Person) -> None:
    texts = corpus.add(alice, "village", b'{"id": "1", "title": "Bell", "text": "The bell is bronze."}')
    first = importing.add(alice, "one.jsonl", lines(1), collection=texts)
    second = importing.add(alice, "two.jsonl", lines(2), collection=texts)
    for suite, left in ((first, True), (second, False)):
        browser(alice).post(f"/measure/suites/{suite.pk}/", {"delete": "1"})
        assert Collection.objects.filter(pk=texts.pk).exists() is left
