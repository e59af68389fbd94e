"""The page that says what a version would do with the decisions that were, before it decides."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from tests.decided import log
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.decide import decide
from workspace.router.facts import facts_of
from workspace.router.models import RouterConfiguration, RouterVersion
from workspace.types import PromptMessage, Request, text_part

pytestmark = pytest.mark.usefixtures("scripted")


def file(*pairs: tuple[str, str]) -> str:
    return json.dumps({"routes": [{"condition": c, "model": m} for c, m in pairs], "fallback": "plum"})


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    for name in ("plum", "peach"):
        add_model(name, price="2")
    save_version(catalog.ACTIVE, file(("default", "plum")))
    catalog.forget()
    client.force_login(alice)
    return client


def ask(words: str) -> None:
    request = Request(messages=(PromptMessage(role="person", parts=(text_part(words),)),))
    now = replace(catalog.load_sync(), router_version_id=RouterVersion.objects.get(number=1).pk)
    decision = decide(request, now, facts=facts_of(request))
    log(decision, tokens_input=100, tokens_output=100, cost=Decimal("0.0001"), first_token_s=0.2)


def draft(*pairs: tuple[str, str]) -> RouterVersion:
    return save_version(catalog.ACTIVE, file(*pairs), activate=False)


def address(number: int) -> str:
    return reverse("admin:router_routerconfiguration_replay", args=[RouterConfiguration.objects.get().pk, number])


def test_a_draft_shows_what_moves_and_is_activated_from_the_page(owner: Client) -> None:
    for words in ("Hi", "Good morning to you", "Good evening to all of you"):
        ask(words)
    version = draft(("len(prompt) > 10", "peach"), ("default", "plum"))
    page = owner.get(address(version.number)).text
    assert "3 newest decisions" in page
    assert "plum → peach" in page
    assert '<meter min="0" max="2" value="2"' in page
    assert "+$0.0003" in page
    assert "style=" not in page.split('id="content-main"')[1]
    use = reverse("admin:router_routerconfiguration_use", args=[version.configuration_id, version.number])
    assert f'action="{use}"' in page
    owner.post(use)
    assert RouterConfiguration.objects.get().current == version
    assert "Activate this version" not in owner.get(address(version.number)).text


def test_what_cant_be_told_is_said(owner: Client) -> None:
    ask("Hello")
    page = owner.get(address(draft(('contains(prompt, "x")', "peach"), ("default", "plum")).number)).text
    assert "1: the words of the prompt are not kept." in page
    assert "1 can’t be told" in page


def test_without_decisions_it_says_what_to_do(owner: Client) -> None:
    assert "Nothing was routed yet" in owner.get(address(1)).text


def test_the_history_of_versions_leads_there(owner: Client) -> None:
    page = owner.get(reverse("admin:router_routerconfiguration_change", args=[RouterConfiguration.objects.get().pk]))
    assert address(1) in page.text


def test_a_version_that_is_not_there_has_no_page(owner: Client) -> None:
    assert owner.get(address(7)).status_code == 404
