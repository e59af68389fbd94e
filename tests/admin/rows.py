"""One row of everything the admin shows, and the address of every page of it.

``python -m tests.admin.rows`` makes them in the database that the environment names and prints the addresses.
"""

from __future__ import annotations

import json
from datetime import timedelta


def one_of_each() -> list[str]:
    """Everything belongs to the first member there is, or to the owner."""
    from django.contrib import admin
    from django.urls import reverse
    from django.utils import timezone

    from retrieval.models import Collection, Document, EmbeddingModel, SearchSettings
    from retrieval.web import engines
    from workspace.accounts.models import Group, IdentityProvider, Invitation, Person
    from workspace.admin_site.pages import ReadOnlyAdmin
    from workspace.audit.log import record
    from workspace.audit.models import Action
    from workspace.ids import new_id
    from workspace.router.models import Budget, DailyUsage, LoggedDecision, Run
    from workspace.router.seed import ensure_defaults

    ensure_defaults()
    engines.ensure()
    owner = Person.objects.get(role="owner")
    person = Person.objects.exclude(pk=owner.pk).order_by("pk").first() or owner
    Run.objects.create(person=person, text="a private answer")
    LoggedDecision.objects.create(person=person, run=new_id(), model="quotes")
    Budget.objects.create(person=person, usd=5)
    DailyUsage.objects.create(person=person, day=timezone.localdate(), model="quotes", route="default", runs=1)
    collection = Collection.objects.create(name="Orchard", owner=person)
    Document.objects.create(
        collection=collection, title="Pruning", name="pruning.md", digest="0" * 64, text="secret text"
    )
    SearchSettings.objects.get_or_create(pk=1)
    EmbeddingModel.objects.create(name="Other", model="org/other")
    Group.objects.create(name="Gardeners")
    IdentityProvider.objects.create(name="Orchard ID", slug="orchard", server_url="https://id.example", client_id="us")
    Invitation.objects.create(digest="0" * 64, author=owner, expires=timezone.now() + timedelta(days=1))
    record(
        Action.CHANGED, about=person, actor=owner, changes={"role": ("member", "viewer"), "groups": ([], ["Gardeners"])}
    )
    found = [reverse("admin:index"), reverse("admin:providers_languagemodel_local")]
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.order_by("pk").first()
        assert row is not None, model
        found += [reverse(f"{name}_change", args=[row.pk]), reverse(f"{name}_history", args=[row.pk])]
        if model is SearchSettings:  # of which there is one
            continue
        found.append(reverse(f"{name}_changelist"))
        if not isinstance(page, ReadOnlyAdmin):
            found.append(reverse(f"{name}_add"))
        if hasattr(page, "version_model"):
            found.append(reverse(f"{name}_compare", args=[row.pk, 1, 1]))
    return found


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(one_of_each()))
