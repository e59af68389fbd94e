"""Several models at once, as a person does it: chosen, streaming side by side, voted on, gone on from."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.reader import answers, ask, composer
from tests.upstream import WORDS, Upstream

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def choose_lanes(page: Page, *models: str) -> None:
    page.locator("model-picker > button").click()
    page.get_by_label("Compare several").check()
    for model in models:
        page.locator(f'[role=option][data-model="{model}"]').click()
    page.keyboard.press("Escape")


def lane(page: Page, letter: str) -> Locator:
    return page.get_by_role("region", name=f"Lane {letter}").last


def test_lanes_stream_together_and_the_chat_goes_on_from_the_chosen(page: Page, upstream: Upstream) -> None:
    choose_lanes(page, "gated", "counting")
    expect(page.get_by_role("list", name="Lanes of the comparison").get_by_role("listitem")).to_have_count(2)
    composer(page).fill("Which is it?")
    composer(page).press("Enter")
    expect(lane(page, "B")).to_have_attribute("data-state", "done")
    upstream.release(3)
    expect(lane(page, "A").locator(".prose")).to_contain_text("word3")
    vote = page.get_by_role("form", name="Vote")
    page.locator("#title").click()
    page.keyboard.press("2")
    expect(vote).to_contain_text("B is chosen. It counts when A has finished")
    expect(vote.get_by_role("button", name=re.compile("^Vote"))).to_be_disabled()
    upstream.release(WORDS - 3)
    expect(page.get_by_role("region", name="The lanes in figures")).to_be_visible()
    expect(vote).to_contain_text("B is chosen.")
    vote.get_by_role("button", name=re.compile("^Vote")).click()
    expect(page.get_by_role("row", name=re.compile("counting"))).to_contain_text("your vote")
    expect(vote).to_contain_text("You voted for B. You can change it.")
    expect(vote.get_by_role("button", name="Voted")).to_be_disabled()
    vote.get_by_label("Clearer").check(force=True)
    vote.get_by_role("button", name="Vote for B").click()
    expect(page.get_by_role("region", name="The lanes in figures")).to_contain_text("because clearer")
    expect(vote.get_by_role("button", name="Voted")).to_be_disabled()

    page.route("**/place/", lambda _: None)
    page.get_by_role("button", name="Continue from B").click()
    expect(page.locator("lane-list")).to_be_hidden()
    ask(page, "And then?", model="instant")  # before the page was drawn from there
    expect(answers(page).last).to_have_attribute("data-state", "done")
    page.unroute("**/place/")  # which lets them go on
    page.reload()
    board = page.locator(".board")
    expect(board.locator(".lane:visible")).to_have_count(1)
    expect(board.get_by_role("tab", selected=True)).to_contain_text("B")
    board.get_by_role("tab", name="A").click()
    expect(lane(page, "A").locator(".prose")).to_contain_text("word20")


def test_a_blind_vote_reveals_who_wrote_what(page: Page) -> None:
    choose_lanes(page, "counting", "md")
    page.get_by_role("button", name="Blind").click()
    composer(page).fill("Which is it?")
    composer(page).press("Enter")
    expect(page.get_by_text("Names, prices and times are kept on the server")).to_be_visible()
    for letter in "AB":
        expect(lane(page, letter)).to_have_attribute("data-state", "done")
        expect(lane(page, letter)).not_to_contain_text(re.compile("counting|tok/s"))
    page.locator("#title").click()
    page.keyboard.press("1")
    page.get_by_label("Clearer").check(force=True)
    page.get_by_role("button", name=re.compile("^Vote")).click()
    told = page.get_by_role("region", name="The lanes in figures")
    expect(told).to_contain_text("vote kept as blind")
    expect(told).to_contain_text("counting")
    told.get_by_role("button", name="Diff A and B").click()
    expect(page.get_by_role("heading", name="What changed", exact=True)).to_be_visible()
    expect(page.locator("#changed .words").first).to_contain_text("word15")


def test_lanes_are_swiped_on_a_phone_and_fused(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    choose_lanes(page, "counting", "echo", "instant")
    composer(page).fill("Which is it?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("region", name="The lanes in figures")).to_be_attached()
    for _ in ("as they end", "when the page is opened"):
        expect(lane(page, "A")).to_be_in_viewport()
        page.reload()
    page.get_by_role("tab", name="C").click()
    expect(lane(page, "C")).to_be_in_viewport(ratio=0.1)
    expect(page.get_by_role("tab", selected=True)).to_contain_text("C")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights = "() => ['.lanes', '.lane.on'].map((one) => document.querySelector(one).offsetHeight)"
    row, on = page.evaluate(heights)
    assert on <= row < on + 24, "no room is left for a longer answer beside it"
    for by, letter in ((1, "B"), (1, "A"), (-1, "B")):
        swipe(page, by)
        expect(page.get_by_role("tab", selected=True)).to_contain_text(letter)
        expect(lane(page, letter)).to_be_in_viewport(ratio=0.1)
    for letter in "AB":
        page.get_by_label(f"Lane {letter}", exact=True).last.check()
    page.get_by_role("button", name="Fuse A and B").click()
    page.get_by_role("form", name="Fuse").get_by_role("button", name="Fuse").click()
    expect(page.locator(".turn.answer").last).to_contain_text("Fused from lanes A, B")


def swipe(page: Page, by: int) -> None:
    """A thumb over the lane that is looked at, to the right (1) or to the left (-1)."""
    on = page.locator(".lane.on").last
    on.evaluate("(lane) => scrollTo({ top: lane.getBoundingClientRect().top + scrollY - 200, behavior: 'instant' })")
    box = on.bounding_box()
    assert box and 100 < box["y"] < 400, "it is not below the page's head"
    thumb = page.context.new_cdp_session(page)
    thumb.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for n in range(9):
        at = {"x": 195 + by * 35 * (n - 4), "y": box["y"] + 24}
        thumb.send("Input.dispatchTouchEvent", {"type": "touchMove" if n else "touchStart", "touchPoints": [at]})
        page.wait_for_timeout(16)
    thumb.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    thumb.detach()


def test_where_lanes_have_no_room_tabs_lead_to_the_last(page: Page) -> None:
    """Eight stand beside each other on no screen; two do, and need no tabs."""
    models = ("counting", "echo", "instant", "md", "cut", "err400", "vision", "cites")
    choose_lanes(page, *models[:2])
    composer(page).fill("Which is it?")
    composer(page).press("Enter")
    expect(page.get_by_role("region", name="The lanes in figures")).to_be_visible()
    expect(page.get_by_role("tab", name="A")).to_be_hidden()
    page.goto(page.url.partition("/c/")[0])
    choose_lanes(page, *models[2:])
    composer(page).fill("And now?")
    composer(page).press("Enter")
    expect(page.get_by_role("region", name="The lanes in figures")).to_be_visible()
    expect(lane(page, "H")).not_to_be_in_viewport()
    page.get_by_role("tab", name="H").click()
    expect(lane(page, "H")).to_be_in_viewport(ratio=0.1)
    expect(page.get_by_role("tab", selected=True)).to_contain_text("H")


def join(page: Page, model: str) -> None:
    page.get_by_role("button", name="Add a lane").click()
    page.locator(f'[role=option][data-model="{model}"]').click()
    page.get_by_role("form", name="Add a lane").get_by_role("button", name="Add").click()


def test_another_lane_joins_and_a_failed_lane_is_asked_again(page: Page, upstream: Upstream) -> None:
    choose_lanes(page, "counting", "err400")
    composer(page).fill("Which is it?")
    composer(page).press("Enter")
    expect(lane(page, "B")).to_have_attribute("data-state", "failed")
    expect(page.get_by_role("region", name="The lanes in figures")).to_be_visible()
    lane(page, "B").get_by_role("button", name="Ask again").click()
    expect(lane(page, "B")).to_contain_text("Asked 2 times")
    expect(lane(page, "B")).to_have_attribute("data-state", "failed")
    lane(page, "B").get_by_text("Asked 2 times").click()
    expect(lane(page, "B").locator(".earlier").get_by_role("link", name="failed")).to_be_visible()

    page.locator("#title").click()
    page.keyboard.press("+")
    picker = page.get_by_role("combobox", name="Model of one more lane")
    expect(picker).to_be_focused()
    picker.fill("gated")
    picker.press("Enter")
    form = page.get_by_role("form", name="Add a lane")
    expect(form.get_by_role("listitem")).to_contain_text("gated")
    expect(form.get_by_role("button", name="Add")).to_be_focused()
    form.get_by_label("Settings of this lane").click()
    form.get_by_label("Temperature").fill("3")
    form.get_by_label("Instruction").fill("Be brief.")
    form.get_by_label("Instruction").press("Escape")
    form.get_by_role("button", name="Add").click()
    expect(form.get_by_label("Temperature")).to_be_focused()  # which is out of its range, and came into view
    form.get_by_label("Temperature").fill("0.5")
    expect(form.get_by_role("listitem")).to_contain_text("t 0.5 · own instruction")
    form.get_by_label("Temperature").press("Escape")
    form.get_by_role("button", name="Add").click()
    expect(form).to_be_hidden()
    expect(lane(page, "C")).to_have_attribute("data-state", "running")
    earlier = lane(page, "B").locator(".earlier").get_by_role("link", name="failed")
    expect(earlier).to_be_visible()  # though the board was drawn anew
    upstream.release(WORDS)
    expect(lane(page, "C")).to_contain_text("temperature 0.5 · own instruction")
    expect(lane(page, "C").locator(".prose")).to_contain_text("word1 word2 word3 word4 word5 word6 word7 word8 word9")
    expect(lane(page, "C")).to_have_attribute("data-state", "done")

    page.set_viewport_size({"width": 390, "height": 844})
    join(page, "instant")
    expect(page.get_by_role("row", name=re.compile("instant"))).to_be_attached()
    page.get_by_role("tab", name="D").click()
    expect(lane(page, "D")).to_be_in_viewport(ratio=0.1)
    join(page, "instant")
    expect(page.get_by_role("row", name=re.compile("instant"))).to_have_count(2)
    expect(page.get_by_role("tab", name="D")).to_have_attribute("aria-selected", "true")
    expect(lane(page, "D")).to_be_in_viewport(ratio=0.1)  # though the board was drawn anew
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for letter in "ABCDE":
        expect(page.get_by_role("region", name=f"Lane {letter}")).to_have_count(1)
    for letter in "BC":
        page.get_by_label(f"Lane {letter}", exact=True).last.check()
    page.get_by_role("button", name="Continue from B and C").click()
    chips = page.get_by_role("list", name="Lanes of the comparison").get_by_role("listitem")
    expect(chips).to_have_text([re.compile("err400"), re.compile("gated.*t 0.5 · own instruction")])  # as it was given


EIGHT = ("counting", "echo", "instant", "md", "cites", "vision", "slowfirst", "err400")


def test_eight_lanes_are_looked_at_chosen_and_gone_on_from_by_keys(page: Page) -> None:
    choose_lanes(page, *EIGHT)
    composer(page).fill("Which is it?")
    composer(page).press("Enter")
    told = page.get_by_role("region", name="The lanes in figures")
    expect(told).to_be_visible()
    vote = page.get_by_role("form", name="Vote")
    hint = vote.get_by_role("status")
    page.locator("#title").click()

    for key, letter in (("ArrowRight", "B"), ("ArrowRight", "C"), ("ArrowLeft", "B")):
        page.keyboard.press(key)
        expect(lane(page, letter)).to_be_focused()
    for number, letter in enumerate("ABCDEFGH", start=1):
        page.keyboard.press(str(number))
        expect(hint).to_have_text(f"{letter} is chosen.")
    page.keyboard.press("ArrowRight")
    expect(hint).to_have_text("H is chosen.")  # arrows look, and choose nothing
    expect(lane(page, "C")).to_be_focused()
    page.keyboard.press("0")
    expect(hint).to_have_text("A tie is chosen.")
    page.keyboard.press("x")
    expect(hint).to_have_text("All bad is chosen.")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name=re.compile("instant"))).to_contain_text("your vote")

    page.get_by_label("Lane C", exact=True).last.uncheck()
    for letter in "AB":
        page.get_by_label(f"Lane {letter}", exact=True).last.check()
    page.get_by_role("button", name="Continue from A and B").click()
    composer(page).fill("And then?")
    composer(page).press("Enter")
    expect(page.locator(".board")).to_have_count(2)
    expect(told).to_have_count(1)
    expect(lane(page, "B")).to_contain_text("And then?")
    page.reload()
    expect(page.get_by_role("row", name=re.compile("counting|echo"))).to_have_count(2)
