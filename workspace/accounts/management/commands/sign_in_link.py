"""``manage.py sign_in_link``: a new one-time link for somebody."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import ownership
from workspace.accounts import links
from workspace.accounts.models import Person, Role


class Command(BaseCommand):
    help = "Print a one-time sign-in link for a person; the owner by default."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--person", default="", help="A person's name.")
        parser.add_argument(
            "--without-second-step",
            action="store_true",
            help="Remove their authenticator app, passkeys and recovery codes, for who has lost them.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["person"]
        person = (Person.objects.filter(username=name) if name else Person.objects.filter(role=Role.OWNER)).first()
        if person is None:
            raise CommandError(f"There is no person named {name or 'owner'}. Start the server once: make run.")
        if options["without_second_step"]:
            Authenticator.objects.filter(user=person).delete()
        address = ownership.address(settings.DATA_DIR) or f"http://localhost:{settings.PORT}"
        self.stdout.write(f"{address}/sign-in/{links.make(person)}/")
