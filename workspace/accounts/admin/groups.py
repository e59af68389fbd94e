"""Groups in the admin: a name, and who is in. What a group may do is said where that thing is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from workspace.accounts import sessions
from workspace.accounts.models import Group, Person


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    members = forms.ModelMultipleChoiceField(
        queryset=Person.objects.order_by("username"), required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Group
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["members"] = list(self.instance.user_set.all())


@admin.register(Group)
class GroupAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = GroupForm
    fields = ("name", "members")
    list_display = ("name", "people")
    search_fields = ("name",)
    ordering = ("name",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(count=Count("user"))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        before = set(form.instance.user_set.values_list("pk", flat=True))
        form.instance.user_set.set(form.cleaned_data["members"])
        after = set(form.instance.user_set.values_list("pk", flat=True))
        sessions.tell_changed(before ^ after)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        members = list(obj.user_set.values_list("pk", flat=True))
        super().delete_model(request, obj)
        sessions.tell_changed(members)

    @admin.display(description="members", ordering="count")
    def people(self, group: Any) -> int:
        return int(group.count)
