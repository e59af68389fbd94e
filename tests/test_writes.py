"""What waits together is committed together, in order, and one failure is nobody else's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from workspace.accounts.models import Person
from workspace.writes import Writer

pytestmark = pytest.mark.django_db(transaction=True)


def add(name: str) -> str:
    Person.objects.create(username=name)
    return name


async def test_work_returns_what_it_made_once_it_is_committed() -> None:
    assert await Writer().submit(lambda: add("dora")) == "dora"
    assert await Person.objects.filter(username="dora").aexists()


async def test_jobs_run_in_the_order_in_which_they_came() -> None:
    writer, order = Writer(), list[int]()
    await asyncio.gather(*(writer.submit(lambda n=n: order.append(n)) for n in range(200)))
    assert order == list(range(200))


async def test_a_job_that_fails_in_a_group_takes_nobody_with_it() -> None:
    writer, gate = Writer(), threading.Event()
    first = asyncio.ensure_future(writer.submit(gate.wait))  # the rest gathers behind it
    await asyncio.sleep(0)
    names = ["erik", "erik", "frida"]
    rest = [asyncio.ensure_future(writer.submit(lambda name=name: add(name))) for name in names]
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(r).__name__ for r in results] == ["bool", "str", "IntegrityError", "str"]
    assert {p.username async for p in Person.objects.all()} == {"erik", "frida"}
