"""Retrieval as a Django app: its tasks and what they listen to are there in every process."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class Retrieval(AppConfig):
    name = "retrieval"

    def ready(self) -> None:
        importlib.import_module("retrieval.tasks")  # its receivers
