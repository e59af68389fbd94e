"""People in the admin: who is in, what their role is, and a link to sign in with.

Nobody is deleted, because chats and runs are theirs: they are switched off. The owner's row is the owner's alone,
or an admin could make themselves a link into it.
"""

from __future__ import annotations

from typing import Any

import django.contrib.auth.admin  # noqa: F401  it registers Group, which is taken out below
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from workspace.accounts import links
from workspace.accounts.models import Person, Role

admin.site.unregister(Group)  # rights follow from the role

LINK_MINUTES = 24 * 60


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Person
        fields = ("username", "role", "is_active")
        labels = {"username": "Name", "is_active": "May sign in"}
        help_texts = {"username": "Letters, digits and @ . + - _", "is_active": "Off ends what they have open, too."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.role == Role.OWNER:
            for name in ("role", "is_active"):
                if name in self.fields:
                    self.fields[name].disabled = True
        elif "role" in self.fields:
            self.fields["role"] = forms.ChoiceField(choices=[(r.value, r.label) for r in Role if r != Role.OWNER])
            self.fields["role"].initial = Role.MEMBER

    def clean_username(self) -> str:
        name = str(self.cleaned_data["username"])
        if Person.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Somebody has this name.")
        return name


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PersonForm
    list_display = ("username", "role", "is_active", "last_login", "date_joined")
    list_filter = ("role", "is_active")
    search_fields = ("username",)
    ordering = ("username",)
    actions = None
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "admin/accounts/person_form.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Person | None = None) -> bool:
        return super().has_change_permission(request, obj) and not self._is_above(request, obj)

    def get_fields(self, request: HttpRequest, obj: Person | None = None) -> tuple[str, ...]:
        return ("username", "role", "is_active", "last_login") if obj else ("username", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Person | None = None) -> tuple[str, ...]:
        """Nobody takes their own way in away by mistake."""
        return ("role", "is_active", "last_login") if obj and obj.pk == request.user.pk else ("last_login",)

    def save_model(self, request: HttpRequest, obj: Person, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Person, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_link(request, obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.link))
        return [path("<uuid:id>/link/", view, name="accounts_person_link"), *super().get_urls()]

    def link(self, request: HttpRequest, id: Any) -> HttpResponse:
        """A new one-time link, shown on this answer alone."""
        person = self.get_object(request, str(id))
        if person is None:
            raise Http404
        if self._is_above(request, person) or not person.is_active:
            raise PermissionDenied
        self.log_change(request, person, "Made a sign-in link.")
        return self._show_link(request, person)

    def _is_above(self, request: HttpRequest, person: Person | None) -> bool:
        return person is not None and person.role == Role.OWNER and person.pk != request.user.pk

    def _show_link(self, request: HttpRequest, person: Person) -> HttpResponse:
        token = links.make(person, minutes=LINK_MINUTES)
        context = {
            **self.admin_site.each_context(request),
            "title": f"A sign-in link for {person}",
            "opts": self.opts,
            "person": person,
            "link": request.build_absolute_uri(reverse("sign-in-link", args=[token])),
            "hours": LINK_MINUTES // 60,
        }
        response = render(request, "admin/accounts/link.html", context)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response
