"""``manage.py verify_history``: are all chats still what was said?"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from chat import chain, ledger
from chat.models import Message


class Command(BaseCommand):
    help = (
        "Checks each settled message of every chat against its digest, its manifest, whose it is and what is above it. "
        "Ends with 1 when one is wrong, or a chat is missing that nobody deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = [*ledger.verify(), *chain.verify()]
        count = Message.objects.count()
        if options["json"]:
            self.stdout.write(json.dumps({"messages": count, "faults": [asdict(one) for one in faults]}, default=str))
        else:
            for fault in faults:
                where = f"message {fault.message}" if fault.message else "as a whole"
                self.stdout.write(f"Chat {fault.chat}, {where}: {fault.what}.")
            self.stdout.write(f"{count} messages, {len(faults) or 'nothing'} wrong.")
        if faults:
            sys.exit(1)
