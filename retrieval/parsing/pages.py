"""Web pages as blocks of text, in order, without what is no content. Runs in the child alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from retrieval.parsing.parsed import Parsed, Unreadable, table
from retrieval.parsing.plain import decoded

_BLOCKS = ["h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "pre", "blockquote", "table", "dt", "dd", "figcaption"]
LEAST = 200  # characters; what is shorter was not the text of the page
_NAMED = re.compile(rb"""<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I)
_NO_CONTENT = "//script|//style|//noscript|//template|//nav|//svg|//iframe|//form"


def page(data: bytes) -> Parsed:
    return Parsed("\n\n".join(html_blocks(data)), _tree(data).findtext(".//title") or "")


def article(data: bytes) -> Parsed:
    """What a page of the web has to say, without what stands around it; a page that is hardly a text gives all."""
    from trafilatura import extract

    wanted: Any = {"include_tables": True, "include_comments": False, "favor_recall": True}
    text = extract(_decoded(data), output_format="markdown", **wanted)
    whole = page(data)
    return Parsed(text, whole.title) if text and len(text) > LEAST else whole


def html_blocks(data: bytes) -> Iterator[str]:
    tree = _tree(data)
    for gone in tree.xpath(_NO_CONTENT):
        gone.drop_tree()
    body = tree.find("body")
    return _blocks(body if body is not None else tree)


def _tree(data: bytes) -> Any:
    from lxml import etree, html

    parser = html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, encoding="utf-8")
    try:
        return html.document_fromstring(_decoded(data).encode(), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"The page can't be read: {error}"[:200], "Save it again as HTML or PDF.") from None


def _decoded(data: bytes) -> str:
    """In the encoding that the page names where a browser looks for it (HTML Living Standard, 13.2.3.2)."""
    named = _NAMED.search(data[:1024])
    return decoded(data, named[1].decode() if named else "")


def _blocks(element: Any) -> Iterator[str]:
    """The blocks of a page in order; words between them are blocks too."""
    loose: list[str] = [element.text or ""]

    def spoken() -> Iterator[str]:
        if text := " ".join("".join(loose).split()):
            yield text
        loose.clear()

    for child in element:
        if child.tag in _BLOCKS or (isinstance(child.tag, str) and len(child)):
            yield from spoken()
            yield from _block(child) if child.tag in _BLOCKS else _blocks(child)
        else:
            loose.append(child.text_content() if isinstance(child.tag, str) else "")
        loose.append(child.tail or "")
    yield from spoken()


def _block(element: Any) -> Iterator[str]:
    if element.tag == "table":
        yield table([c.text_content() for c in row.iter("td", "th")] for row in element.iter("tr"))
        return
    if element.tag == "pre":
        yield f"```\n{element.text_content().strip()}\n```"
        return
    if text := " ".join(element.text_content().split()):
        mark = "#" * int(element.tag[1]) + " " if element.tag[0] == "h" else "- " if element.tag == "li" else ""
        yield mark + text
