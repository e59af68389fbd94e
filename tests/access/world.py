"""A small workspace with something of everything, and ten people who try to get at it."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

from chat import steps, tree
from chat.exchange.story import Said
from chat.models import (
    Attachment,
    Blob,
    Chat,
    ChatShare,
    Checkpoint,
    Comparison,
    Imported,
    Lane,
    Message,
    MessageBlob,
    Replay,
    Replayed,
    ShareLink,
)
from retrieval import files
from retrieval.models import Collection, CollectionState, Document, EmbeddingModel, SearchSettings
from retrieval.web.engines import ensure as ensure_engines
from tests.access.table import Who
from tests.scripted import add_model
from tests.tab import session_of
from workspace import blobs
from workspace.accounts import links
from workspace.accounts.models import IdentityProvider, Invitation, Person, Role
from workspace.api import tokens
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.measurement.models import Item, Measurement, Outcome, Schedule, Suite
from workspace.router import rollouts
from workspace.router.catalog import ACTIVE
from workspace.router.configuration import DEFAULT_SOURCE, save_version
from workspace.router.models import (
    Budget,
    DailyUsage,
    LoggedDecision,
    PromptTemplate,
    PromptTemplateVersion,
    Run,
)
from workspace.router.seed import ensure_defaults
from workspace.types import sha256

ROLES = {
    Who.OWNER: Role.OWNER,
    Who.ADMIN: Role.ADMIN,
    Who.VIEWER: Role.VIEWER,
    Who.DEMOTED: Role.ADMIN,
    Who.DEACTIVATED: Role.ADMIN,
}


@dataclass
class World:
    people: dict[Who, Person | AnonymousUser]
    sessions: dict[Who, SessionBase]
    chat: Chat
    question: Message
    answer: Message
    elsewhere: Message  # an answer in another chat of the same person
    comparison: Comparison
    lanes: list[Lane]
    rows: dict[str, Any]  # model's label -> a row of it
    values: dict[str, Any]  # a route's parameter -> what stands in this world for it

    def change(self, *whom: Who) -> None:
        """What happens to these while they are signed in; to the others nothing does."""
        if Who.DEMOTED in whom:
            Person.objects.filter(pk=self.people[Who.DEMOTED].pk).update(role=Role.VIEWER)
        if Who.DEACTIVATED in whom:
            Person.objects.filter(pk=self.people[Who.DEACTIVATED].pk).update(is_active=False)


def build() -> World:
    people: dict[Who, Person | AnonymousUser] = {
        who: Person.objects.create_user(who.name.lower(), role=ROLES.get(who, Role.MEMBER))
        for who in Who
        if who is not Who.SIGNED_OUT
    }
    people[Who.SIGNED_OUT] = AnonymousUser()
    sessions = {who: session_of(person) for who, person in people.items()}
    member = people[Who.MEMBER]
    assert isinstance(member, Person)
    chat, question, answer = _chat(member)
    elsewhere = _chat(member)[2]
    group = Group.objects.create(name="bridge")
    for who in (Who.WRITER, Who.DEMOTED, Who.DEACTIVATED):
        people[who].groups.add(group)  # type: ignore[union-attr]
    for one in (chat, elsewhere.chat):
        _share(one, people, group)
    digest = blobs.keep(b"\x89PNG as far as this test goes")
    blob = Blob.objects.create(digest=digest, media_type="image/png", size=30)
    Attachment.objects.create(blob=blob, person=member)
    MessageBlob.objects.create(message=question, blob=blob)
    add_model("plain")
    ensure_defaults()
    Invitation.objects.create(author=people[Who.ADMIN], digest="0" * 64, expires=timezone.now() + timedelta(days=1))
    IdentityProvider.objects.create(name="House", slug="house", server_url="https://id.example", client_id="onepane")
    Budget.objects.create(usd=100)
    version = save_version(ACTIVE, DEFAULT_SOURCE + "\n", models=["quotes"], activate=False)
    rollout = rollouts.begin(version, percent=0, most=10)
    record(Action.CHANGED, about=member)
    DailyUsage.objects.create(person=member, day=timezone.localdate(), model="quotes", runs=1)
    LoggedDecision.objects.create(person=member, run=answer.run_id, model="plain")
    collection = Collection.objects.create(name="Orchard", owner=member)
    document = Document.objects.create(
        collection=collection, title="Pruning", name="p.md", digest=files.keep(b"secret"), size=6, text="secret"
    )
    comparison = Comparison.objects.create(chat=chat, question=question, person=member)
    lanes = [_lane(comparison, place) for place in range(2)]
    suite = Suite.objects.create(owner=member, name="Bridges", digest="0" * 64)
    measurement = Measurement.objects.create(suite=suite, owner=member, lanes=[{"label": "plain", "model": "plain"}])
    item = Item.objects.create(suite=suite, position=1, key="1", question="Which bridge?")
    outcome = Outcome.objects.create(measurement=measurement, item=item, lane=0, run=answer.run, cell="invented")
    schedule = Schedule.objects.create(owner=member, suite=suite, lanes=["plain"], hours=24, due=timezone.now())
    replay = Replay.objects.create(chat=chat, person=member)
    Replayed.objects.create(replay=replay, place=0, message=answer)
    shown = [asdict(Said(side="person", who="member", text="Which?", images=({"digest": digest},)))]
    link = ShareLink.objects.create(
        digest=sha256("shared"), chat=chat, person=member, title="Bridges", snapshot=shown,
        expires=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    Imported.objects.create(chat=elsewhere.chat, person=member, source="Claude")
    persona = PromptTemplate.objects.create(name="teacher", title="Teacher", owner=member)
    persona.current = PromptTemplateVersion.objects.create(template=persona, number=1, system="Teach.")
    persona.save(update_fields=["current"])
    another = PromptTemplate.objects.exclude(pk=persona.pk).get()
    PromptTemplateVersion.objects.create(template=another, number=2, system="Answer.")
    CollectionState.objects.create(collection=collection, number=1, documents=[], digest="0" * 64)
    checkpoint = Checkpoint.objects.create(chat=chat, name="Agreed", message=answer, author=member)
    step = steps.name(chat, member, answer, "The bridge")
    steps.name(elsewhere.chat, member, elsewhere, "Another")
    ensure_engines()
    SearchSettings.objects.create(pk=1)
    EmbeddingModel.objects.create(name="Other", model="org/other")
    rows = {model._meta.label_lower: model._default_manager.order_by("pk").first() for model in apps.get_models()}
    rows["accounts.person"] = people[Who.STRANGER]
    values = {
        "chat": chat.pk,
        "run": answer.run_id,
        "blob": digest,
        "document": document.pk,
        "collection": collection.pk,
        "measure": measurement.pk,
        "outcome": outcome.pk,
        "suite": suite.pk,
        "schedule": schedule.pk,
        "checkpoint": checkpoint.pk,
        "step": step.pk,
        "replay": replay.pk,
        "link": link.pk,
        "secret": "shared",
        "picture": digest,
        "persona": persona.pk,
        "comparison": comparison.pk,
        "answer": lanes[0].answer_id,
        "rollout": rollout.pk,
        "sign-in-link": links.make(member, minutes=5),
        "join": "no-such-invitation",
        "openid_connect_login": "nowhere",
        "openid_connect_callback": "nowhere",
        "mfa_edit_webauthn": 10**6,
        "mfa_remove_webauthn": 10**6,
        "model": "plain",
        "revoke-token": tokens.make(member, name="script")[0].pk,
    }
    return World(people, sessions, chat, question, answer, elsewhere, comparison, lanes, rows, values)


def _chat(owner: Person) -> tuple[Chat, Message, Message]:
    chat = Chat.objects.create(owner=owner, title="Bridges")
    parts = [{"kind": "text", "text": "Which bridge?"}]
    question = Message.objects.create(chat=chat, role="person", author=owner, settled=True, parts=parts)
    run = Run.objects.create(person=owner, state="done", text="The old one.", manifest={"model": "plain"})
    answer = Message.objects.create(chat=chat, parent=question, role="model", run=run, depth=1, settled=True)
    tree.stand(chat, owner, answer)
    return chat, question, answer


def _lane(comparison: Comparison, place: int) -> Lane:
    """An older answer to the same question, so that nobody stands there."""
    run = Run.objects.create(state="done", text="A lane.", manifest={"model": "plain"})
    answer = Message.objects.create(
        id=uuid.UUID(int=place + 1), chat=comparison.chat, parent=comparison.question, role="model", run=run, depth=1,
        settled=True,
    )  # fmt: skip
    return Lane.objects.create(comparison=comparison, place=place, answer=answer, asked={"model": "plain"})


def _share(chat: Chat, people: dict[Who, Any], group: Group) -> None:
    ChatShare.objects.create(chat=chat, person=people[Who.READER])
    ChatShare.objects.create(chat=chat, person=people[Who.VIEWER], may_write=True)
    ChatShare.objects.create(chat=chat, group=group, may_write=True)


def absent(value: Any) -> Any:
    """A value of the same shape that stands for nothing."""
    if isinstance(value, uuid.UUID):
        return uuid.uuid4()
    return 10**6 + 7 if isinstance(value, int) else "f" * len(str(value))
