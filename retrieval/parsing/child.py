"""The process that reads one file: ``python -m retrieval.parsing.child NAME``, bytes on stdin, JSON on stdout.

It sets its own limits before it looks at a byte. Whatever a file does to it, the server only sees it end.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict

from retrieval.parsing.formats import parse
from retrieval.parsing.parsed import Unreadable
from workspace.hosts.errand import confine

MEMORY = 1 << 30  # bytes of address space
SECONDS = 60  # of processor time


def main() -> None:
    confine(memory=MEMORY, seconds=SECONDS)
    logging.disable(logging.CRITICAL)  # a parser's complaints about a file are no news of the server's
    try:
        told = asdict(parse(sys.stdin.buffer.read(), sys.argv[1]))
    except Unreadable as refused:
        told = {"cause": refused.cause, "action": refused.action}
    except (MemoryError, RecursionError):
        told = {"cause": "The file unfolds to more than can be read.", "action": "Split it, or save it as plain text."}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
