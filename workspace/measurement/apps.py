"""Names the app to Django."""

from __future__ import annotations

from django.apps import AppConfig


class MeasurementConfig(AppConfig):
    name = "workspace.measurement"
    label = "measurement"
