"""Text in pictures: read where the program is installed, and refused with what to install where it is not."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from retrieval.parsing.parsed import Unreadable
from retrieval.parsing.reading import read

# It tells what it was called with, and the size of the picture it was given.
PROGRAM = """#!{python}
import io, sys
from PIL import Image
image = Image.open(io.BytesIO(sys.stdin.buffer.read()))
if "xyz" in sys.argv[-1]:
    sys.exit("Error opening data file xyz.traineddata")
print("" if image.size == (9, 9) else f"Boats at {{image.size}} in {{image.format}} by {{' '.join(sys.argv[1:])}}\\f")
"""


def picture(form: str, size: tuple[int, int] = (40, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "white").save(out, form)
    return out.getvalue()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tesseract"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_a_picture_is_read_whatever_its_format_and_name(form: str, settings: object) -> None:
    settings.OCR_LANGUAGES = "eng+deu"  # type: ignore[attr-defined]
    assert read(picture(form), "scan").text == "Boats at (40, 20) in PNG by stdin stdout -l eng+deu"


@pytest.mark.usefixtures("engine")
def test_a_scanned_page_of_a_pdf_is_read_and_keeps_its_place() -> None:
    parsed = read(picture("PDF"), "scan.pdf")
    assert parsed.text.startswith("Boats at") and parsed.pages == (0,)


@pytest.mark.usefixtures("engine")
def test_what_the_program_does_not_read_is_refused_in_words(settings: object) -> None:
    with pytest.raises(Unreadable, match="No text was recognised"):
        read(picture("PNG", (9, 9)), "a.png")
    with pytest.raises(Unreadable, match="damaged"):
        read(picture("PNG")[:60], "a.png")
    settings.OCR_LANGUAGES = "xyz"  # type: ignore[attr-defined]
    with pytest.raises(Unreadable, match=r"xyz\.traineddata") as refused:
        read(picture("PNG"), "a.png")
    assert "OCR_LANGUAGES" in refused.value.action


def test_without_the_program_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, data in (("a.png", picture("PNG")), ("scan.pdf", picture("PDF"))):
        with pytest.raises(Unreadable) as refused:
            read(data, name)
        assert "tesseract-ocr" in refused.value.action


def test_an_office_file_with_a_password_is_told_apart_from_a_wrong_name() -> None:
    with pytest.raises(Unreadable, match="locked with a password, or of the formats before 2007"):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "plan.docx")
