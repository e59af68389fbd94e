"""What an owner does without a shell: set up a provider and chat with it, and take somebody's right to write away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import answers, ask, expect_state
from tests.browser.test_joining import PASSWORD, Open, invitation, join, open_page, owner, site
from tests.upstream import WORDS, Upstream

__all__ = ["invitation", "open_page", "owner", "site"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_provider_is_set_up_from_nothing_and_answers(owner: Page, site: str, upstream: Upstream) -> None:
    owner.goto(f"{site}/admin/")
    owner.get_by_role("link", name="Add Provider").or_(
        owner.locator("a[href$='/admin/providers/provider/add/']")
    ).first.click()
    owner.get_by_role("link", name=re.compile("Any OpenAI-compatible address")).click()
    owner.get_by_label("Name:").fill("kettles")
    owner.get_by_label("Address:").fill(upstream.url)
    owner.get_by_label("Key:").fill("sk-a-key-for-this-test")
    owner.get_by_role("button", name="Save", exact=True).click()
    owner.get_by_role("button", name="Test connection").click()
    expect(owner.get_by_text(re.compile(r"kettles answers and serves \d+ models"))).to_be_visible()
    owner.get_by_role("button", name="Find models").click()
    owner.get_by_role("checkbox", name=re.compile("^echo")).check()
    owner.get_by_role("button", name="Add the chosen").click()
    said = owner.locator(".messagelist").inner_text()
    assert "sk-a-key-for-this-test" not in owner.content()
    name = re.search(r"Added ([\w-]+)\.", said)
    assert name, said
    owner.goto(f"{site}/")
    ask(owner, "Is anybody there?", model=name[1])
    expect_state(answers(owner).first, "done")
    expect(answers(owner).first.locator(".prose")).to_have_text("Is anybody there?")


def test_who_was_invited_is_demoted_in_the_middle_of_an_answer(
    owner: Page, open_page: Open, invitation: str, site: str, upstream: Upstream
) -> None:
    guest = open_page()
    join(guest, invitation, "Greta")
    ask(guest, "Count.", model="gated")
    upstream.release(3)
    expect(answers(guest).first.locator(".prose")).to_have_text(re.compile("word3"))
    owner.goto(f"{site}/admin/accounts/person/?q=Greta")
    owner.get_by_role("link", name="Greta").click()
    owner.get_by_label("Role:").select_option("viewer")
    owner.get_by_role("button", name="Save", exact=True).click()
    expect(guest.get_by_role("heading", name="Sign in")).to_be_visible()
    upstream.release(2)
    guest.get_by_label("Name").fill("Greta")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign in", exact=True).click()
    expect(guest.get_by_placeholder(re.compile("Your role"))).to_be_disabled()
    expect(answers(guest).first.locator(".prose")).to_have_text(re.compile("word5"))  # it went on
    upstream.release(WORDS - 5)
    expect_state(answers(guest).first, "done")
