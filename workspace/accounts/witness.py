"""What Django and allauth tell of getting in and out, written into the audit log.

Their signals are the one place that all their ways in go through: password, link, passkey, identity provider.
"""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.contrib.auth import signals as auth

from workspace.accounts.models import Person
from workspace.audit.log import record
from workspace.audit.models import Action


def listen() -> None:
    for signal, heard in HEARD:
        signal.connect(heard, dispatch_uid=heard.__name__)


def signed_in(user: Any, **_: Any) -> None:
    record(Action.SIGNED_IN, about=user, actor=user)


def signed_out(user: Any, **_: Any) -> None:
    if user is not None:
        record(Action.SIGNED_OUT, about=user, actor=user)


def failed_to_sign_in(credentials: dict[str, Any], **_: Any) -> None:
    """Under which name. A name that nobody has may be a password in the wrong field: its beginning is enough."""
    typed = str(credentials.get("username") or credentials.get("email") or "")
    person = Person.objects.filter(username__iexact=typed).first()
    unknown = f"{typed[:3]}… ({len(typed)} characters, nobody’s name)" if typed else ""
    record(Action.SIGN_IN_FAILED, about=person, name=None if person else unknown)


def changed_password(user: Any, **_: Any) -> None:
    record(Action.PASSWORD_CHANGED, about=user, actor=user)


def added_second_step(user: Any, authenticator: Any, **_: Any) -> None:
    record(Action.SECOND_STEP_ADDED, about=user, actor=user, words=f"{authenticator.get_type_display()}.")


def removed_second_step(user: Any, authenticator: Any, **_: Any) -> None:
    record(Action.SECOND_STEP_REMOVED, about=user, actor=user, words=f"{authenticator.get_type_display()}.")


def connected(sociallogin: Any, **_: Any) -> None:
    user = sociallogin.user
    record(Action.IDENTITY_CONNECTED, about=user, actor=user, words=f"{sociallogin.account.provider}.")


def disconnected(socialaccount: Any, **_: Any) -> None:
    user = socialaccount.user
    record(Action.IDENTITY_DISCONNECTED, about=user, words=f"{socialaccount.provider}.")


HEARD: tuple[tuple[Any, Any], ...] = (
    (auth.user_logged_in, signed_in),
    (auth.user_logged_out, signed_out),
    (auth.user_login_failed, failed_to_sign_in),
    (account.password_changed, changed_password),
    (account.password_set, changed_password),
    (mfa.authenticator_added, added_second_step),
    (mfa.authenticator_reset, added_second_step),
    (mfa.authenticator_removed, removed_second_step),
    (social.social_account_added, connected),
    (social.social_account_removed, disconnected),
)
