"""Three people for every test: Alice owns, Bob is invited, Charlie must see nothing."""

from __future__ import annotations

import inspect
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.apps import apps
from django.conf import LazySettings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.test import TransactionTestCase

from tests import emptying
from tests.serving import Served
from tests.upstream import Upstream
from workspace.accounts.models import Person, Role
from workspace.router import frozen

TransactionTestCase._fixture_teardown = emptying.empty
frozen.lift = emptying.lift

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background of a shell: servers would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """A transactional test empties every table, the audit log too: its tests put the guard back for themselves."""
    from workspace.audit import guard

    post_migrate.disconnect(sender=apps.get_app_config("audit"), dispatch_uid=guard.NAME)
    with django_db_blocker.unblock():
        guard.lift()


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A scripted provider, for tests that serve the whole product."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def keys(served: Served) -> list[str]:
    """The session keys of people who no test has been yet, of this folder's own server."""
    return served.keys


@pytest.fixture
def alice(db: None) -> Person:
    return Person.objects.create_user("alice", password="an orchard in winter", role=Role.OWNER)


@pytest.fixture
def bob(db: None) -> Person:
    return Person.objects.create_user("bob", password="a boat under bridges", role=Role.MEMBER)


@pytest.fixture
def charlie(db: None) -> Person:
    return Person.objects.create_user("charlie", password="a chair by the door", role=Role.MEMBER)


@pytest.fixture(autouse=True)
def own_data(settings: LazySettings, tmp_path: Path) -> None:
    """Files of a test go with it."""
    settings.BLOB_DIR, settings.DOCUMENT_DIR = tmp_path / "blobs", tmp_path / "documents"


@pytest.fixture(autouse=True)
def connections_end_with_the_test() -> Iterator[None]:
    """A thread that outlives its test, such as the writer's, holds no connection into the next one.

    PostgreSQL would refuse to drop the database of the tests; the thread opens another when it needs one.
    """
    opened: list[BaseDatabaseWrapper] = []

    def keep(connection: BaseDatabaseWrapper, **_: object) -> None:
        opened.append(connection)

    connection_created.connect(keep)
    yield
    connection_created.disconnect(keep)
    for connection in opened:
        if connection is not connections[connection.alias] and not connection.in_atomic_block:
            connection.inc_thread_sharing()
            connection.close()
            connection.dec_thread_sharing()


@pytest.fixture(autouse=True)
def fresh_catalog() -> None:
    """What one test configured, or found out of a model, the next must not see in a cache."""
    from workspace.router import catalog, history, room
    from workspace.router.health import health

    catalog.forget()
    history.forget()
    room.forget()
    health.forget()


@pytest_asyncio.fixture
async def hub_ends_with_the_test() -> AsyncIterator[None]:
    """A relay that waits for Redis would not always heed the loop's own end."""
    from workspace.hub import hub

    yield
    await hub().close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For every asynchronous test, and no other."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.append(hub_ends_with_the_test.__name__)


@pytest_asyncio.fixture
async def live(transactional_db: Any) -> AsyncIterator[None]:
    """Runs of a test end with it."""
    from workspace.router.runs import registry

    yield
    await registry().close()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted provider is one of the registry's, with nothing left from another test."""
    from tests.scripted import Scripted
    from workspace.providers import registry

    Scripted.scripts.clear()
    Scripted.calls.clear()
    monkeypatch.setitem(registry.PROVIDERS, "scripted", "tests.scripted.Scripted")
