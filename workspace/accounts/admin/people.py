"""People in the admin: who is in, what their role is, and a link to sign in with.

Nobody is deleted, because chats and runs are theirs: they are switched off. The owner's row is the owner's alone,
or an admin could make themselves a link into it.
"""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from workspace.accounts import links, owner, sessions
from workspace.accounts.models import GIVEN, Group, Person, Role

LINK_MINUTES = 24 * 60
RANKS = list(Role.values)  # from the owner down


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    groups = forms.ModelMultipleChoiceField(
        queryset=Group.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Person
        fields = ("username", "role", "groups", "is_active")
        labels = {"username": "Name", "is_active": "May sign in"}
        help_texts = {"username": "Letters, digits and @ . + - _", "is_active": "Off ends what they have open, too."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.role == Role.OWNER:
            for name in ("role", "is_active"):
                if name in self.fields:
                    self.fields[name].disabled = True
        elif "role" in self.fields:
            self.fields["role"] = forms.ChoiceField(choices=GIVEN)
            self.fields["role"].initial = Role.MEMBER

    def clean_username(self) -> str:
        name = str(self.cleaned_data["username"])
        if Person.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Somebody has this name.")
        return name


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PersonForm
    list_display = ("username", "role", "in_groups", "is_active", "last_login", "date_joined")
    list_filter = ("role", "is_active", "groups")
    search_fields = ("username", "email")
    ordering = ("username",)
    actions = None
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/accounts/people.html"
    change_form_template = "admin/accounts/person_form.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Person | None = None) -> bool:
        return super().has_change_permission(request, obj) and not self._is_above(request, obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_fields(self, request: HttpRequest, obj: Person | None = None) -> tuple[str, ...]:
        shown = ("username", "role", "groups")
        return (*shown, "is_active", "email", "last_login", "second_steps", "open_browsers") if obj else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Person | None = None) -> tuple[str, ...]:
        """Nobody takes their own way in away by mistake."""
        told = ("email", "last_login", "second_steps", "open_browsers")
        return ("role", "is_active", *told) if obj and obj.pk == request.user.pk else told

    def save_model(self, request: HttpRequest, obj: Person, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        if not change:
            obj.set_unusable_password()
            return super().save_model(request, obj, form, change)
        super().save_model(request, obj, form, change)
        before = str(form.initial.get("role", obj.role))
        if not obj.is_active or RANKS.index(obj.role) > RANKS.index(before):
            sessions.end(obj)
        if {"role", "groups", "is_active"} & set(form.changed_data):
            sessions.tell_changed([obj.pk])
        return None

    def response_add(self, request: HttpRequest, obj: Person, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_link(request, obj)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        person = kwargs.get("obj")
        context["may_hand_over"] = bool(
            person and person.is_active and person.pk != request.user.pk and self._is_owner(request)
        )
        context["has_second_steps"] = bool(person) and Authenticator.objects.filter(user=person).exists()
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        pages = [
            ("link", self.link),
            ("end", self.end_sessions),
            ("second-steps", self.remove_second_steps),
            ("owner", self.hand_over),
        ]
        return [
            path(
                f"<uuid:id>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"accounts_person_{name.replace('-', '_')}",
            )
            for name, view in pages
        ] + super().get_urls()

    def link(self, request: HttpRequest, id: Any) -> HttpResponse:
        """A new one-time link, shown on this answer alone."""
        person = self._changeable(request, id)
        if not person.is_active:
            raise PermissionDenied
        return self._show_link(request, person)

    def end_sessions(self, request: HttpRequest, id: Any) -> HttpResponse:
        person = self._changeable(request, id)
        sessions.end(person, all_but=request.session.session_key if person.pk == request.user.pk else None)
        messages.success(request, f"{person} is signed out everywhere.")
        return redirect("admin:accounts_person_change", person.pk)

    def remove_second_steps(self, request: HttpRequest, id: Any) -> HttpResponse:
        """For who has lost their phone. Their passkeys go too, and they are told by having to sign in again."""
        person = self._changeable(request, id)
        Authenticator.objects.filter(user=person).delete()
        sessions.end(person, all_but=request.session.session_key if person.pk == request.user.pk else None)
        self.log_change(request, person, "Removed the authenticator app, passkeys and recovery codes.")
        messages.success(request, f"{person} signs in without a second step now, with a password or a link.")
        return redirect("admin:accounts_person_change", person.pk)

    def hand_over(self, request: HttpRequest, id: Any) -> HttpResponse:
        person = self._changeable(request, id)
        if not self._is_owner(request):
            raise PermissionDenied
        if request.POST.get("sure") != "yes":
            context = {**self.admin_site.each_context(request), "title": f"Make {person} the owner", "person": person}
            return render(request, "admin/accounts/hand_over.html", {**context, "opts": self.opts})
        raise_if_reauthentication_required(request, app="allauth.mfa")
        owner.hand_over(request.user, person)  # type: ignore[arg-type]
        messages.success(request, f"{person} owns this workspace now. You are an admin.")
        return redirect("admin:accounts_person_changelist")

    @admin.display(description="groups")
    def in_groups(self, person: Person) -> str:
        return ", ".join(sorted(group.name for group in person.groups.all())) or "none"

    @admin.display(description="second steps")
    def second_steps(self, person: Person) -> str:
        return ", ".join(str(one) for one in Authenticator.objects.filter(user=person).order_by("created_at")) or "none"

    @admin.display(description="signed in on")
    def open_browsers(self, person: Person) -> str:
        return ", ".join(browser.agent for browser in sessions.browsers(person)) or "nothing"

    def _changeable(self, request: HttpRequest, id: Any) -> Person:
        person: Person | None = self.get_object(request, str(id))
        if person is None:
            raise Http404
        if self._is_above(request, person):
            raise PermissionDenied
        return person

    def _is_owner(self, request: HttpRequest) -> bool:
        return getattr(request.user, "role", "") == Role.OWNER

    def _is_above(self, request: HttpRequest, person: Person | None) -> bool:
        return person is not None and person.role == Role.OWNER and person.pk != request.user.pk

    def _show_link(self, request: HttpRequest, person: Person) -> HttpResponse:
        token = links.make(person, minutes=LINK_MINUTES)
        context = {
            "title": f"A sign-in link for {person}",
            "person": person,
            "link": request.build_absolute_uri(reverse("sign-in-link", args=[token])),
            "hours": LINK_MINUTES // 60,
        }
        return show_once(self, request, "admin/accounts/link.html", context)


def show_once(
    page: admin.ModelAdmin[Any], request: HttpRequest, template: str, context: dict[str, Any]
) -> HttpResponse:
    """A page with a secret on it: kept by no cache. Its address says nothing, so its forms may name where they are."""
    response = render(request, template, {**page.admin_site.each_context(request), "opts": page.opts, **context})
    response["Cache-Control"] = "no-store"
    return response
