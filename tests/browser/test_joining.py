"""Getting in as a person does: invited, with a password and a code, with a passkey, by an identity provider."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.reader import composer
from tests.openid import CLIENT, SECRET, OpenID
from tests.serving import ROOT, Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PASSWORD = "a kettle in the attic"
Open = Callable[[], Page]


@pytest.fixture(scope="module")
def site(served: Served) -> str:
    """By the name that lets a browser use passkeys without TLS."""
    return f"http://localhost:{served.port}"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """A browser of its own, signed in as nobody. A script error or a breach of the page's policy fails the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def page() -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.on("console", lambda said: problems.append(said.text) if "Security Policy" in said.text else None)
        contexts.append(context)
        return context.new_page()

    yield page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def owner(open_page: Open, served: Served) -> Page:
    made = subprocess.run(
        [sys.executable, "manage.py", "sign_in_link"],
        cwd=ROOT, env=served.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = open_page()
    page.goto(made.stdout.strip())
    expect(composer(page)).to_be_visible()
    return page


@pytest.fixture
def invitation(owner: Page, site: str) -> str:
    """A link, made in the admin."""
    owner.goto(f"{site}/admin/accounts/invitation/add/")
    owner.get_by_role("button", name="Save", exact=True).click()
    return owner.get_by_label("Link").input_value()


def join(page: Page, invitation: str, name: str) -> None:
    page.goto(invitation)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    expect(composer(page)).to_be_focused()
    page.wait_for_load_state()  # the field has the focus before the scripts are there


def sign_out(page: Page, site: str) -> None:
    page.goto(f"{site}/account/")
    page.get_by_role("button", name="Sign out here").click()
    expect(page).to_have_url(re.compile("/sign-in/"))


def with_password(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def type_code(page: Page, secret: str, button: str) -> None:
    """Twice when half a minute ends just between reading and typing."""
    for _ in range(2):
        page.get_by_label("Code").fill(
            format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
        )
        page.get_by_role("button", name=button).click()
        page.wait_for_load_state()
        if not page.get_by_text("does not fit").is_visible():
            return


def test_the_invited_join_and_chat(open_page: Open, invitation: str) -> None:
    join(open_page(), invitation, "erin")
    again = open_page()
    again.goto(invitation)
    expect(again.get_by_role("heading")).to_have_text("This invitation has been used.")


def test_an_authenticator_app_is_added_and_asked_for(open_page: Open, invitation: str, site: str) -> None:
    page = open_page()
    join(page, invitation, "frank")
    page.goto(f"{site}/account/")
    page.get_by_role("link", name="Add an authenticator app").click()
    assert page.locator("img.qr").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    secret = page.get_by_label("Or type this key into the app").input_value()
    type_code(page, secret, "Ask for it from now on")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    recovery = page.locator(".codes li").first.inner_text()
    sign_out(page, site)
    with_password(page, "frank")
    expect(page.get_by_role("heading", name="The second step")).to_be_visible()
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Go on").click()
    expect(composer(page)).to_be_visible()
    sign_out(page, site)
    with_password(page, "frank")
    type_code(page, secret, "Go on")
    expect(composer(page)).to_be_visible()


def test_a_passkey_is_made_and_is_enough_alone(open_page: Open, invitation: str, site: str) -> None:
    page = open_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    authenticator = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": authenticator})
    page.goto(invitation)
    page.get_by_label("Name").fill("grace")
    page.get_by_role("button", name="Join with a passkey instead").click()
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(f"{site}/account/")
    expect(page.get_by_text("alone is enough")).to_be_visible()
    expect(page.get_by_text("None yet.")).to_be_visible()  # no password
    sign_out(page, site)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(composer(page)).to_be_visible()
    page.goto(f"{site}/account/passkeys/new/")  # shown again who it is, by the passkey
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Add a passkey")).to_be_visible()


def test_a_passkey_is_a_second_step_after_the_password(open_page: Open, invitation: str, site: str) -> None:
    page = open_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": key})
    join(page, invitation, "heidi")
    page.goto(f"{site}/account/passkeys/new/")
    page.get_by_label("Sign in with it alone, too").uncheck()
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    sign_out(page, site)
    with_password(page, "heidi")
    page.get_by_role("button", name="Use a passkey").click()
    expect(composer(page)).to_be_visible()


def test_an_identity_provider_brings_in_who_it_may(open_page: Open, owner: Page, site: str) -> None:
    with OpenID() as provider:
        provider.claims = {
            "sub": "i",
            "email": "ivan@example.org",
            "email_verified": True,
            "preferred_username": "ivan",
        }
        owner.goto(f"{site}/admin/accounts/identityprovider/add/")
        for label, value in (
            ("Name", "Orchard ID"),
            ("Address", provider.url),
            ("Client ID", CLIENT),
            ("Client secret", SECRET),
            ("E-mail domains that may join", "example.org"),
        ):
            owner.get_by_label(label, exact=True).or_(owner.get_by_label(f"{label}:", exact=True)).fill(value)
        owner.get_by_role("button", name="Save", exact=True).click()
        expect(owner.get_by_label("Register this redirect address there")).to_have_value(
            f"{site}/sign-in/with/orchard-id/back/"
        )
        page = open_page()
        page.goto(site)
        page.get_by_role("link", name="Sign in with Orchard ID").click()
        expect(composer(page)).to_be_visible()


def test_an_ended_session_is_out_at_its_next_request(open_page: Open, owner: Page, invitation: str, site: str) -> None:
    page = open_page()
    join(page, invitation, "judy")
    owner.goto(f"{site}/admin/accounts/person/?q=judy")
    owner.get_by_role("link", name="judy").click()
    owner.get_by_role("button", name="Sign out everywhere").click()
    expect(owner.get_by_text("judy is signed out everywhere.")).to_be_visible()
    page.goto(f"{site}/account/")
    expect(page).to_have_url(re.compile("/sign-in/"))
