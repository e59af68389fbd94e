"""One renderer for live and stored text: what it shows, what it refuses, and that blocks add up to the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.rendering import render, split_closed

BLOCKS = [
    "# A heading",
    "A paragraph with **bold**, `code` and $x^2$.",
    "- one\n- two\n  - nested",
    "1. first\n2. second",
    "> quoted",
    "```python\ndef f(x):\n    return x\n\nprint(f(1))\n```",
    "| a | b |\n|---|--:|\n| 1 | 2 |",
    "$$\n\\frac{a}{b}\n$$",
    "---",
    "A line with U+2028\u2028inside and a form feed\x0c too.",
]


def test_markdown_becomes_html() -> None:
    html = render("**Bold** and `code`\n\n| a | b |\n|---|--:|\n| 1 | 2 |")
    assert "<strong>Bold</strong>" in html and "<code>code</code>" in html
    assert '<td class="r">2</td>' in html and "style=" not in html


def test_code_is_coloured_by_classes_and_named() -> None:
    html = render("```python\ndef f(): pass\n```")
    assert '<span class="tok-k">def</span>' in html and "<figcaption>python</figcaption>" in html


def test_code_of_an_unknown_language_is_shown_plain() -> None:
    assert "a &lt; b" in render("```klingon\na < b\n```")


def test_maths_becomes_mathml_and_bad_tex_shows_its_source() -> None:
    assert "<msup>" in render("$x^2$")
    assert "\\frac{" in render("$\\frac{$") or "<math" in render("$\\frac{$")


def test_only_issued_numbers_become_citations() -> None:
    html = render("Yes [1], no [2], both [1, 3]. A [link](http://a.example).", issued={1, 3})
    assert html.count('class="cite"') == 3 and "[2]" in html and 'href="http://a.example"' in html


def test_without_evidence_a_number_in_brackets_is_text() -> None:
    assert "cite" not in render("Yes [1].")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "![a](javascript:alert(1))",
        '<a href="x" onclick="alert(1)">a</a>',
        "<iframe src=//evil.example></iframe>",
        "<style>body{display:none}</style>",
        "```<script>\nalert(1)\n```",
        "$\\href{javascript:alert(1)}{x}$",
        "<svg><script>alert(1)</script></svg>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    ],
)
def test_nothing_a_model_writes_runs(hostile: str) -> None:
    html = render(hostile)
    lowered = html.lower()
    for tag in ("<script", "<iframe", "<style", "<img", "<svg", "<object"):
        assert tag not in lowered
    assert 'href="javascript' not in lowered and " onerror=" not in lowered.split("&lt;")[0]


def test_a_picture_from_elsewhere_is_a_link_and_not_fetched() -> None:
    html = render("![A cat](https://cats.example/1.png)")
    assert "<img" not in html and 'href="https://cats.example/1.png"' in html and "A cat" in html


@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=8))
def test_blocks_rendered_one_by_one_are_the_whole(blocks: list[str]) -> None:
    """What a reader saw while it streamed is what they see when it is done."""
    text = "\n\n".join(blocks)
    live, tail = "", ""
    for character in text:
        tail += character
        if character == "\n":
            closed, tail = split_closed(tail)
            live += render(closed) if closed else ""
    assert live + render(tail) == render(text) or _lists_touch(blocks)


def _lists_touch(blocks: list[str]) -> bool:
    """Two lists in a row are one list to Markdown, which then is loose: only such neighbours may differ in spacing."""
    marks = [block[0] in "-1>" for block in blocks]
    return any(a and b for a, b in pairwise(marks))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_a_cut_loses_no_character(text: str) -> None:
    closed, tail = split_closed(text)
    assert closed + tail == text


def test_a_sentence_that_is_marked_keeps_its_block_and_its_markup() -> None:
    text = "# Boats\n\nThe ferry is **red** [1]. It flies.\n\n- It swims. It sinks.\n"
    marks = [(text.index("It flies"), text.index("It flies") + 9, "unsupported")]
    marks += [(text.index("- It swims"), text.index("- It swims") + 11, "weak")]
    html = render(text, issued=[1], marks=marks)
    assert '<span class="unsupported"' in html and ">It flies.</span>" in html
    assert html.count("<li>") == 1 and ">It swims.</span> It sinks." in html
    assert "<strong>red</strong>" in html and 'class="cite"' in html


def test_marks_break_no_table_and_a_text_can_not_write_them() -> None:
    table = "| a | b |\n|---|---|\n| It flies | x |\n"
    assert "<table>" in render(table, marks=[(20, len(table), "weak")])
    assert "span" not in render("a \ue001b\ue002 c", marks=[(0, 1, "weak")])
