"""The matrix turns red: with one check taken away at a time, it names a cell that is wrong.

Each way of breaking access is a small change of the product, made for the length of one test. ``where`` keeps
the run to the routes (or frames) that the check stands in front of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat import access, authority, consumers, standing, uploads, views
from chat.consumers import WorkspaceConsumer
from chat.models import Blob, Chat, Message
from retrieval import access as documents
from retrieval.models import Document
from tests.access import frames, routes
from tests.access.table import Who
from tests.access.world import World, build
from workspace import admin_site
from workspace.accounts.admin.people import PersonAdmin
from workspace.accounts.models import Person
from workspace.wire import Ask

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("scripted")]

Break = Callable[[pytest.MonkeyPatch], None]


def every_chat(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "chats_of", lambda person: Chat.objects.filter(deleted=None))


def everybody_writes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "may_write", lambda person, chat: True)


def every_role_writes(patch: pytest.MonkeyPatch) -> None:
    for module in (access, authority, uploads, views):
        patch.setattr(module, "may_chat", lambda person: True)


def readers_rule(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "chat_to_rule", access.chat_for)


def anybody_undeletes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "deleted_chat", lambda person, id: Chat.objects.get(pk=id))


def children_without_parents(patch: pytest.MonkeyPatch) -> None:
    def found(person: Person, chat_id: Any, id: Any) -> Message:
        message = Message.objects.filter(pk=id, chat__in=access.chats_of(person)).first()
        return message or access._one(Message.objects.none(), id)  # type: ignore[no-any-return]

    patch.setattr(access, "message_for", found)


def every_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "run_message_for", lambda person, id: Message.objects.get(run_id=id))


def every_blob(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "blob_for", lambda person, digest: Blob.objects.get(digest=digest))


def every_document(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(documents, "documents_of", lambda person: Document.objects.all())


def refusals_that_tell(patch: pytest.MonkeyPatch) -> None:
    """A chat that exists and is not shared answers otherwise than one that was never there."""

    def told(person: Person, id: Any) -> Chat:
        if not access.chats_of(person).filter(pk=id).exists() and Chat.objects.filter(pk=id).exists():
            raise access.PermissionDenied
        return access._one(access.chats_of(person), id)  # type: ignore[no-any-return]

    patch.setattr(access, "chat_for", told)


def everybody_administers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admin_site, "may_administer", lambda person: True)


def admin_without_a_door(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admin_site.OnepaneAdminSite, "has_permission", lambda self, request: True)


def admins_above_the_owner(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PersonAdmin, "_is_above", lambda self, request, person: False)


def anybody_opens(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(consumers, "_may_open", lambda person_id, chat_id: (None, True))


def people_as_they_were(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authority, "author", lambda person_id: Person.objects.get(pk=person_id))


def sockets_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """A handshake without a session is taken for the owner's."""

    async def connect(self: WorkspaceConsumer) -> None:
        self.scope["user"] = await Person.objects.aget(username="member")
        await real(self)

    async def all_is_well(claim: standing.Claim) -> standing.Standing:
        return standing.Standing(signed_in=True)

    real = WorkspaceConsumer.connect
    patch.setattr(consumers, "standing_of", all_is_well)
    patch.setattr(WorkspaceConsumer, "connect", connect)


def deaf_to_news(patch: pytest.MonkeyPatch) -> None:
    async def shrug(self: WorkspaceConsumer, frame: bytes) -> None:
        return

    patch.setattr(WorkspaceConsumer, "_hear_news", shrug)


def news_without_a_look(patch: pytest.MonkeyPatch) -> None:
    async def shrug(self: WorkspaceConsumer, claim: standing.Claim, now: standing.Standing) -> None:
        return

    patch.setattr(WorkspaceConsumer, "stand", shrug)


ROUTES: list[tuple[Break, str]] = [
    (every_chat, "chat$|chat-place|run-|blob$"),
    (every_role_writes, "blobs$"),
    (readers_rule, "chat-rename|chat-delete|chat-share"),
    (anybody_undeletes, "chat-delete"),
    (children_without_parents, "chat-place"),
    (every_run, "run-"),
    (every_blob, "blob$"),
    (every_document, "document$"),
    (refusals_that_tell, "chat$"),
    (everybody_administers, "admin:index$|admin:router_run_changelist"),
    (admin_without_a_door, "admin:index$|admin:router_run_changelist"),
    (admins_above_the_owner, "admin:accounts_person_(link|change)$"),
]
FRAMES: list[tuple[Break, str]] = [
    (every_chat, Ask.OPEN),
    (everybody_writes, Ask.RETRY),
    (every_role_writes, Ask.STOP),
    (children_without_parents, Ask.STOP),
    (anybody_opens, Ask.OPEN),
    (people_as_they_were, Ask.SEND),
    (sockets_for_nobody, Ask.STOP),
]


def name(case: object) -> str:
    return getattr(case, "__name__", "")


@pytest.mark.parametrize(("broken", "where"), ROUTES, ids=name)
def test_a_route_without_its_check_is_found(
    db: None, monkeypatch: pytest.MonkeyPatch, broken: Break, where: str
) -> None:
    world = build()
    world.change(*Who)
    broken(monkeypatch)
    assert any(wrong for _, wrong in routes.failures(world, where))


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(("broken", "where"), FRAMES, ids=name)
async def test_a_frame_without_its_check_is_found(
    frames_world: World, monkeypatch: pytest.MonkeyPatch, broken: Break, where: str
) -> None:
    broken(monkeypatch)
    found = [wrong async for _, wrong in frames.failures(frames_world, (where,)) if wrong]
    assert found


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("broken", [deaf_to_news, news_without_a_look], ids=name)
async def test_a_socket_that_hears_on_is_found(
    frames_world: World, monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    broken(monkeypatch)
    assert [wrong async for _, wrong in frames.deaf(frames_world) if wrong]


@pytest.fixture
def frames_world(transactional_db: None) -> World:
    return build()
