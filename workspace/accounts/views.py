"""Getting in and out: the one-time link, name and password, sign-out, a password of one's own."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from workspace.accounts import attempts, links
from workspace.accounts.models import Person


@never_cache
@require_http_methods(["GET", "HEAD"])
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
        login(request, person, backend="django.contrib.auth.backends.ModelBackend")
        response = redirect("/")
    response["Referrer-Policy"] = "no-referrer"
    return response


class BoundedForm(AuthenticationForm):
    """Name and password, with a bound on guesses."""

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username") or ""
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        if attempts.too_many(name, address):
            raise ValidationError("Too many wrong passwords. Wait a quarter of an hour, or use a sign-in link.")
        try:
            return super().clean()
        except ValidationError:
            attempts.note_failure(name, address)
            raise ValidationError(
                "That name and password do not fit. A sign-in link works without a password."
            ) from None


class SignIn(LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = BoundedForm
    redirect_authenticated_user = True


sign_in = SignIn.as_view()


@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Set or change one's password, so that another device can sign in."""
    person: Person = request.user  # type: ignore[assignment]
    form_class = PasswordChangeForm if person.has_usable_password() else SetPasswordForm
    form = form_class(person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        update_session_auth_hash(request, person)
        messages.success(request, "The password is set.")
        return redirect("account")
    return render(request, "accounts/account.html", {"form": form})
