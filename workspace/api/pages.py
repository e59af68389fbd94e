"""The page of personal tokens: make one, see it once, take one back."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from workspace.accounts.rights import may_chat, person_of
from workspace.api import bearer
from workspace.api import tokens as rows

LIVES = [("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until it is revoked")]


class TokenForm(forms.Form):
    name = forms.CharField(max_length=60, label="What is it for", widget=forms.TextInput({"placeholder": "A notebook"}))
    days = forms.TypedChoiceField(
        choices=LIVES, required=False, coerce=int, empty_value=None, initial="90", label="How long it works"
    )


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """A new token is shown on the answer to its own form alone: nothing keeps it."""
    person = person_of(request)
    form, made = TokenForm(request.POST or None), ""
    if request.method == "POST":
        if not may_chat(person):
            raise PermissionDenied
        if form.is_valid():
            _, made = rows.make(person, name=form.cleaned_data["name"], days=form.cleaned_data["days"])
            form = TokenForm()
    return render(
        request,
        "api/tokens.html",
        {
            "form": form,
            "made": made,
            "tokens": rows.of(person),
            "may_ask": may_chat(person),
            "address": request.build_absolute_uri("/v1"),
        },
        status=200 if made or not form.is_bound else 400,
    )


@login_required
@require_POST
def revoke(request: HttpRequest, id: UUID) -> HttpResponse:
    digest = rows.revoke(person_of(request), id)
    if not digest:
        raise Http404
    bearer.forget(digest)
    messages.success(request, "The token is revoked. What used it is refused from now on.")
    return redirect("tokens")
