"""Signing in with an identity provider (OpenID Connect): which there are, and whom they let in for the first time.

A newcomer is let in by the invitation whose link this browser has opened, by one that names their e-mail address,
or because the provider's row lists the domain of that address. An address counts only when the provider calls it
verified. Nobody is joined to a person who exists: they connect from their account page, signed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from django.core import signing
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from workspace.accounts import invitations
from workspace.accounts.models import IdentityProvider, Invitation, Person
from workspace.sealing import seal, unseal
from workspace.types import sha256

SECRETS = b"onepane identity providers"
INVITED = "invitation"  # in the session of a browser that has opened an invitation
CONNECT_WITHIN = 3600  # seconds a page with links to connect stays good


@dataclass(frozen=True, slots=True)
class Admission:
    """Why a newcomer may join, and as what."""

    invitation: Invitation | None = None
    role: str = ""

    def give(self, person: Person) -> None:
        """Raises InvitationRefused when the invitation was closed in between."""
        if self.invitation:
            invitations.accept(self.invitation, person)
        else:
            person.role = self.role
            person.save(update_fields=["role", "email"])


def apps(slug: str | None = None) -> list[SocialApp]:
    """allauth's own picture of our rows, of one or of all."""
    rows = IdentityProvider.objects.order_by("name")
    return [_app(row) for row in (rows.filter(slug=slug) if slug else rows)]


def set_secret(row: IdentityProvider, secret: str) -> None:
    row.encrypted_secret = seal(secret, purpose=SECRETS)


def admission(request: HttpRequest, login: SocialLogin) -> Admission | None:
    pk = request.session.get(INVITED)
    opened = Invitation.objects.select_related("author").filter(pk=pk).first() if pk else None
    if opened and not opened.closed:
        return Admission(invitation=opened)
    email = next((address.email for address in login.email_addresses if address.verified is True), "")
    if not email:
        return None
    if addressed := invitations.addressed_to(email):
        return Admission(invitation=addressed)
    row = IdentityProvider.objects.filter(slug=login.account.provider).first()
    if row and email.rpartition("@")[2].lower() in row.domains.lower().split():
        return Admission(role=row.role)
    return None


def connect_url(request: HttpRequest, slug: str) -> str:
    """The link that begins to connect a provider to who is signed in: good for this session alone."""
    token = signing.dumps(sha256(request.session.session_key or ""), salt="connect")
    query = urlencode({"process": "connect", "ours": token, "next": reverse("account")})
    return f"{reverse('openid_connect_login', args=[slug])}?{query}"


def began_here(request: HttpRequest) -> bool:
    """Whether a request to connect comes from our page: another site could send a browser to the same address,
    signed in at the provider as somebody else, and so get a key to this account."""
    try:
        token = signing.loads(request.GET.get("ours", ""), salt="connect", max_age=CONNECT_WITHIN)
    except signing.BadSignature:
        return False
    return bool(token == sha256(request.session.session_key or ""))


def forget(row: IdentityProvider) -> int:
    """What people had connected to a provider goes with it; how many there were."""
    count, _ = SocialAccount.objects.filter(provider=row.slug).delete()
    return count


def _app(row: IdentityProvider) -> SocialApp:
    return SocialApp(
        provider="openid_connect",
        provider_id=row.slug,
        name=row.name,
        client_id=row.client_id,
        secret=unseal(bytes(row.encrypted_secret), purpose=SECRETS),
        settings={"server_url": row.server_url, "oauth_pkce_enabled": True},
    )
