"""What is asked of somebody who joins, or sets a password."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from allauth.core import context
from django import forms

from workspace.accounts import entering
from workspace.accounts.models import Person

PASSWORD_HELP = "At least 10 characters, and not one that everybody uses."


class JoinForm(forms.Form):
    """A name and a password; with ``by=passkey`` the name alone."""

    username = forms.CharField(
        label="Name",
        max_length=150,
        help_text="Letters, digits and @ . + - _",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, "spellcheck": "false"}),
    )
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        help_text=PASSWORD_HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    @property
    def by_passkey(self) -> bool:
        return self.data.get("by") == "passkey"

    def clean_username(self) -> str:
        return get_adapter().clean_username(self.cleaned_data["username"])

    def clean(self) -> dict[str, Any]:
        if not self.by_passkey and "username" in self.cleaned_data:
            password = self.cleaned_data.get("password", "")
            try:
                get_adapter().clean_password(password, user=Person(username=self.cleaned_data["username"]))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return self.cleaned_data

    def person(self) -> Person:
        """Not saved yet: that is the invitation's to do."""
        person = Person(username=self.cleaned_data["username"])
        if self.by_passkey:
            person.set_unusable_password()
        else:
            person.set_password(self.cleaned_data["password"])
        return person


class SetPassword(allauth_forms.SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _in_our_words(self, {"password1": "New password", "password2": "The same again"})


class ChangePassword(allauth_forms.ChangePasswordForm):
    """Who has just come by a sign-in link is not asked for the password that they forgot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if entering.came_by_link(context.request):
            del self.fields["oldpassword"]
        _in_our_words(
            self, {"oldpassword": "Current password", "password1": "New password", "password2": "The same again"}
        )


def _in_our_words(form: forms.Form, labels: dict[str, str]) -> None:
    for name, field in form.fields.items():
        field.label = labels[name]
        field.help_text = PASSWORD_HELP if name == "password1" else ""
        field.widget.attrs.pop("placeholder", None)
