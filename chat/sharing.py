"""Sharing a chat: its owner names people and groups and says whether they may write. Others see with whom it is shared.

Whoever gains or loses by it is told, so that an open page follows at once.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from chat import access
from chat.models import Chat, ChatShare
from workspace.accounts.models import Person
from workspace.accounts.rights import person_of
from workspace.accounts.sessions import tell_changed
from workspace.audit.log import record
from workspace.audit.models import Action

MOST_NAMES = 200  # offered while a name is typed; any other may be typed in full
GROUP = " (group)"  # what tells a group's name from a person's
RIGHTS = ("read", "write", "none")


class ShareRefused(Exception):
    """Why a chat is not shared so, in words."""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def share(request: HttpRequest, id: UUID) -> HttpResponse:
    """What the dialog shows. POST gives somebody, by ``name`` or as a ``share`` that is there, ``rights``."""
    person = person_of(request)
    chat = access.chat_to_rule(person, id)
    refused = ""
    if request.method == "POST":
        try:
            _change(chat, person, request.POST.get("share", ""), request.POST.get("name", ""), request.POST["rights"])
        except KeyError:
            refused = "What they may do is missing. Choose to read or to write."
        except ShareRefused as why:
            refused = str(why)
    context = {"chat": chat, "shares": shares_of(chat), "names": _names(person), "refused": refused}
    return render(request, "chat/_share.html", context, status=400 if refused else 200)


def shares_of(chat: Chat) -> list[ChatShare]:
    return list(chat.shares.select_related("person", "group").order_by("created", "pk"))


def tell_readers(chat: Chat) -> None:
    """Everybody who could read the chat, its owner too, once what changed is committed."""
    people = {chat.owner_id}
    for one in shares_of(chat):
        people |= _people_of(one)
    tell_changed(people)


def _change(chat: Chat, by: Person, share: str, name: str, rights: str) -> None:
    if rights not in RIGHTS:
        raise ShareRefused("Nobody can be given that. Choose to read or to write.")
    if share:
        one = chat.shares.filter(pk=int(share)).first() if share.isascii() and share.isdigit() else None
        if one is None:
            raise ShareRefused("The chat is not shared with them any more.")
    else:
        one = _named(chat, " ".join(name.split()))
    with transaction.atomic():
        if rights == "none":
            people = _people_of(one)
            one.delete()
            record(Action.UNSHARED, about=chat, name="", words=f"With {one.person or one.group}.")
        else:
            found = {"person": one.person, "group": one.group}
            given = {"may_write": rights == "write"}
            one, _ = ChatShare.objects.update_or_create(
                chat=chat, **found, defaults=given, create_defaults={**given, "by": by}
            )
            people = _people_of(one)
            record(Action.SHARED, about=chat, name="", words=f"With {one.person or one.group}, to {rights}.")
        tell_changed(people)


def share_with(request: HttpRequest, shares: Any, name: str) -> None:
    """One more row of ``shares``, which are of something that whoever asks owns, with the person or group of that name;
    they are told where there is none."""
    if person := _people(person_of(request)).filter(username__iexact=name).first():
        shares.get_or_create(person=person)
    elif group := Group.objects.filter(name__iexact=name).first():
        shares.get_or_create(group=group)
    else:
        messages.error(request, f"Nobody here is named “{name}”. Name a person, or a group.")


def _named(chat: Chat, name: str) -> ChatShare:
    """A share, not yet saved, with the one person or group of that name."""
    person = _people(chat.owner).filter(username__iexact=name).first()
    group = Group.objects.filter(name__iexact=name.removesuffix(GROUP)).first()
    if group and (name.endswith(GROUP) or not person):
        return ChatShare(chat=chat, group=group)
    if person is None:
        own = name.casefold() == chat.owner.username.casefold()
        raise ShareRefused(
            "The chat is yours already." if own else f"Nobody here is named “{name}”. Choose a name from the list."
        )
    return ChatShare(chat=chat, person=person)


def _people(owner: Person) -> QuerySet[Person]:
    return Person.objects.filter(is_active=True).exclude(pk=owner.pk)


def _names(owner: Person) -> list[tuple[str, str]]:
    """Names to choose from, each with what it stands for."""
    people = _people(owner).order_by(Lower("username"))[:MOST_NAMES]
    groups = Group.objects.order_by("name").values_list("name", flat=True)[:MOST_NAMES]
    return [(one.username, str(one)) for one in people] + [(name + GROUP, "Everybody in it") for name in groups]


def _people_of(one: ChatShare) -> set[UUID]:
    if one.person_id:
        return {one.person_id}
    return set(Person.objects.filter(groups=one.group_id).values_list("pk", flat=True))
