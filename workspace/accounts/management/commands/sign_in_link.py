"""``manage.py sign_in_link``: a new one-time link for somebody."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace.accounts import links
from workspace.accounts.models import Person, Role


class Command(BaseCommand):
    help = "Print a one-time sign-in link for a person; the owner by default."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--person", default="", help="A person's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["person"]
        person = (Person.objects.filter(username=name) if name else Person.objects.filter(role=Role.OWNER)).first()
        if person is None:
            raise CommandError(f"There is no person named {name or 'owner'}. Start the server once: make run.")
        self.stdout.write(f"http://localhost:{settings.PORT}/sign-in/{links.make(person)}/")
