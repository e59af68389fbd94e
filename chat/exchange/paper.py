"""A branch as a PDF, in a process of its own: laying out takes seconds, and fonts are large.

``python -m chat.exchange.paper`` is that process: JSON on stdin, the PDF on stdout. Every script of the world that Noto
has a font for is drawn by it, shaped and in its direction; fonts are opened only for the scripts that are there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from workspace.hosts.errand import Busy, Errand, Failed, confine

if TYPE_CHECKING:
    from chat.exchange.story import Said

MEMORY = 3 << 30  # bytes of address space
SECONDS = 120  # of processor time
LONGEST = 3_000_000  # characters
PAPER = Errand(module="chat.exchange.paper", patience=120.0, places=2)

# Unicode ranges and the font that draws them, beside Noto Sans (Latin, Greek, Cyrillic). CJK has a package of its own.
SCRIPTS: tuple[tuple[str, str], ...] = (
    ("\u0530-\u058f", "Armenian"),
    ("\u0590-\u05ff\ufb1d-\ufb4f", "Hebrew"),
    ("\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff", "Arabic"),
    ("\u0900-\u097f", "Devanagari"),
    ("\u0980-\u09ff", "Bengali"),
    ("\u0a00-\u0a7f", "Gurmukhi"),
    ("\u0a80-\u0aff", "Gujarati"),
    ("\u0b00-\u0b7f", "Oriya"),
    ("\u0b80-\u0bff", "Tamil"),
    ("\u0c00-\u0c7f", "Telugu"),
    ("\u0c80-\u0cff", "Kannada"),
    ("\u0d00-\u0d7f", "Malayalam"),
    ("\u0d80-\u0dff", "Sinhala"),
    ("\u0e00-\u0e7f", "Thai"),
    ("\u0e80-\u0eff", "Lao"),
    ("\u1000-\u109f", "Myanmar"),
    ("\u10a0-\u10ff\u1c90-\u1cbf", "Georgian"),
    ("\u1200-\u139f", "Ethiopic"),
    ("\u1780-\u17ff", "Khmer"),
    ("\u2190-\u2bff", "Symbols"),
)
EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)


class NoPaper(Exception):
    """Why there is no PDF of the branch, and what to do, in words."""


def pdf(title: str, said: Sequence[Said]) -> bytes:
    """Raises NoPaper."""
    too_long = NoPaper("The branch is too long for a PDF. Take it as a page or as Markdown.")
    if sum(len(one.text) for one in said) > LONGEST:
        raise too_long
    asked = orjson.dumps({"title": title, "said": [asdict(one) for one in said]})
    try:
        with PAPER.told(asked) as told:
            return told.read()
    except Busy:
        raise NoPaper("Too many PDFs are being made just now. Try again in a few minutes.") from None
    except Failed:
        raise too_long from None


def main() -> None:
    confine(memory=MEMORY, seconds=SECONDS)
    asked = orjson.loads(sys.stdin.buffer.read())
    everything = orjson.dumps(asked).decode()
    page = _Page(_fonts(everything))
    page.title(asked["title"])
    for one in asked["said"]:
        page.message(one)
    sys.stdout.buffer.write(bytes(page.paper.output()))


def _fonts(text: str) -> list[tuple[str, Path]]:
    """The first font, and those beside it that the text needs: a name and a file."""
    import manimgx_fonts
    import manimgx_fonts_cjk

    folder, far = (Path(str(one.__file__)).parent for one in (manimgx_fonts, manimgx_fonts_cjk))
    found = [(name, folder / f"NotoSans{name}[wght].ttf") for ranges, name in SCRIPTS if re.search(f"[{ranges}]", text)]
    if CJK.search(text):
        found.append(("CJK", far / "NotoSansCJK-VF.otf.ttc"))
    if EMOJI.search(text):
        found.append(("Emoji", folder / "NotoEmoji[wght].ttf"))
    return [("Noto", folder / "NotoSans[wght].ttf"), *found]


class _Page:
    """Blocks of text down a page. What Markdown marks is laid out; what it only stresses is set plain."""

    def __init__(self, fonts: list[tuple[str, Path]]) -> None:
        from fpdf import FPDF
        from markdown_it import MarkdownIt

        self.paper = FPDF(format="A4")
        self.paper.set_margins(22, 20)
        self.paper.set_auto_page_break(True, 20)
        for name, file in fonts:
            self.paper.add_font(name, "", file)
        self.paper.add_font("Noto", "B", fonts[0][1], variations={"wght": 620.0})
        self.paper.set_fallback_fonts([name for name, *_ in fonts[1:]], exact_match=False)
        self.paper.set_text_shaping(True)
        self.paper.add_page()
        self._markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])

    def title(self, text: str) -> None:
        self._text(text, size=17, bold=True)
        self.paper.ln(3)

    def message(self, one: dict[str, Any]) -> None:
        self.paper.ln(4)
        asked = one["side"] == "person"
        at = one["created"][:16].replace("T", " ")
        self._text(f"{one['who']}, {at}" if at else one["who"], size=8.5, grey=110, bold=True)
        for image in one["images"]:
            self._text(f"(picture {image['digest'][:12]})", size=8.5, grey=110)
        if asked:
            self._text(one["text"], size=12)
        else:
            self._blocks(one["text"])
        for passage in one["passages"]:
            where = ", ".join(filter(None, (passage["title"], passage["where"])))
            self._text(f"[{passage['number']}] {where}", size=8.5, grey=90)

    def _blocks(self, text: str) -> None:
        indent, marks = 0, []
        row: list[str] = []
        heading = ""
        for token in self._markdown.parse(text):
            match token.type:
                case "heading_open":
                    heading = token.tag
                case "bullet_list_open" | "ordered_list_open":
                    marks.append(int(token.attrGet("start") or 1) if token.type.startswith("ordered") else 0)
                case "bullet_list_close" | "ordered_list_close":
                    marks.pop()
                case "blockquote_open":
                    indent += 1
                case "blockquote_close":
                    indent -= 1
                case "tr_close":
                    self._text("  |  ".join(row), size=9.5)
                    row.clear()
                case "fence" | "code_block":
                    self._text(token.content.rstrip("\n"), size=9, indent=indent + 1, grey=60)
                case "inline" if token.level and token.map and heading:
                    self._text(_plain(token), size=13, bold=True)
                    heading = ""
                case "inline" if row is not None and token.level == 4 and not marks:
                    row.append(_plain(token))
                case "inline":
                    mark = ""
                    if marks:
                        mark = f"{marks[-1]}. " if marks[-1] else "• "
                        marks[-1] += bool(marks[-1])
                    self._text(mark + _plain(token), indent=indent + len(marks))
                case "hr":
                    self._text("—")

    def _text(self, text: str, *, size: float = 10.5, grey: int = 25, bold: bool = False, indent: int = 0) -> None:
        if not text.strip():
            return
        paper = self.paper
        paper.set_font("Noto", "B" if bold else "", size)
        paper.set_text_color(grey)
        paper.set_x(paper.l_margin + 5 * min(indent, 8))
        paper.multi_cell(0, size * 0.52, _drawable(text), new_x="LMARGIN", new_y="NEXT", align="L")
        paper.ln(1.2)


def _plain(token: Any) -> str:
    pieces = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.content:
            pieces.append(child.content)
    return "".join(pieces)


def _drawable(text: str) -> str:
    """Without what no font draws: control characters, half characters, the marks that choose a picture's look."""
    return "".join(
        c for c in text if c in "\n\t" or (c.isprintable() and c != "\ufe0f") or c in "\u200c\u200d"
    ).replace("\t", "    ")


if __name__ == "__main__":
    main()
