"""The text of files that pack others: Word, slides, tables and books, and of letters. Runs in the child alone.

Whatever a library raises over a broken file is one thing to a person: ``damaged`` says so for all of them.
"""

from __future__ import annotations

import contextlib
import email
import io
import posixpath
import zipfile
from collections.abc import Iterable, Iterator
from email import policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote

from retrieval.parsing.pages import html_blocks
from retrieval.parsing.parsed import MOST_ROWS, Parsed, Unreadable, records, table

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


@contextlib.contextmanager
def damaged(kind: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RecursionError, Unreadable):
        raise
    except Exception as error:  # zipfile, lxml and each library have their own
        cause = f"The {kind} is damaged: {error}"[:200]
        raise Unreadable(cause, "Open it, save it again, and add it once more.") from None


def docx(data: bytes) -> Parsed:
    from docx import Document
    from docx.text.paragraph import Paragraph

    with damaged("Word file"):
        document = Document(io.BytesIO(data))
        told = [_paragraph(b) if isinstance(b, Paragraph) else _cells(b.rows) for b in document.iter_inner_content()]
        return Parsed("\n\n".join(filter(None, told)), document.core_properties.title or "")


def pptx(data: bytes) -> Parsed:
    """A slide is a page; its title a heading; the speaker's notes stand under it."""
    from pptx import Presentation

    with damaged("PowerPoint file"):
        presentation = Presentation(io.BytesIO(data))
        slides = ["\n\n".join(filter(None, _slide(slide))) for slide in presentation.slides]
        return Parsed.of_pages(slides, presentation.core_properties.title or "")


def xlsx(data: bytes) -> Parsed:
    """A heading for each sheet, and under it a line for each row that names its columns."""
    from openpyxl import load_workbook

    with damaged("Excel file"):
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        told, left = [], MOST_ROWS
        for sheet in book.worksheets:
            rows = []
            for row in sheet.iter_rows(values_only=True):
                rows.append(["" if value is None else str(value) for value in row])
                left -= 1
                if left < 0:
                    raise Unreadable(f"The file has over {MOST_ROWS:,} rows.", "Split it into parts.")
            told += [f"# {sheet.title}", records([row for row in rows if any(row)])]
        return Parsed("\n\n".join(filter(None, told)), book.properties.title or "")


def epub(data: bytes) -> Parsed:
    """The chapters in the order of the book's spine (EPUB 3.3, section 5)."""
    from lxml import etree

    with damaged("book"), zipfile.ZipFile(io.BytesIO(data)) as book:
        safe = etree.XMLParser(resolve_entities=False, no_network=True)
        container = etree.fromstring(book.read("META-INF/container.xml"), safe)
        at = next(container.iter(_CONTAINER)).get("full-path")
        package = etree.fromstring(book.read(at), safe)
        if "META-INF/encryption.xml" in book.namelist() and b"EncryptedData" in book.read("META-INF/encryption.xml"):
            raise Unreadable("The book is locked.", "Add one without copy protection.")
        hrefs = {item.get("id"): item.get("href") for item in package.iter(f"{_OPF}item")}
        spine = [hrefs.get(ref.get("idref")) for ref in package.iter(f"{_OPF}itemref")]
        chapters = [posixpath.normpath(posixpath.join(posixpath.dirname(at), unquote(h))) for h in spine if h]
        title = package.findtext(f".//{_DC}title") or ""
        return Parsed("\n\n".join(block for name in chapters for block in html_blocks(book.read(name))), title)


def letter(data: bytes) -> Parsed:
    """Who wrote to whom about what, and the words; of several forms the plain one. Attachments are named."""
    with damaged("e-mail"):
        message = email.message_from_bytes(data, policy=policy.default)
        assert isinstance(message, EmailMessage)
        told = [f"{name}: {message[name]}" for name in ("From", "To", "Date", "Subject") if message[name]]
        if not told:
            raise Unreadable("The file is no e-mail.", "Save it again from the mail program.")
        body = message.get_body(("plain", "html"))
        words = body.get_content() if body else ""
        if body is not None and body.get_content_subtype() == "html":
            words = "\n\n".join(html_blocks(words.encode()))
        names = [part.get_filename() for part in message.iter_attachments() if part.get_filename()]
        attached = [f"Attached: {', '.join(map(str, names))}"] if names else []
        return Parsed("\n\n".join(["\n".join(told), words.strip(), *attached]), str(message["Subject"] or ""))


def _paragraph(paragraph: Any) -> str:
    text, style = paragraph.text.strip(), (paragraph.style.name if paragraph.style else "") or ""
    level = style.removeprefix("Heading ")
    if text and style == "Title":
        return f"# {text}"
    if text and style.startswith("Heading ") and level.isdigit():
        return f"{'#' * min(6, int(level))} {text}"
    return f"- {text}" if text and style.startswith("List") else text


def _slide(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    for shape in slide.shapes:
        if shape.has_text_frame:
            text = "\n".join(p.text.strip() for p in shape.text_frame.paragraphs if p.text.strip())
            yield (
                f"# {' '.join(text.split())}"
                if text and title is not None and shape.shape_id == title.shape_id
                else text
            )
        if shape.has_table:
            yield _cells(shape.table.rows)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
        yield slide.notes_slide.notes_text_frame.text.strip()


def _cells(rows: Iterable[Any]) -> str:
    return table([cell.text for cell in row.cells] for row in rows)
