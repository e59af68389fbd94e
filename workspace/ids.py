"""Ids that sort by time."""

import uuid

import uuid_utils.compat


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): made anywhere, ordered by creation, kind to an index."""
    return uuid_utils.compat.uuid7()
