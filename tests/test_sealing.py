"""A sealed secret opens under its own key and purpose alone."""

from __future__ import annotations

from django.conf import LazySettings

from workspace.sealing import seal, unseal


def test_a_secret_comes_back_for_its_purpose_alone(settings: LazySettings) -> None:
    sealed = seal("a key", purpose=b"one")
    assert b"a key" not in sealed
    assert unseal(sealed, purpose=b"one") == "a key"
    assert unseal(sealed, purpose=b"two") == ""
    assert unseal(sealed[:-4] + b"AAAA", purpose=b"one") == ""
    settings.SECRET_KEY = "another"
    assert unseal(sealed, purpose=b"one") == ""


def test_nothing_is_sealed_as_nothing() -> None:
    assert seal("", purpose=b"one") == b"" and unseal(b"", purpose=b"one") == ""
