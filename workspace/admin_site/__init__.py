"""The admin's door: owners and admins enter, everybody else is told there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from workspace.accounts.rights import may_administer
from workspace.admin_site.audited import audited
from workspace.admin_site.first_page import Teller

SECOND_STEP_FIRST = "The admin asks for a second step here. Add an authenticator app or a passkey first."


class OnepaneAdminSite(AdminSite):
    site_header = "Onepane admin"
    site_title = "Onepane admin"
    index_title = "Set up the workspace"
    site_url = "/"
    enable_nav_sidebar = False

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._listeners: list[Callable[[], None]] = []
        self._tellers: list[Teller] = []

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Every page's changes are logged; Django's own plain page stands where none is given."""
        super().register(model_or_iterable, audited(admin_class or ModelAdmin), **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return may_administer(request.user)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:  # type: ignore[override]
        """A signed-in person without the right gets, at every address, what an absent page gets."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404
            if settings.ADMIN_SECOND_STEP and request.user.is_authenticated and not is_mfa_enabled(request.user):
                messages.warning(request, SECOND_STEP_FIRST)
                return redirect("account")
            return inner(request, *args, **kwargs)

        return guarded

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Our own sign-in page, which also brings them back to where they wanted to go."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise Http404
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), reverse("sign-in"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        told = [tell() for tell in self._tellers]
        context = {
            "notices": [notice for one in told for notice in one.notices],
            "figures": [figure for one in told for figure in one.figures],
        }
        return super().index(request, {**context, **(extra_context or {})})

    def on_first_page(self, tell: Teller) -> None:
        """``tell`` is asked each time the first page is shown."""
        self._tellers.append(tell)

    def on_change(self, tell: Callable[[], None]) -> None:
        """``tell`` is called whenever a provider, a model, a configuration or a template was changed here."""
        self._listeners.append(tell)

    def changed(self) -> None:
        for tell in self._listeners:
            transaction.on_commit(tell)
