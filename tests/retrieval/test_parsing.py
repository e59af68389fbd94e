"""Files in, text or a plain word out; the process that reads them may die, the server does not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from retrieval.parsing import reading
from retrieval.parsing.parsed import Parsed, Unreadable
from retrieval.parsing.reading import read


def pdf(*pages: str, password: str = "") -> bytes:
    writer = PdfWriter()
    writer.add_metadata({"/Title": "Kettles"})
    for words in pages:
        page = writer.add_blank_page(300, 300)
        font = DictionaryObject({"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"})
        font = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = StreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({words}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password:
        writer.encrypt(password)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Kettles"
    document.add_heading("Boiling", 1)
    document.add_paragraph("Water boils at 100 degrees.")
    document.add_paragraph("Unplug it", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Power", "2 kW"
    return saved(document)


def slides() -> bytes:
    presentation = pptx.Presentation()
    presentation.core_properties.title = "Kettles"
    for title, words in (("Boiling", "Water boils at 100 degrees."), ("Safety", "Unplug it")):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, words
    slide.notes_slide.notes_text_frame.text = "Say it twice."
    return saved(presentation)


def sheets() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Devices"
    for row in (["name", "power"], ["Kettle", "2 kW"], [None, None], ["Toaster", 1]):
        book.active.append(row)
    return saved(book)


def book(spine: str = "two one") -> bytes:
    package = (
        """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>
    <dc:title>Kettles</dc:title></metadata><manifest><item id="one" href="text/1.xhtml"/><item id="two" href="2.xhtml"/>
    </manifest><spine>"""
        + "".join(f'<itemref idref="{id}"/>' for id in spine.split())
        + "</spine></package>"
    )
    container = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
    <rootfile full-path="OPS/package.opf"/></rootfiles></container>"""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("META-INF/container.xml", container)
        packed.writestr("OPS/package.opf", package)
        packed.writestr("OPS/text/1.xhtml", "<html><body><h2>Last</h2><p>Unplug it</p></body></html>")
        packed.writestr("OPS/2.xhtml", "<html><body><h2>First</h2><p>Water boils</p></body></html>")
    return out.getvalue()


def letter(subtype: str = "plain", words: str = "Water boils.") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann <ann@example.com>", "bob@example.com", "Kettles"
    message.set_content(words, subtype=subtype)
    message.add_attachment(b"x", maintype="image", subtype="png", filename="kettle.png")
    return message.as_bytes()


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


PAGE = b"""<html><head><title>Kettles</title><script>steal()</script></head><body><nav>Home</nav>
<h1>Boiling</h1><div>Loose <b>words</b>.<p>Water boils at 100&deg;.</p></div><ul><li>Unplug it</li></ul>
<table><tr><td>Power</td><td>2 kW</td></tr></table></body></html>"""

# Hardly a sign of it is foreign, and only the page itself says in what it was written.
TEA = (
    '<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><title>Чай</title></head>'
    "<body><h1>Чай</h1><p>Чайник.</p>" + "<p>Tea, tea and tea again.</p>" * 40 + "</body></html>"
)

# Name, bytes, the title, what stands in the text and in which order
READ: list[tuple[str, bytes, str, list[str]]] = [
    ("a.pdf", pdf("First page", "Second page"), "Kettles", ["First page", "Second page"]),
    ("a.docx", word(), "Kettles", ["# Boiling", "Water boils at 100 degrees.", "- Unplug it", "Power | 2 kW"]),
    ("a.html", PAGE, "Kettles", ["# Boiling", "Loose words.", "Water boils at 100°.", "- Unplug it", "Power | 2 kW"]),
    ("a.pptx", slides(), "Kettles", ["# Boiling", "Water boils", "# Safety", "Unplug it", "Say it twice."]),
    ("a.xlsx", sheets(), "", ["# Devices", "name: Kettle; power: 2 kW", "name: Toaster; power: 1"]),
    ("a.epub", book(), "Kettles", ["## First", "Water boils", "## Last", "Unplug it"]),
    ("a.eml", letter(), "Kettles", ["From: Ann", "Subject: Kettles", "Water boils.", "Attached: kettle.png"]),
    ("a.eml", letter("html", "<p>Water <b>boils</b>.</p>"), "Kettles", ["Subject: Kettles", "Water boils."]),
    ("a.csv", b"name;power\nKettle;2 kW\nToaster;1 kW\n", "", ["name: Kettle; power: 2 kW", "name: Toaster"]),
    ("a.md", b"# Boiling\r\n\r\nWater.", "", ["# Boiling\n\nWater."]),
    ("a.py", "def kochen() -> None: ...  # süß".encode(), "", ["def kochen()", "süß"]),
    ("a.txt", "Käse und Brötchen schmecken gut, überall in Österreich".encode("latin-1"), "", ["Käse", "Österreich"]),
    ("a.txt", "Fünf".encode("utf-16"), "", ["Fünf"]),
    ("a.html", TEA.encode("cp1251"), "Чай", ["# Чай", "Чайник"]),
    ("a.html", TEA.replace("windows-1251", "koi8-r").encode("koi8-r"), "Чай", ["Чайник"]),
    ("a.html", TEA.replace("windows-1251", "no-such-thing").encode(), "Чай", ["Чайник"]),
    ("no suffix", b"Plain words", "", ["Plain words"]),
]


@pytest.mark.parametrize(("name", "data", "title", "told"), READ)
def test_each_format_gives_its_text_in_order(name: str, data: bytes, title: str, told: list[str]) -> None:
    parsed = read(data, name)
    places = [parsed.text.find(each) for each in told]
    assert -1 not in places and places == sorted(places), parsed.text
    assert parsed.title == title
    assert "steal" not in parsed.text and "Home" not in parsed.text


def test_pages_begin_where_they_say() -> None:
    parsed = read(pdf("First page", "Second page"), "a.pdf")
    assert [parsed.text[start:].split("\n")[0] for start in parsed.pages] == ["First page", "Second page"]
    parsed = Parsed.of_pages(["a\x00b\r\nc\rd", "Second page"], "")
    assert [parsed.text[start:] for start in parsed.pages] == ["ab\nc\nd\n\nSecond page", "Second page"]


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as whole, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for item in whole.infolist():
            before, mark, after = whole.read(item).partition(b"Water")
            with packed.open(item.filename, "w") as file:
                file.write(before + mark)
                for _ in range(60 if mark else 0):
                    file.write(b"Water" * 2_000_000)
                file.write(after)
    return out.getvalue()


REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("a.txt", lambda: b" \n ", "empty"),
    ("a.pdf", lambda: pdf("Secret", password="x"), "password"),
    ("a.pdf", lambda: pdf("First page")[:200], "damaged"),
    ("a.pdf", lambda: pdf(""), "no text"),
    ("a.pdf", lambda: b"words", "the file is none"),
    ("a.docx", lambda: word()[:500], "damaged"),
    ("a.docx", lambda: b"words", "the file is none"),
    ("a.pptx", lambda: word(), "damaged"),
    ("a.xlsx", lambda: sheets()[:900], "damaged"),
    ("a.epub", lambda: word(), "damaged"),
    ("a.epub", lambda: book("three"), "no text"),
    ("a.eml", lambda: b"words", "no e-mail"),
    ("a.zip", lambda: word(), "not read"),
    ("a.bin", lambda: bytes(range(256)) * 9, "not text"),
]


@pytest.mark.parametrize(("name", "data", "why"), REFUSED)
def test_what_gives_no_text_is_refused_in_words(name: str, data: Callable[[], bytes], why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data(), name)
    assert why in refused.value.cause
    assert refused.value.action.endswith(".")


def test_a_reader_that_breaks_says_so_and_its_words_are_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reading, "READING", replace(reading.READING, module="retrieval.parsing.no_such_module"))
    with pytest.raises(Unreadable, match="broke"):
        read(word(), "a.docx")
    assert "no_such_module" in caplog.text


def test_a_file_that_unfolds_without_end_costs_its_process_alone() -> None:
    with pytest.raises(Unreadable, match="unfolds"):
        read(bomb(), "a.docx")


def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READING", replace(reading.READING, patience=0.001))
    with pytest.raises(Unreadable, match="too long"):
        read(b"words", "a.txt")
