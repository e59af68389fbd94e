"""Events out of bytes."""

from __future__ import annotations

import pytest

from workspace.providers.sse import Decoder

STREAM = (
    b": keep-alive\n\n"
    b'event: note\r\ndata: {"a":1}\r\n\r\n'
    b"data:no space\n\n"
    b"data: two\ndata: lines\n\n"
    b"id: 7\rdata: old mac\r\r"
    b"data: \xe2\x80\xa8 \xc2\x85 stay\n\n"
    b"error: it broke\n\n"
    b'{\n "error": "bare"\n}\n\n'
    b"data: no blank line after"
)
EVENTS = [
    ("note", b'{"a":1}'),
    ("", b"no space"),
    ("", b"two\nlines"),
    ("", b"old mac"),
    ("", b"\xe2\x80\xa8 \xc2\x85 stay"),
    ("error", b"it broke"),
    ("error", b'{\n "error": "bare"\n}'),
    ("", b"no blank line after"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_whatever_the_pieces(size: int) -> None:
    decoder = Decoder()
    pieces = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in decoder.feed(piece)] + list(decoder.end()) == EVENTS


def test_an_event_comes_as_soon_as_it_is_whole() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"data: one\n\ndata: t")) == [("", b"one")]
    assert list(decoder.feed(b"wo\n\n")) == [("", b"two")]
    assert list(decoder.end()) == []
