"""What allauth asks us: who may join, what it says, where secrets are kept. The flows themselves are its own."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from workspace.accounts import identity, invitations, sessions
from workspace.accounts.models import Person, Session
from workspace.sealing import seal, unseal

# allauth names a template for each thing it says. These are said; the others are seen anyway.
SAID = {
    "account/messages/password_changed.txt": "The password is changed. Other browsers are signed out.",
    "account/messages/password_set.txt": "The password is set.",
    "mfa/messages/totp_activated.txt": "The authenticator app is asked for from now on.",
    "mfa/messages/totp_deactivated.txt": "The authenticator app is no longer asked for.",
    "mfa/messages/webauthn_added.txt": "The passkey is added.",
    "mfa/messages/webauthn_removed.txt": "The passkey is removed.",
    "mfa/messages/recovery_codes_generated.txt": "Here are new recovery codes. Keep them where you keep passwords.",
    "socialaccount/messages/account_connected.txt": "Connected. You can sign in with it from now on.",
    "socialaccount/messages/account_connected_updated.txt": "That one is connected already.",
    "socialaccount/messages/account_connected_other.txt": "That one is connected to somebody else here.",
    "socialaccount/messages/account_disconnected.txt": "Disconnected.",
}
CONFIRM = {
    "reauthenticate": "Use the password",
    "mfa_reauthenticate:webauthn": "Use a passkey",
    "mfa_reauthenticate": "Use a code",
}
SECOND_STEP = b"onepane second steps"


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "account_inactive": "This person is switched off. Ask an admin.",
        "enter_current_password": "That is not the current password.",
        "incorrect_password": "That is not the password.",
        "invalid_login": "That name and password do not fit. A sign-in link works without a password.",
        "rate_limited": "Too many tries. Wait a quarter of an hour.",
        "too_many_login_attempts": "Too many wrong tries. Wait a quarter of an hour, or use a sign-in link.",
        "username_password_mismatch": "That name and password do not fit. A sign-in link works without a password.",
        "username_taken": "Somebody has this name.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up: people are invited (``views.join``), or let in by an identity provider."""
        return False

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: dict[str, Any] | None = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        if said := message or SAID.get(message_template or ""):
            messages.add_message(request, level, said, extra_tags=extra_tags)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Guesses at a name count together. allauth counts them for each Host header, and whoever guesses writes it."""
        return str(credentials.get("username", "")).lower()

    def login(self, request: HttpRequest, user: Person) -> None:
        super().login(request, user)
        Session.objects.filter(expire_date__lt=timezone.now()).delete()

    def logout(self, request: HttpRequest) -> None:
        person_id, key = request.user.pk, request.session.session_key
        super().logout(request)
        if person_id and key:
            sessions.tell_ended(person_id, key)

    def set_password(self, user: Person, password: str) -> None:
        """Every other browser is signed out."""
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end(user, all_but=self.request.session.session_key)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The first one is asked for; codes come last, because recovery codes are few."""
        found = {method["id"]: method for method in super().get_reauthentication_methods(user)}
        return [{**found[id], "description": words} for id, words in CONFIRM.items() if id in found]

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")


class IdentityAdapter(DefaultSocialAccountAdapter):
    error_messages = {
        **DefaultSocialAccountAdapter.error_messages,
        "no_password": "It is your only way in. Set a password first.",
        "connected_other": "That one is connected to somebody else here.",
    }

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        return [app for app in identity.apps(provider) if not client_id or app.client_id == client_id]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return identity.admission(request, sociallogin) is not None

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Person:
        """The newcomer with what their invitation or their provider's rule gives, or nobody."""
        admission = identity.admission(request, sociallogin)
        person: Person = sociallogin.user
        email, person.email = person.email, ""  # no address is verified by mail here, so allauth need not keep any
        sociallogin.email_addresses = []
        try:
            if admission is None:
                raise invitations.InvitationRefused("This invitation is gone.")
            with transaction.atomic():
                super().save_user(request, sociallogin, form)
                person.email = email
                admission.give(person)
        except invitations.InvitationRefused as refused:
            page = render(request, "accounts/refused.html", {"why": str(refused)}, status=410)
            raise ImmediateHttpResponse(page) from None
        return person

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        return reverse("account")


class SecondStepAdapter(DefaultMFAAdapter):
    """Seeds of codes are encrypted. Under another SECRET_KEY they read as noise, so that no code fits."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "That does not fit, or it has been used. Try the next one.",
    }

    def encrypt(self, text: str) -> str:
        return seal(text, purpose=SECOND_STEP).decode()

    def decrypt(self, encrypted_text: str) -> str:
        opened = unseal(encrypted_text.encode(), purpose=SECOND_STEP)
        return opened or base64.b32encode(secrets.token_bytes(20)).decode()

    def get_totp_issuer(self) -> str:
        return f"Onepane {self._get_site_name()}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Onepane"}

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"
