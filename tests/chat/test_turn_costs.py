"""What a turn asks the database: it is on the path of every question, so each query more is felt by everybody."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from chat import live, record
from chat.frames import Send
from workspace.accounts.models import Person
from workspace.router.run_rows import Outcome, settle_row
from workspace.router.states import RunState
from workspace.types import Manifest

pytestmark = pytest.mark.django_db


def _asked(alice: Person, **fields: Any) -> record.Opened:
    return record.open_send(alice.pk, Send(client_id=uuid4(), text="Why tea?", **fields))


def _settle(opened: record.Opened) -> None:
    assert opened.answer.run_id
    outcome = Outcome(opened.answer.run_id, RunState.DONE, "Because.", "", Manifest(), None, 1)
    settle_row(outcome)
    record.settle_answer(opened.answer.pk, outcome)


def test_a_turn_asks_the_database_little(alice: Person, django_assert_num_queries: Any) -> None:
    first = _asked(alice)
    _settle(first)
    with django_assert_num_queries(12):
        second = _asked(alice, chat=first.chat.pk, parent=first.answer.pk)
    with django_assert_num_queries(6):
        _settle(second)
    with django_assert_num_queries(2):
        live.settled_frame(second.answer.pk)
