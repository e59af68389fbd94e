"""Budgets in the admin: whose, how much, and what is left of it now."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from workspace.router import money
from workspace.router.models import Budget


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Budget
        fields = ("person", "group", "period", "usd")
        help_texts = {
            "person": "Leave person and group empty for a budget of the whole workspace.",
            "group": "The people of a group spend it together.",
            "usd": "Reached, it lets nobody spend more; what costs nothing still answers.",
        }

    def clean_usd(self) -> Decimal:
        usd: Decimal = self.cleaned_data["usd"]
        if usd < 0:
            raise forms.ValidationError("A budget is 0 or more.")
        return usd

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("person") and data.get("group"):
            self.add_error("group", "A budget is of one person or of one group. Make two budgets for both.")
        return data


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = BudgetForm
    list_display = ("whose", "period", "amount", "left")
    list_filter = ("period",)
    list_select_related = ("person", "group")
    ordering = ("person__username", "group__name", "period")
    actions = None
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description="of", ordering="person__username")
    def whose(self, budget: Budget) -> str:
        return str(budget.person or budget.group or "everybody")

    @admin.display(description="US dollars", ordering="usd")
    def amount(self, budget: Budget) -> str:
        return f"${budget.usd:.2f}"

    @admin.display(description="left")
    def left(self, budget: Budget) -> str:
        return f"${max(money.left(money.limit_of(budget)), money.NOTHING):.2f}"

    def save_model(self, request: HttpRequest, obj: Budget, form: BudgetForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.admin_site.changed()  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        super().delete_model(request, obj)
        self.admin_site.changed()  # type: ignore[attr-defined]
