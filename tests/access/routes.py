"""Every address of the product, asked for by everybody, and what they met held against the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from tests.access.table import (
    CHAT_COPY,
    CHAT_OWNER,
    CHAT_READ,
    CHAT_WRITE,
    LIBRARY,
    OWNER_ONLY,
    PROGRAMS,
    PUBLIC,
    UPLOADER,
    Access,
    Meets,
    Who,
    entry,
    refuse,
)
from tests.access.world import World, absent

DOORS = ("/sign-in/?", "/admin/login/?")
MET = {401: Meets.DOOR, 403: Meets.FORBIDDEN, 404: Meets.ABSENT, 405: Meets.NOT_TAKEN}
CHANGING = re.compile(r'nonce="[^"]*"|nonce-[^\';]*|name="csrfmiddlewaretoken" value="[^"]*"')


@dataclass(frozen=True)
class Route:
    """``name`` as it is reversed, or the whole pattern of one without a name."""

    name: str
    pattern: str
    is_regex: bool


@dataclass(frozen=True)
class Probe:
    """One request, and its twin that is about nothing; without one, the address names no row."""

    route: str
    method: str
    access: Access
    url: str
    twin: str = ""
    data: dict[str, str] = field(default_factory=dict)
    twin_data: dict[str, str] = field(default_factory=dict)


def routes() -> list[Route]:
    return list(_walk(get_resolver(), "", ""))


def probes(world: World) -> Iterator[Probe]:
    """Every route by GET and POST, then what one route answers about several things."""
    for route in routes():
        if route.name in PROGRAMS:
            continue
        known = entry(route.name)
        assert known, f"tests/access/table.py has no entry for the route {route.name} ({route.pattern})"
        url, twin = _urls(route, world)
        for method, meets in zip(("GET", "POST"), known, strict=True):
            yield Probe(route.name, method, meets, url, twin)
    yield from _more(world)


def failures(world: World, only: str = "") -> Iterator[tuple[int, str]]:
    """For each cell, its number and what is wrong with it; empty when nothing is."""
    number = 0
    for probe in probes(world):
        if not re.match(only, probe.route):
            continue
        for who in Who:
            number += 1
            yield number, _wrong(world, probe, who)


def _wrong(world: World, probe: Probe, who: Who) -> str:
    expected = probe.access[who]
    response, met = _ask(world, probe, who, twin=False)
    cell = f"{probe.method} {probe.route} {probe.data or ''} as {who}"
    if met is not expected:
        return f"{cell}: met {met}, not {expected}"
    if not probe.twin or (probe.route.startswith("admin") and met is Meets.IN):
        return ""
    nothing, met_nothing = _ask(world, probe, who, twin=True)
    if getattr(nothing, "url", "") == "/admin/":  # the admin says there that it has no such row
        met_nothing = Meets.ABSENT
    if met in (Meets.IN, Meets.FORBIDDEN):
        return "" if probe.access == PUBLIC or met_nothing is not Meets.IN else f"{cell}: met nothing, and got in"
    same = _content(response, probe.url, probe.data) == _content(nothing, probe.twin, probe.twin_data)
    return "" if same else f"{cell}: what is forbidden and what is absent look different"


def _ask(world: World, probe: Probe, who: Who, *, twin: bool) -> tuple[HttpResponse, Meets]:
    """Every request finds the world as it was built."""
    client = Client()
    if key := world.sessions[who].session_key:
        client.cookies["sessionid"] = key
    url, data = (probe.twin, probe.twin_data) if twin else (probe.url, probe.data)
    with transaction.atomic():
        response = client.post(url, data) if probe.method == "POST" else client.get(url)
        if response.streaming:
            b"".join(response)  # type: ignore[arg-type]
        transaction.set_rollback(True)
    return response, _met(response)  # type: ignore[arg-type, return-value]


def _met(response: Any) -> Meets:
    if response.status_code == 302 and response.url.startswith(DOORS):
        return Meets.DOOR
    return MET.get(response.status_code, Meets.IN)


def _content(response: Any, url: str, data: dict[str, str]) -> tuple[int, str, str]:
    """Status, target and body, up to what is new in every page and up to the ids that were asked for."""
    body = CHANGING.sub("", response.content.decode())
    for asked in (url, *data.values()):
        body = body.replace(asked, "ASKED")
    return response.status_code, unquote(response.get("Location", "")).replace(url, "ASKED"), body


def _more(world: World) -> Iterator[Probe]:
    chat = f"/c/{world.chat.pk}/"
    foreign, nothing = str(world.elsewhere.pk), str(absent(world.elsewhere.pk))
    # A message of another chat of the same person is as absent here as one that never was.
    no_child = {who: Meets.ABSENT if met is Meets.IN else met for who, met in CHAT_READ.items()}
    yield Probe(
        "chat-place", "POST", no_child, chat + "place/", chat + "place/", {"message": foreign}, {"message": nothing}
    )
    place = chat + "place/"
    yield Probe("chat-place", "POST", no_child, place, place, {"message": foreign}, {"message": nothing})
    yield Probe("chat-place", "POST", CHAT_READ, place, "", {"message": str(world.answer.pk)})
    # So are a comparison and a lane of another chat.
    no_vote = {who: Meets.ABSENT if met is Meets.IN else met for who, met in CHAT_WRITE.items()}
    there, lane = f"/c/{world.elsewhere.chat_id}/", world.lanes[0].answer_id
    votes, thumbs = there + "comparisons/{}/vote/", there + "lanes/{}/thumb/"
    yield Probe("comparison-vote", "POST", no_vote, votes.format(world.comparison.pk), votes.format(nothing))
    yield Probe("lane-thumb", "POST", no_child, thumbs.format(lane), thumbs.format(nothing))
    yield from _bound(world, chat, there, foreign, nothing, no_child, no_vote)
    yield from _named(world, chat)
    yield from _kept(world, there)
    # Only who deleted a chat brings it back; one that is not deleted is as good as absent.
    undone = {who: Meets.DOOR if met is Meets.DOOR else Meets.ABSENT for who, met in CHAT_READ.items()}
    gone = f"/c/{absent(world.chat.pk)}/delete/"
    yield Probe("chat-delete", "POST", undone, chat + "delete/", gone, {"undo": "1"}, {"undo": "1"})
    # The owner's own row: an admin may look at it, and neither change it nor make a way into it.
    owner = f"/admin/accounts/person/{world.people[Who.OWNER].pk}/"
    yield Probe("admin:accounts_person_link", "POST", OWNER_ONLY, owner + "link/")
    yield Probe("admin:accounts_person_change", "POST", OWNER_ONLY, owner + "change/")


def _bound(
    world: World, chat: str, there: str, foreign: str, nothing: str, no_read: Access, no_write: Access
) -> Iterator[Probe]:
    """What changes branches, and what shows them, takes the messages, the flags and the steps of its own chat alone."""
    own = str(world.answer.pk)
    no_copy = {who: Meets.ABSENT if met is Meets.IN else met for who, met in CHAT_COPY.items()}
    kinds = (
        ("branch", {"do": "star"}, CHAT_WRITE, no_write),
        ("merge", {}, CHAT_WRITE, no_write),
        ("fork", {}, CHAT_COPY, no_copy),
    )
    for name, more, may, no_child in kinds:
        url = f"{chat}{name}/"
        yield Probe(f"chat-{name}", "POST", may, url, "", {"message": own, **more})
        asked = [{"message": one, **more} for one in (foreign, nothing)]
        yield Probe(f"chat-{name}", "POST", no_child, url, url, *asked)
    into = [{"message": own, "into": one} for one in (foreign, nothing)]
    yield Probe("chat-merge", "POST", no_write, f"{chat}merge/", f"{chat}merge/", *into)
    step = world.values["step"]
    yield Probe("chat-undo", "POST", no_write, f"{there}steps/{step}/undo/", f"{there}steps/{nothing}/undo/")
    flag = world.values["checkpoint"]
    flags = there + "checkpoints/{}/"
    yield Probe("chat-checkpoint", "POST", no_write, flags.format(flag), flags.format(absent(flag)))
    for side in ("before", "after"):
        url = f"{chat}messages/?{side}="
        yield Probe("chat-messages", "GET", CHAT_READ, url + own, url + nothing)
        yield Probe("chat-messages", "GET", no_read, url + foreign, url + nothing)
    pair = f"{chat}history/?a={own}&b="
    yield Probe("chat-history", "GET", CHAT_READ, pair + f"flag-{flag}", pair + nothing)
    yield Probe("chat-history", "GET", no_read, pair + foreign, pair + nothing)
    other = f"{there}history/?a={foreign}&b=flag-"
    yield Probe("chat-history", "GET", no_read, other + str(flag), other + str(absent(flag)))


def _named(world: World, chat: str) -> Iterator[Probe]:
    """What is done at a message, or shown of it, is done and shown at one of that very chat."""
    own, foreign, nothing = str(world.answer.pk), str(world.elsewhere.pk), str(absent(world.elsewhere.pk))
    forms = (
        ("chat-go", CHAT_READ, "go/", "message", {}),
        ("chat-checkpoints", CHAT_WRITE, "checkpoints/", "message", {"name": "Here"}),
        ("chat-replay", CHAT_WRITE, "replay/", "answer", {"what": "parameter"}),
        ("chat-links", CHAT_OWNER, "links/", "message", {"days": "7"}),
    )
    for name, may, address, field_, more in forms:
        url, asked = chat + address, [{field_: one, **more} for one in (foreign, nothing)]
        yield Probe(name, "POST", may, url, "", {field_: own, **more})
        yield Probe(name, "POST", refuse(may, Meets.ABSENT), url, url, *asked)
    pages = (
        ("chat-replay", CHAT_WRITE, "replay/"), ("chat-links", CHAT_OWNER, "links/"),
        ("chat-export", CHAT_READ, "export/md/"), ("chat-export", CHAT_READ, "export/jsonl/"),
    )  # fmt: skip
    for name, may, address in pages:
        url = f"{chat}{address}?message="
        yield Probe(name, "GET", may, url + own, url + nothing)
        yield Probe(name, "GET", refuse(may, Meets.ABSENT), url + foreign, url + nothing)


def _kept(world: World, there: str) -> Iterator[Probe]:
    """So are the replays and the links of a chat, and the versions of a prompt."""
    replay, link = world.values["replay"], world.values["link"]
    keep, own = {"keep": "0"}, f"/c/{world.chat.pk}/replays/{replay}/"
    yield Probe("replay-report", "POST", CHAT_WRITE, own, "", keep)
    yield Probe("replay-report", "POST", refuse(CHAT_WRITE, Meets.ABSENT), own, "", {"keep": "7"})
    for method in ("GET", "POST"):
        urls = [f"{there}replays/{one}/" for one in (replay, absent(replay))]
        yield Probe("replay-report", method, refuse(CHAT_READ, Meets.ABSENT), *urls, keep, keep)
    urls = [f"{there}links/{one}/revoke/" for one in (link, absent(link))]
    yield Probe("chat-link-revoke", "POST", refuse(CHAT_OWNER, Meets.ABSENT), *urls)
    url = f"/personas/{world.values['persona']}/"
    yield Probe("persona", "POST", UPLOADER, url, "", {"use": "1"})
    yield Probe("persona", "POST", refuse(UPLOADER, Meets.ABSENT), url, url, {"use": "2"}, {"use": "3"})


def _walk(resolver: URLResolver, before: str, space: str) -> Iterator[Route]:
    for pattern in resolver.url_patterns:
        whole = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            name = f"{space}:{pattern.name}".strip(":") if pattern.name else whole
            yield Route(name, whole, not isinstance(pattern.pattern, RoutePattern))
        else:
            yield from _walk(pattern, whole, pattern.namespace or space)


def _urls(route: Route, world: World) -> tuple[str, str]:
    """The route's address for what is there, and for nothing; the second is empty where no row is named."""
    if any(route.name.startswith(prefix) for prefix in LIBRARY):
        return "/" + re.sub(r"<[^>]*>", "x", route.pattern), ""
    if route.is_regex:
        fill = {"app_label": "accounts", "url": "no/such/page/"}
        return "/" + re.sub(r"\^?\(\?P<(\w+)>[^)]*\)/?\$?", lambda m: fill[m[1]], route.pattern), ""
    there, nothing = route.pattern, route.pattern
    for found in re.finditer(r"<(?:\w+:)?(\w+)>", route.pattern):
        value = _value(route, found[1], world)
        there = there.replace(found[0], str(value))
        nothing = nothing.replace(found[0], str(absent(value)))
    return f"/{there}", f"/{nothing}" if nothing != there else ""


def _value(route: Route, parameter: str, world: World) -> Any:
    if parameter in ("number", "old", "new"):  # of a version
        return 1
    if parameter == "form":
        return "json" if route.name == "measure-export" else "md"
    if parameter in (
        "rollout", "comparison", "answer", "checkpoint", "step", "outcome", "replay", "link", "secret", "picture",
        "persona",
    ):  # fmt: skip
        return world.values[parameter]
    if route.pattern.startswith("c/<uuid:id>/"):
        return world.chat.pk
    if route.name == "admin:view_on_site":
        person = world.rows["accounts.person"]
        return person.pk if parameter == "object_id" else ContentType.objects.get_for_model(person).pk
    if admin := re.match(r"admin/(\w+)/(\w+)/<", route.pattern):
        return world.rows[f"{admin[1]}.{admin[2]}"].pk
    return world.values[route.name if route.name in world.values else route.name.split("-")[0]]
