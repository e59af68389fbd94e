"""Two people in one chat: what the invited sees, and that it ends when it is taken back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reader import answers, ask, composer, expect_state, questions
from tests.upstream import WORDS, Upstream

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def share(page: Page, guest: Page, rights: str) -> None:
    page.get_by_role("button", name="Share", exact=True).click()
    dialog = page.get_by_role("dialog", name="Share this chat")
    dialog.get_by_label("Name of a person or a group").fill(guest.locator(".you b").inner_text())
    dialog.get_by_label("What they may do").last.select_option(rights)
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog.get_by_role("list", name="Shared with").get_by_role("listitem")).to_have_count(2)
    dialog.get_by_role("button", name="Close").click()


def test_a_reader_follows_the_stream_until_it_is_taken_back(page: Page, guest: Page, upstream: Upstream) -> None:
    ask(page, "Count.", model="gated")
    upstream.release(3)
    expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word3"))
    share(page, guest, "read")
    expect(page.locator("#shared")).to_contain_text(guest.locator(".you b").inner_text())
    guest.goto(page.url)
    expect(guest.get_by_text("shared with you for reading").or_(composer(guest))).to_be_disabled()
    expect(guest.get_by_role("button", name="Share", exact=True)).to_be_hidden()
    expect(answers(guest).first.get_by_role("button", name="Stop")).to_be_hidden()
    upstream.release(2)
    expect(answers(guest).first.locator(".prose")).to_have_text(re.compile("word5"))

    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name=re.compile("Stop sharing with")).click()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(guest.get_by_role("alert")).to_have_text(re.compile("not here any more"))
    upstream.release(WORDS - 5)
    expect_state(answers(page).first, "done")
    expect(answers(guest)).to_have_count(0)
    assert "word6" not in guest.content()
    assert guest.reload().status == 404  # type: ignore[union-attr]


def test_who_may_write_asks_and_both_see_who_did(page: Page, guest: Page) -> None:
    ask(page, "One", model="echo")
    expect_state(answers(page).first, "done")
    share(page, guest, "read")
    guest.goto(page.url)
    expect(composer(guest)).to_be_disabled()
    page.get_by_role("button", name="Share", exact=True).click()
    name = guest.locator(".you b").inner_text()
    page.get_by_label(f"What {name} may do").select_option("write")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(composer(guest)).to_be_enabled()  # the page follows by itself
    ask(guest, "Two", model="echo")
    expect(answers(page)).to_have_count(2)
    expect(questions(page).last.locator(".by")).to_have_text(name)
    expect(questions(guest).first.locator(".by")).to_have_text(page.locator(".you b").inner_text())
    guest.goto(guest.url)
    expect(guest.get_by_role("navigation").get_by_text("Shared with me")).to_be_visible()


def test_what_somebody_else_asks_further_up_leaves_a_reader_on_their_branch(page: Page, guest: Page) -> None:
    ask(page, "One", model="echo")
    expect_state(answers(page).first, "done")
    share(page, guest, "write")
    guest.goto(page.url)
    ask(guest, "Two", model="echo")
    for each in (page, guest):
        expect(answers(each)).to_have_count(2)
        expect_state(answers(each).last, "done")
    questions(page).first.get_by_role("button", name="Edit the question").click()
    ask(page, "Another one")
    expect(answers(page)).to_have_count(1)
    expect(questions(guest).first.get_by_role("group", name="Version 1 of 2 of this question")).to_be_visible()
    expect(questions(guest)).to_have_count(2)
    expect(questions(guest).last).to_contain_text("Two")


def test_signing_out_in_one_tab_silences_the_other(page: Page, guest: Page, upstream: Upstream) -> None:
    """Told at once, or found by the next look at all sockets, within half a minute."""
    ask(page, "Count.", model="gated")
    upstream.release(2)
    expect(answers(page).first.locator(".prose")).to_have_text(re.compile("word2"))
    share(page, guest, "read")
    guest.goto(page.url)
    expect(answers(guest).first.locator(".prose")).to_have_text(re.compile("word2"))
    other = guest.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Sign out").click()
    expect(guest).to_have_url(re.compile(r"/sign-in/\?next="), timeout=45_000)
    upstream.release(WORDS - 2)
    expect_state(answers(page).first, "done")
