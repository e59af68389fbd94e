"""Identity providers in the admin. A secret goes in and never comes out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from workspace.accounts import identity
from workspace.accounts.models import IdentityProvider

DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class IdentityProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    server_url = forms.URLField(
        label="Address",
        max_length=500,
        assume_scheme="https",
        help_text="What it calls its issuer, such as https://login.example.org/realms/main.",
    )
    secret = forms.CharField(
        required=False,
        strip=True,
        label="Client secret",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    domains = forms.CharField(
        required=False,
        label="E-mail domains that may join",
        widget=forms.TextInput,
        help_text="Such as example.org, with spaces between several. Whoever the provider knows by a verified address "
        "there may join. Empty: only who is invited.",
    )

    class Meta:
        model = IdentityProvider
        fields = ("name", "slug", "server_url", "client_id", "domains", "role")
        help_texts = {"name": "As it stands on the button: Sign in with …"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["secret"].help_text = (
            "A secret is stored. It is never shown; write another to replace it."
            if self.instance.encrypted_secret
            else "It is kept encrypted and never shown again."
        )

    def clean_server_url(self) -> str:
        url = str(self.cleaned_data["server_url"]).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise forms.ValidationError("It must begin with https://, or anybody on the way could sign in as anybody.")
        return url

    def clean_domains(self) -> str:
        domains = str(self.cleaned_data["domains"]).lower().replace(",", " ").split()
        for domain in domains:
            if not DOMAIN.fullmatch(domain):
                raise forms.ValidationError(f"{domain} is no domain. Write what stands behind the @: example.org.")
        return " ".join(domains)

    def save(self, commit: bool = True) -> Any:
        if secret := self.cleaned_data["secret"]:
            identity.set_secret(self.instance, secret)
        return super().save(commit)


@admin.register(IdentityProvider)
class IdentityProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = IdentityProviderForm
    list_display = ("name", "server_url", "domains")
    ordering = ("name",)
    actions = None
    prepopulated_fields = {"slug": ("name",)}
    change_form_template = "admin/accounts/identity_form.html"

    fields = ("name", "slug", "server_url", "client_id", "secret", "domains", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if row := kwargs.get("obj"):
            context["callback"] = request.build_absolute_uri(reverse("openid_connect_callback", args=[row.slug]))
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """To its page, where the redirect address stands."""
        return redirect("admin:accounts_identityprovider_change", obj.pk)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def save_model(self, request: HttpRequest, obj: IdentityProvider, form: Any, change: bool) -> None:
        """At another address other people may answer to the same names, the owner's too: nobody stays connected."""
        super().save_model(request, obj, form, change)
        if change and "server_url" in form.changed_data and identity.forget(obj):
            messages.warning(request, "Its address is another now: whoever was connected has to connect again.")

    def delete_model(self, request: HttpRequest, obj: IdentityProvider) -> None:
        identity.forget(obj)
        super().delete_model(request, obj)
