"""A run that has settled does not change, and none becomes somebody else's: the database refuses it, whoever asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from workspace.accounts.models import Person
from workspace.router import frozen
from workspace.router.models import Run
from workspace.types import Manifest, sha256

pytestmark = pytest.mark.django_db
GOES = {"person_id"}  # and comes to nobody
MAY_CHANGE = {"id", "withheld", "reserved", "seq", "owner", "heartbeat"}
CHANGED: dict[str, Any] = {
    "state": "running", "manifest": {}, "text": "Other.", "reasoning": "Hm?", "evidence": [{"number": 1}],
    "decision": {"model": "other"}, "failure": {"code": "none"}, "tokens_input": 4, "tokens_output": None,
    "cost": "0.5", "first_token_s": 0.2, "total_s": None, "imported": True, "created": timezone.now() + timedelta(1),
    "settled": None,
}  # fmt: skip


@pytest.fixture
def settled(alice: Person) -> Run:
    manifest = Manifest(model="plain", text_digest=sha256("Tea.")).as_dict()
    return Run.objects.create(
        person=alice, state="done", text="Tea.", reasoning="Hm.", manifest=manifest, tokens_input=3, tokens_output=5,
        cost="0.00001234", first_token_s=0.1, total_s=1.5, settled=timezone.now(), withheld=True,
    )  # fmt: skip


def test_every_column_stays_or_may_change() -> None:
    versions = {"model_version_id", "router_version_id", "template_version_id"}
    assert {field.attname for field in Run._meta.concrete_fields} == set(frozen.RUN) | GOES | MAY_CHANGE
    assert set(frozen.RUN) == CHANGED.keys() | versions


@pytest.mark.parametrize("name", CHANGED)
def test_nothing_of_a_settled_run_changes(settled: Run, name: str) -> None:
    """Also not its state, which would let all else change."""
    with pytest.raises(DatabaseError, match="a settled run does not change"), transaction.atomic():
        Run.objects.filter(pk=settled.pk).update(**{name: CHANGED[name]})


def test_one_that_was_stopped_before_it_began_is_given_no_words() -> None:
    run = Run.objects.create(state="stopped", settled=timezone.now())
    with pytest.raises(DatabaseError, match="a settled run does not change"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(text="Words.")


@pytest.mark.parametrize("state", ["running", "interrupted", "done"])
def test_a_run_is_not_given_to_somebody_else(settled: Run, bob: Person, state: str) -> None:
    run = settled if state == "done" else Run.objects.create(person=settled.person, state=state)
    for whose in (settled.person, None):
        with pytest.raises(DatabaseError, match="whose a run is does not change"), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(person=bob)
        assert Run.objects.get(pk=run.pk).person == whose
        Run.objects.filter(pk=run.pk).update(person=None)  # nor to somebody once it is nobody's


def test_what_is_no_part_of_history_goes_on(settled: Run, alice: Person) -> None:
    Run.objects.filter(pk=settled.pk).update(withheld=False, owner="", reserved=None, seq=9)
    settled.refresh_from_db()
    settled.save()  # every column, none of them altered
    alice.delete()
    assert Run.objects.get(pk=settled.pk).person is None
    half = Run.objects.create(state="interrupted", text="Half", settled=timezone.now())
    assert Run.objects.filter(pk=half.pk).update(state="running", settled=None) == 1


def test_the_guard_of_an_older_version_gives_way(settled: Run) -> None:
    frozen.lift()
    if connection.vendor == "sqlite":
        old = "CREATE TRIGGER router_run_frozen BEFORE UPDATE OF text ON router_run WHEN FALSE BEGIN SELECT 1; END"
    else:
        old = "CREATE TRIGGER router_run_frozen BEFORE UPDATE ON router_run FOR EACH ROW WHEN (FALSE) EXECUTE FUNCTION "
        old += "router_run_frozen()"
    with connection.cursor() as cursor:
        cursor.execute(old)
    assert Run.objects.filter(pk=settled.pk).update(total_s=2.0) == 1, "the premise"
    frozen.install(using="default")
    with pytest.raises(DatabaseError, match="a settled run does not change"), transaction.atomic():
        Run.objects.filter(pk=settled.pk).update(total_s=3.0)
