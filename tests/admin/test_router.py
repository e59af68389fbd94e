"""The router's file and the prompt in the admin: checked before they are kept, and every version stays."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.providers.models import LanguageModel
from workspace.router import catalog
from workspace.router.models import PromptTemplate, RouterConfiguration, RouterVersion
from workspace.router.seed import ensure_defaults

GOOD = '// for long ones\n{"routes": [{"condition": "len(prompt) > 900", "model": "plum"}], "fallback": "quotes"}\n'
NO_VERSIONS_TOUCHED = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    add_model("quotes")
    add_model("plum")
    ensure_defaults()
    client.force_login(alice)
    return client


def save(client: Client, source: str, note: str = "") -> Any:
    page = reverse("admin:router_routerconfiguration_change", args=[RouterConfiguration.objects.get().pk])
    return client.post(page, {"source": source, "note": note, **NO_VERSIONS_TOUCHED, "_continue": "1"}, follow=True)


def current() -> RouterVersion:
    version = RouterConfiguration.objects.get().current
    assert version is not None
    return version


def test_a_good_file_is_the_next_version_and_decides(owner: Client, alice: Person) -> None:
    before = RouterVersion.objects.values().get()
    answer = save(owner, GOOD.replace("\n", "\r\n"), note="Long ones to plum.")
    assert "Long ones to plum." in answer.text
    version = current()
    assert (version.number, version.source, version.author, version.note) == (2, GOOD, alice, "Long ones to plum.")
    assert RouterVersion.objects.values().get(number=1) == before
    assert catalog.load_sync().router_version_id == version.pk


def test_a_bad_file_is_refused_with_line_and_column_and_its_text_stays(owner: Client) -> None:
    first, second = '{"condition": "len(prompt) > 9", "model": "peach"}', '{"condition": "pompt", "model": "plum"}'
    bad = f'{{"routes": [\n  {first},\n  {second}\n]}}'
    answer = save(owner, bad)
    assert "Line 2, column 45: There is no model “peach”" in answer.text
    assert "Line 3, column 18" in answer.text
    assert "&quot;peach&quot;" in answer.text  # what was written is still in the field
    assert RouterVersion.objects.count() == 1


def test_the_same_file_makes_no_version(owner: Client) -> None:
    save(owner, GOOD)
    save(owner, GOOD)
    assert RouterVersion.objects.count() == 2


def test_going_back_to_an_older_version(owner: Client) -> None:
    save(owner, GOOD)
    configuration = RouterConfiguration.objects.get()
    use = reverse("admin:router_routerconfiguration_use", args=[configuration.pk, 1])
    assert "now uses version 1" in owner.post(use, follow=True).text
    assert (current().number, RouterVersion.objects.count()) == (1, 2)


def test_a_version_that_names_a_missing_model_is_not_used_again(owner: Client) -> None:
    save(owner, GOOD)
    configuration = RouterConfiguration.objects.get()
    owner.post(reverse("admin:router_routerconfiguration_use", args=[configuration.pk, 1]))
    LanguageModel.objects.filter(name="plum").update(name="damson")
    use = reverse("admin:router_routerconfiguration_use", args=[configuration.pk, 2])
    assert "Version 2 no longer fits: line 2, column" in owner.post(use, follow=True).text
    assert current().number == 1


def test_a_prompt_template_is_versioned_alike(owner: Client) -> None:
    template = PromptTemplate.objects.get()
    page = reverse("admin:router_prompttemplate_change", args=[template.pk])
    owner.post(page, {"system": "Answer in verse.", **NO_VERSIONS_TOUCHED})
    assert [v.number for v in template.versions.order_by("number")] == [1, 2]
    assert catalog.load_sync().template.system == "Answer in verse."
