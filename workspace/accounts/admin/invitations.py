"""Invitations in the admin: made, shown once as a link, listed with what has become of them, taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from workspace.accounts import invitations
from workspace.accounts.admin.people import show_once
from workspace.accounts.models import Group, Invitation

DAYS = [(1, "a day"), (7, "a week"), (30, "30 days"), (90, "90 days")]


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]
    groups = forms.ModelMultipleChoiceField(
        queryset=Group.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )
    days = forms.TypedChoiceField(choices=DAYS, coerce=int, initial=7, label="Good for")

    class Meta:
        model = Invitation
        fields = ("role", "groups", "email", "uses")
        labels = {"email": "E-mail address", "uses": "People"}
        help_texts = {
            "role": "Members chat, viewers read, admins set up models and people.",
            "email": "Optional, and nothing is sent. Who signs in with an identity provider under this address "
            "needs no link.",
            "uses": "How many people may join by it.",
        }


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = InvitationForm
    list_display = ("name", "state", "taken", "author", "created", "expires")
    list_select_related = ("author",)
    ordering = ("-created",)
    actions = None
    change_form_template = "admin/accounts/invitation_form.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("joined", "groups")

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        told = ("state", "role", "in_groups", "email", "taken", "author", "created", "expires")
        return told if obj else ("role", "groups", "email", "uses", "days")

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        obj.token, obj.digest = invitations.new_token()
        obj.author = request.user  # type: ignore[assignment]
        obj.expires = timezone.now() + timedelta(days=form.cleaned_data["days"])
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None) -> HttpResponse:
        link = request.build_absolute_uri(reverse("join", args=[obj.token]))
        context = {"title": "An invitation", "invitation": obj, "link": link}
        return show_once(self, request, "admin/accounts/invitation.html", context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.revoke))
        return [path("<uuid:id>/revoke/", view, name="accounts_invitation_revoke"), *super().get_urls()]

    def revoke(self, request: HttpRequest, id: Any) -> HttpResponse:
        invitation: Invitation | None = self.get_object(request, str(id))
        if invitation is None:
            raise Http404
        invitations.revoke(invitation)
        self.log_change(request, invitation, "Took the invitation back.")
        messages.success(request, "The invitation is taken back. Who has joined by it stays.")
        return redirect("admin:accounts_invitation_changelist")

    @admin.display(description="invitation", ordering="created")
    def name(self, invitation: Invitation) -> str:
        return str(invitation)

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> str:
        return invitation.closed or "Open"

    @admin.display(description="joined")
    def taken(self, invitation: Invitation) -> str:
        joined = ", ".join(str(person) for person in invitation.joined.all())
        return f"{invitation.used} of {invitation.uses}{f': {joined}' if joined else ''}"

    @admin.display(description="groups")
    def in_groups(self, invitation: Invitation) -> str:
        return ", ".join(sorted(group.name for group in invitation.groups.all())) or "none"
