"""Drafts, differences and taking turns, for everything in the admin that has versions; and the router's editor."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.scripted import add_model
from workspace.accounts.models import Person, Role
from workspace.admin_site.differences import count, rows
from workspace.router import catalog
from workspace.router.conditions import FUNCTIONS
from workspace.router.configuration import FILE_KEYS, ROUTE_KEYS, parse
from workspace.router.editor_pages import guide
from workspace.router.facts import FACTS, LOOKUPS
from workspace.router.models import PromptTemplate, RouterConfiguration
from workspace.router.personas import offered_to
from workspace.router.schema import FILE_EXAMPLES, ROUTE_EXAMPLES
from workspace.router.seed import ensure_defaults

NO_VERSIONS_TOUCHED = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
PAGE = "admin:router_routerconfiguration"
GOOD = '// long ones\n{"routes": [{"condition": "len(prompt) > 900", "model": "plum"}], "fallback": "quotes"}\n'

pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    add_model("quotes")
    add_model("plum")
    ensure_defaults()
    client.force_login(alice)
    return client


def configuration() -> RouterConfiguration:
    return RouterConfiguration.objects.get()


def address(page: str, *args: Any) -> str:
    return reverse(f"{PAGE}_{page}", args=[configuration().pk, *args])


def seen(client: Client) -> str:
    found = re.search(r'name="seen" value="([\d.]+)"', client.get(address("change")).text)
    assert found
    return found[1]


def test_a_persona_of_the_workspace_is_described_offered_and_taken_back(owner: Client, bob: Person) -> None:
    """What people see where they choose it changes at once; what a model is told makes a version."""
    add = reverse("admin:router_prompttemplate_add")
    fields = {
        "name": "teacher", "title": "Teacher", "about": "Explains", "offered": "on", "system": "Teach {audience}.",
        "variables": "audience = beginners", "note": "", **NO_VERSIONS_TOUCHED,
    }  # fmt: skip
    assert "admin" in owner.post(add, fields)["Location"]
    row = PromptTemplate.objects.select_related("current").get(name="teacher")
    assert row.current and (row.current.number, row.current.variables) == (1, {"audience": "beginners"})
    assert [(str(one), one.about) for one in offered_to(bob)] == [("Teacher", "Explains")]

    change = reverse("admin:router_prompttemplate_change", args=[row.pk])
    page = owner.get(change).text
    assert 'value="Teacher"' in page and "audience = beginners" in page and 'name="name"' not in page
    seen_ = re.search(r'name="seen" value="([\d.]+)"', page)
    steady = {**fields, "seen": seen_[1] if seen_ else "", "_save": "1"}
    assert owner.post(change, {**steady, "title": "Coach", "name": "other"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, str(row), row.versions.count()) == ("teacher", "Coach", 1), "how it is called makes no version"
    seen_ = re.search(r'name="seen" value="([\d.]+)"', owner.get(change).text)
    steady |= {"title": "Coach", "variables": "audience = experts", "seen": seen_[1] if seen_ else ""}
    refused = owner.post(change, {**steady, "variables": "audience: experts"})
    assert refused.status_code == 200 and "“audience: experts” is no variable" in refused.text
    assert owner.post(change, steady).status_code == 302
    row = PromptTemplate.objects.select_related("current").get(pk=row.pk)
    assert row.current and (row.current.number, row.current.variables) == (2, {"audience": "experts"})
    seen_ = re.search(r'name="seen" value="([\d.]+)"', owner.get(change).text)
    withdrawn = {name: value for name, value in steady.items() if name != "offered"}
    owner.post(change, {**withdrawn, "seen": seen_[1] if seen_ else ""})
    assert list(offered_to(bob)) == [] and row.versions.count() == 2, "nobody may choose it; what it said stays"


def save(client: Client, source: str, *, button: str = "_save", **more: Any) -> Any:
    form = {"source": source, "note": "", button: "1", **NO_VERSIONS_TOUCHED, **more}
    return client.post(address("change"), form, follow=True)


# --- Drafts


def test_a_draft_is_kept_shown_and_does_not_decide(owner: Client) -> None:
    answer = save(owner, GOOD, button="_draft")
    assert "Version 2 is kept as a draft; version 1 stays in use." in answer.text
    assert answer.redirect_chain[-1][0].endswith("?version=2")
    assert "len(prompt) &gt; 900" in answer.text and "Below is version 2, a draft" in answer.text
    assert catalog.load_sync().router_version_id == configuration().versions.get(number=1).pk
    assert "len(prompt)" not in owner.get(address("change")).text.partition("file-guide")[0]


def test_a_draft_is_compared_used_and_left_again(owner: Client) -> None:
    save(owner, GOOD, button="_draft")
    page = owner.get(address("compare", 1, 2)).text
    assert "<mark>" in page or 'class="new"' in page
    assert "len(prompt) &gt; 900" in page and "Use version 2" in page and address("replay", 2) in page
    assert "now uses version 2" in owner.post(address("use", 2), {"seen": seen(owner)}, follow=True).text
    assert catalog.load_sync().router_version_id == configuration().versions.get(number=2).pk
    assert "in place of" not in owner.get(address("change")).text
    assert "Version 2 stays one click away" in owner.post(address("use", 1), follow=True).text
    assert configuration().current.number == 1  # type: ignore[union-attr]


def test_a_draft_of_what_is_in_use_is_none(owner: Client) -> None:
    source = configuration().current.source  # type: ignore[union-attr]
    assert "there is nothing to keep" in save(owner, source, button="_draft").text
    assert configuration().versions.count() == 1


def test_a_prompt_template_has_drafts_and_is_shown_as_it_is_sent(owner: Client) -> None:
    template = PromptTemplate.objects.get()
    page = reverse("admin:router_prompttemplate_change", args=[template.pk])
    owner.post(page, {"system": "In verse. {evidence} {x}", "_draft": "1", **NO_VERSIONS_TOUCHED})
    assert template.versions.count() == 2 and PromptTemplate.objects.get().current.number == 1  # type: ignore[union-attr]
    preview = owner.post(reverse("admin:router_prompttemplate_preview"), {"system": "In verse. {evidence} {x}"}).text
    assert "Apple trees are pruned" in preview and "In verse. " in preview and "{x}" in preview
    assert "{evidence}" not in preview


# --- Two at once


@pytest.fixture
def other(db: None) -> Client:
    client = Client()
    client.force_login(Person.objects.create_user("dora", role=Role.ADMIN))
    return client


def test_who_saves_second_is_told_by_whom_and_loses_nothing(owner: Client, other: Client) -> None:
    before = seen(owner)
    save(other, GOOD, seen=seen(other))
    mine = GOOD.replace("900", "12")
    answer = save(owner, mine, seen=before)
    assert "dora saved version 2 while you were here. Nothing of yours is lost." in answer.text
    assert "len(prompt) &gt; 12" in answer.text and configuration().versions.count() == 2
    again = re.search(r'name="seen" value="([\d.]+)"', answer.text)
    assert again and again[1] != before
    save(owner, mine, seen=again[1])
    assert configuration().current.source == mine  # type: ignore[union-attr]


def test_who_activates_on_an_old_page_is_told(owner: Client, other: Client) -> None:
    save(owner, GOOD, button="_draft")
    before = seen(owner)
    other.post(address("use", 2), {"seen": seen(other)})
    answer = owner.post(address("use", 1), {"seen": before}, follow=True)
    assert "Version 2 was put in use while you were here. Look again, then choose." in answer.text
    assert configuration().current.number == 2  # type: ignore[union-attr]


# --- The file, in and out


def test_a_file_is_brought_and_taken_away_to_the_character(owner: Client) -> None:
    brought = SimpleUploadedFile("model_router.json", b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    save(owner, "not what counts", upload=brought)
    assert configuration().current.source == GOOD  # type: ignore[union-attr]
    answer = owner.get(address("file", 2))
    assert answer.content.decode() == GOOD
    assert answer["Content-Disposition"] == 'attachment; filename="model_router.json"'
    assert answer["ETag"] == f'"{parse(GOOD, models=None).digest}"'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe{}", "The file is no UTF-8 text"),
        (b"{" * 900_000, "longer than 200,000 characters"),
        (b'{"routes": []}', "holds 1 to 200 routes"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(owner: Client, data: bytes, said: str) -> None:
    answer = save(owner, GOOD, upload=SimpleUploadedFile("x.json", data))
    assert said in answer.text and configuration().versions.count() == 1


def check(client: Client, source: str) -> Any:
    return client.post(reverse(f"{PAGE}_check"), {"source": source}).json()


def test_the_editor_is_told_each_problem_with_its_place(owner: Client) -> None:
    assert check(owner, GOOD) == {"problems": [], "routes": ["rule 1"]}
    bad = GOOD.replace("plum", "peach").replace("len(prompt)", "pompt").replace("\n", "\r\n")
    first, second = check(owner, bad)["problems"]
    assert (first["line"], second["line"]) == (2, 2) and first["column"] < second["column"]
    assert "pompt" in first["message"] and "There is no model “peach”" in second["message"]


@pytest.mark.parametrize("source", ["", "[" * 5_000, '{"routes": 1' * 9_000, "x" * 1_000_000, "{}"])
def test_whatever_is_typed_is_answered_soon(owner: Client, source: str) -> None:
    began = time.monotonic()
    assert check(owner, source)["problems"]
    assert time.monotonic() - began < 5


def test_the_schema_names_the_models_that_are_there(owner: Client) -> None:
    published = owner.get(reverse(f"{PAGE}_schema")).json()
    assert published["properties"]["fallback"]["enum"] == ["plum", "quotes", "any"]


# --- The help beside it


def test_the_help_tells_every_word_and_each_example_holds(owner: Client) -> None:
    assert set(ROUTE_EXAMPLES) == set(ROUTE_KEYS) and set(FILE_EXAMPLES) == set(FILE_KEYS) - {"routes"}
    told = guide()
    assert [len(told[part]) for part in ("Facts", "Of a model", "Functions")] == [
        len(FACTS), len(LOOKUPS), len(FUNCTIONS),
    ]  # fmt: skip
    models = {"plum", "quotes"}
    for part in ("Facts", "Of a model", "Functions"):
        for entry in told[part]:
            file = {"routes": [{"condition": entry.insert, "model": "plum"}], "fallback": "plum"}
            parse(json.dumps(file), models=models)
    keys = ", ".join(f'"{name}": {value}' for name, value in ROUTE_EXAMPLES.items() if name != "models")
    rest = ", ".join(f'"{name}": {value}' for name, value in FILE_EXAMPLES.items())
    read = parse(f'{{"routes": [{{{keys}}}], {rest}}}', models=models)
    assert read.routes[0].mode == "background" and read.autocomplete == "any"
    parse(f'{{"routes": [{{"condition": "default", "models": {ROUTE_EXAMPLES["models"]}}}]}}', models=models)
    assert all(entry.meaning for part in told if part != "Models" for entry in told[part])


# --- Differences


def test_differences_show_changed_words_and_fold_what_is_the_same() -> None:
    old = "\n".join(f"line {number}" for number in range(30))
    new = old.replace("line 15", "line fifteen")
    found = rows(old, new)
    assert [row.kind for row in found] == ["skip", *["same"] * 3, "gone", "new", *["same"] * 3, "skip"]
    gone, made = found[4], found[5]
    assert (gone.old, gone.new, made.old, made.new) == (16, None, None, 16)
    assert gone.parts == [("line ", False), ("15", True)] and made.parts == [("line ", False), ("fifteen", True)]
    assert (found[0].skipped, found[-1].skipped) == (12, 11)
    assert rows(old, old) == [] and count(old, new) == (1, 1)


def test_a_version_tells_how_many_lines_it_changed(owner: Client) -> None:
    save(owner, GOOD)
    page = owner.get(address("change")).text
    assert "the first" in page and re.search(r"\+2 −8 lines", page)
