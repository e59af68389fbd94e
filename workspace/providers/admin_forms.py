"""What the admin asks of a provider and of a language model, and what it refuses, in words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django import forms

from workspace.admin_site.versions import VersionedForm
from workspace.providers import registry
from workspace.providers.adding import known_of
from workspace.providers.base import ABILITIES
from workspace.providers.models import LanguageModel, Provider
from workspace.providers.names import tied_to
from workspace.providers.presets import MODEL_NAMES

PRICES = ("price_input", "price_output", "price_cached")
NO_ADDRESS = ("quotes", "local")  # kinds that call nothing on a network


class ProviderForm(VersionedForm):
    version_fields = ("kind", "base_url", "options")

    kind = forms.ChoiceField(choices=registry.kinds, label="Protocol")
    base_url = forms.CharField(
        required=False,
        max_length=500,
        label="Address",
        help_text="The base URL, such as https://api.openai.com/v1 or http://localhost:11434/v1.",
    )
    key = forms.CharField(
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        label="Key",
    )
    remove_key = forms.BooleanField(required=False, label="Remove the stored key")
    options = forms.JSONField(required=False, initial=dict, help_text="A JSON object; empty is right for most.")
    preset = forms.CharField(required=False, widget=forms.HiddenInput())

    class Meta:
        model = Provider
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = self.instance.current
        if current and current.key_variable and not self.instance.encrypted_key:
            self.fields["key"].help_text = f"Read from {current.key_variable} at each call. One stored here goes first."
            self.fields["remove_key"].widget = forms.HiddenInput()
        elif self.instance.encrypted_key:
            self.fields["key"].help_text = "A key is stored. It is never shown; write another to replace it."
        else:
            self.fields["key"].help_text = "No key is stored. It is kept encrypted and never shown again."
            self.fields["remove_key"].widget = forms.HiddenInput()

    def version_values(self) -> dict[str, Any]:
        """The variable of the environment stays with the address that its key is for."""
        values = super().version_values()
        current = self.instance.current
        same = current is not None and not goes_elsewhere(self.instance, values["base_url"])
        return {**values, "key_variable": current.key_variable if current and same else ""}

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"]).strip()
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise forms.ValidationError("An address starts with http:// or https:// and names a host.")
        if parts.username or parts.password:
            raise forms.ValidationError("Put the key into its own field, not into the address.")
        return url

    def clean_options(self) -> dict[str, Any]:
        options = self.cleaned_data["options"] or {}
        if not isinstance(options, dict):
            raise forms.ValidationError("Options are a JSON object in { }.")
        return options

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("kind") not in NO_ADDRESS and not data.get("base_url") and "base_url" not in self.errors:
            self.add_error("base_url", "This protocol needs an address.")
        elif (
            goes_elsewhere(self.instance, data.get("base_url", ""))
            and not data.get("key")
            and not data.get("remove_key")
        ):
            self.add_error(
                "key", "The stored key belongs to another address. Write the key for this one, or remove it."
            )
        return data


class LanguageModelForm(VersionedForm):
    version_fields = (
        "provider", "upstream", "window", "abilities", "parameters", *PRICES,
    )  # fmt: skip

    provider = forms.ModelChoiceField(Provider.objects.order_by("name"))
    upstream = forms.CharField(max_length=200, label="Name there", help_text="What the provider calls it.")
    window = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2_000_000_000,
        help_text="Tokens it can take, question and answer together.",
    )
    abilities = forms.MultipleChoiceField(
        required=False,
        initial=["system"],
        choices=[(word, word) for word in ABILITIES],
        widget=forms.CheckboxSelectMultiple,
    )
    parameters = forms.JSONField(
        required=False, initial=dict, help_text='A JSON object sent with every question, such as {"temperature": 0.2}.'
    )
    price_input = forms.DecimalField(required=False, min_value=0, max_digits=12, decimal_places=6, label="Input")
    price_output = forms.DecimalField(required=False, min_value=0, max_digits=12, decimal_places=6, label="Output")
    price_cached = forms.DecimalField(
        required=False, min_value=0, max_digits=12, decimal_places=6, label="Cached input"
    )

    class Meta:
        model = LanguageModel
        fields = ("name", "enabled", "for_all", "groups")
        widgets = {"groups": forms.CheckboxSelectMultiple}
        help_texts = {"groups": "Who may use it when it is not for everybody."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in PRICES:
            if isinstance(price := self.initial.get(name), Decimal):
                self.initial[name] = f"{price.normalize():f}"  # 0.15, where the column says 0.150000

    def version_values(self) -> dict[str, Any]:
        """Prices that were left empty are those that others keep; entered ones are the admin's own."""
        values, current = super().version_values(), self.instance.current
        given = [values[name] for name in PRICES]
        same = current is not None and current.upstream == values["upstream"]
        if current and same and given == [getattr(current, name) for name in PRICES]:
            return {**values, "price_source": current.price_source}
        if any(price is not None for price in given):
            return {**values, "price_source": ""}
        about = known_of(values["provider"], values["upstream"])
        values |= {name: getattr(about, name) for name in PRICES}
        return {**values, "window": values["window"] or about.window, "price_source": about.source}

    def clean_abilities(self) -> list[str]:
        return list(self.cleaned_data["abilities"])

    def clean_parameters(self) -> dict[str, Any]:
        parameters = self.cleaned_data["parameters"] or {}
        if not isinstance(parameters, dict):
            raise forms.ValidationError("Parameters are a JSON object in { }.")
        return parameters


def goes_elsewhere(provider: Provider, url: str) -> bool:
    """Would the stored key be sent to another server than the one it was given for?

    Without this question a key that nobody may read could be read after all: point the provider at a server of one's
    own, and test the connection.
    """
    if provider.current is None or not (provider.encrypted_key or provider.current.key_variable):
        return False
    was, now = urlsplit(provider.current.base_url), urlsplit(url)
    return (was.scheme, was.netloc) != (now.scheme, now.netloc)


class NamesForm(forms.Form):
    """A model for each name that the article's router file uses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = LanguageModel.objects.exclude(name__in=MODEL_NAMES).exclude(current=None).order_by("name")
        for name, purpose in MODEL_NAMES.items():
            self.fields[name] = forms.ModelChoiceField(
                models, required=False, label=name, help_text=f"For {purpose}.", initial=tied_to(name)
            )
