"""Our own pages of getting in and out: the one-time link, the invitation, the account. The others are allauth's."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from workspace.accounts import identity, invitations, links, sessions
from workspace.accounts.entering import enter
from workspace.accounts.forms import JoinForm
from workspace.accounts.models import IdentityProvider, Invitation, Person


@never_cache
@require_safe
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Spend a link. A browser that only looks ahead must not spend it, so a prefetch and a HEAD get nothing."""
    purpose = f"{request.headers.get('Sec-Purpose', '')} {request.headers.get('Purpose', '')}"
    if request.method == "HEAD" or "prefetch" in purpose or "prerender" in purpose:
        return HttpResponse(status=204)
    try:
        person = links.redeem(token)
    except links.LinkRefused as refused:
        if request.user.is_authenticated:
            return redirect("/")
        response = render(request, "accounts/link_refused.html", {"why": str(refused)}, status=410)
    else:
        response = enter(request, person)
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invitation: choose a name and a password, or a passkey, or come by an identity provider."""
    try:
        invitation = invitations.find(token)
        if request.user.is_authenticated:
            return render(request, "accounts/joined_already.html")
        request.session[identity.INVITED] = str(invitation.pk)  # for who goes on by an identity provider
        form = JoinForm(request.POST or None, initial={"username": invitation.email.partition("@")[0]})
        if request.method == "POST" and form.is_valid() and (person := _joined(form, invitation)):
            return enter(request, person, to=reverse("mfa_add_webauthn") if form.by_passkey else "/")
    except invitations.InvitationRefused as refused:
        return render(request, "accounts/refused.html", {"why": str(refused)}, status=410)
    providers = IdentityProvider.objects.order_by("name")
    return render(request, "accounts/join.html", {"form": form, "invitation": invitation, "providers": providers})


def _joined(form: JoinForm, invitation: Invitation) -> Person | None:
    person = form.person()
    try:
        with transaction.atomic():
            invitations.accept(invitation, person)
    except IntegrityError:  # somebody took the name since the form was checked
        form.add_error("username", "Somebody has this name.")
        return None
    return person


def sign_in_with(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """To an identity provider; connecting one to an account begins on that account's own page alone."""
    if request.GET.get("process") == "connect" and not identity.began_here(request):
        raise PermissionDenied
    response: HttpResponseBase = openid_connect.login(request, provider_id)
    return response


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """How one gets in, and where one is in."""
    person: Person = request.user  # type: ignore[assignment]
    steps = Authenticator.objects.filter(user=person).order_by("created_at")
    codes = steps.filter(type=Authenticator.Type.RECOVERY_CODES).first()
    connected = {one.provider: one for one in SocialAccount.objects.filter(user=person)}
    context = {
        "passkeys": [one.wrap() for one in steps.filter(type=Authenticator.Type.WEBAUTHN)],
        "app": steps.filter(type=Authenticator.Type.TOTP).first(),
        "codes": codes.wrap().get_unused_codes() if codes else None,
        "providers": [
            {"name": row.name, "connected": connected.get(row.slug), "url": identity.connect_url(request, row.slug)}
            for row in IdentityProvider.objects.order_by("name")
        ],
        "browsers": sessions.browsers(person, here=request.session.session_key),
    }
    return render(request, "accounts/account.html", context)


@login_required
@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out one browser of one's own, or every other."""
    person: Person = request.user  # type: ignore[assignment]
    if digest := request.POST.get("browser"):
        if sessions.end_one(person, digest):
            messages.success(request, "That browser is signed out.")
    else:
        ended = sessions.end(person, all_but=request.session.session_key)
        messages.success(request, f"{ended} other browser{' is' if ended == 1 else 's are'} signed out.")
    return redirect("account")
