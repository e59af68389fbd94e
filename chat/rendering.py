"""Markdown to safe HTML: the one renderer, for text that streams and text that is stored.

Closed blocks are rendered as they close, the whole again when an answer settles; both are the same function of the
same source, so live and stored text can't differ. Code is coloured by Pygments' classes, maths becomes MathML, and
whatever comes out passes the sanitiser (nh3) last. Nothing else in the project marks a model's words as safe.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from latex2mathml.converter import convert as to_mathml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.tasklists import tasklists_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MATHML = {
    "math", "mrow", "mi", "mo", "mn", "ms", "mtext", "mspace", "msup", "msub", "msubsup", "mfrac", "msqrt", "mroot",
    "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose", "semantics",
}  # fmt: skip
TAGS = {
    "p", "br", "hr", "strong", "em", "s", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h1", "h2", "h3",
    "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "span", "div", "input", "figure", "figcaption",
} | MATHML  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title", "class", "data-passage", "aria-label", "target"},
    "span": {"class", "title"},
    "div": {"class"},
    "code": {"class"},
    "pre": {"class", "tabindex"},
    "figure": {"class", "data-language"},
    "figcaption": {"class"},
    "ul": {"class"},
    "li": {"class"},
    "ol": {"start"},
    "th": {"class"},
    "td": {"class"},
    "input": {"type", "checked", "disabled", "class"},
    "math": {"display", "xmlns", "alttext"},
    "mo": {
        "stretchy",
        "fence",
        "separator",
        "form",
        "lspace",
        "rspace",
        "movablelimits",
        "accent",
        "minsize",
        "maxsize",
    },
    "mi": {"mathvariant"},
    "mspace": {"width", "linebreak"},
    "mtable": {"columnalign", "rowspacing", "columnspacing", "columnlines", "rowlines"},
    "mtd": {"columnalign"},
    "mfrac": {"linethickness"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "menclose": {"notation"},
}
MOST_CODE = 50_000  # characters of one block that are coloured: beyond that, colour costs more than it tells
_SIGNS = {"weak": "\ue000", "unsupported": "\ue001"}
_END = "\ue002"
_NO_SIGNS = dict.fromkeys(map(ord, [*_SIGNS.values(), _END]))
_ELEMENTS = {
    _SIGNS["weak"]: '<span class="weak" title="Only some of its words, numbers and names stand in the passages">',
    _SIGNS["unsupported"]: '<span class="unsupported" title="Its words, numbers or names stand in no passage">',
    _END: "</span>",
}
_BEGINS = re.compile(r"(?:[ \t]*(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)[ \t]+)+(?:\[[ xX]\][ \t]+)?")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z")  # as CommonMark ends lines: a U+2028 is text
_MAY_BE_LINED = re.compile(r"```|~~~|\||^(?: {4}|\t)", re.MULTILINE)
_CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()")


def render(text: str, *, issued: Collection[int] = (), marks: Sequence[tuple[int, int, str]] = ()) -> SafeString:
    """The whole of a Markdown text as safe HTML. ``[1]`` becomes a citation when 1 is among the ``issued`` numbers.
    ``marks`` are places in the text, from the first character to behind the last, and a class for what stands there."""
    html = _markdown().render(_marked(text, marks), {"issued": frozenset(issued)})
    for sign, element in _ELEMENTS.items():
        html = html.replace(sign, element)
    return mark_safe(_clean(html))  # the sanitiser's output


def _marked(text: str, marks: Sequence[tuple[int, int, str]]) -> str:
    """The text with signs at the marks that no text has by itself; what begins a block stays at its beginning."""
    bare = text.translate(_NO_SIGNS)
    if not marks or bare != text:
        return bare
    pieces, at = [], 0
    for start, end, name in marks:
        begins = _BEGINS.match(text, start, end)
        inner = begins.end() if begins else start
        if "|" in text[inner:end] or "\n" in text[inner:end].strip():
            continue  # a table's row, or more than a line: nothing is marked rather than a block broken
        pieces += [text[at:inner], _SIGNS[name], text[inner:end], _END]
        at = end
    return "".join([*pieces, text[at:]])


def split_closed(text: str) -> tuple[str, str]:
    """The source of all top-level blocks but the last, and the last: only that one can still change."""
    tokens = _markdown().parse(text, {"issued": frozenset()})
    starts = [token.map[0] for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
    if len(starts) < 2:
        return "", text
    lines = _LINE.findall(text)
    return "".join(lines[: starts[-1]]), "".join(lines[starts[-1] :])


def line_by_line(text: str) -> list[tuple[bool, str]]:
    """The text in parts: whether each is code or a table, where lines and columns count, as it would be rendered."""
    if not _MAY_BE_LINED.search(text):
        return [(False, text)]
    tokens = _markdown().parse(text, {"issued": frozenset()})
    blocks = [token.map for token in tokens if token.map and token.type in ("fence", "code_block", "table_open")]
    inside = {number for first, end in blocks for number in range(first, end)}
    lines = enumerate(_LINE.findall(text))
    return [
        (lined, "".join(line for _, line in part)) for lined, part in groupby(lines, lambda line: line[0] in inside)
    ]


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    markdown.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True, renderer=_math)
    markdown.use(tasklists_plugin)
    markdown.inline.ruler.before("link", "citation", _citation)
    for name, rule in {
        "fence": _fence,
        "code_block": _fence,
        "image": _image,
        "link_open": _link,
        "table_open": lambda *_: '<div class="scroll-x"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
        "th_open": _cell,
        "td_open": _cell,
        "citation": _chip,
        "html_block": lambda renderer, tokens, at, options, env: str(escape(tokens[at].content)),
    }.items():
        markdown.add_render_rule(name, rule)
    return markdown


def _citation(state: StateInline, silent: bool) -> bool:
    """``[1]`` or ``[1, 2]`` where every number was issued with the evidence; anything else stays text."""
    found = _CITATION.match(state.src, state.pos)
    issued = state.env.get("issued", ())
    if not found or not issued:
        return False
    numbers = [int(number) for number in found[1].split(",")]
    if not all(number in issued for number in numbers):
        return False
    if not silent:
        state.push("citation", "", 0).meta = {"numbers": numbers}
    state.pos = found.end()
    return True


def _chip(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    return "".join(
        f'<a class="cite" href="#passage-{n}" data-passage="{n}" aria-label="Passage {n}">{n}</a>'
        for n in tokens[at].meta["numbers"]
    )


def _fence(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    language = (tokens[at].info or "").strip().split(maxsplit=1)[:1]
    name = language[0] if language else ""
    code = _coloured(tokens[at].content, name)
    label = f"<figcaption>{escape(name)}</figcaption>" if name else ""
    inner = f'{label}<pre tabindex="0"><code>{code}</code></pre>'
    return f'<figure class="code" data-language="{escape(name)}">{inner}</figure>\n'


def _coloured(code: str, language: str) -> str:
    if not language or len(code) > MOST_CODE:
        return str(escape(code))
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return str(escape(code))
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="tok-")))


def _math(content: str, options: dict[str, Any]) -> str:
    """MathML; TeX that can't be read shows its source."""
    display = bool(options.get("display_mode"))
    try:
        math = to_mathml(content, display="block" if display else "inline")
    except Exception:  # the converter raises whatever it stumbles over
        mark = "$$" if display else "$"
        return f'<code class="tex">{escape(f"{mark}{content}{mark}")}</code>'
    return f'<div class="maths scroll-x">{math}</div>' if display else str(math)


def _image(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    """A picture from elsewhere is a link: nothing is fetched because a model wrote an address."""
    token = tokens[at]
    text = token.content or "Picture"
    return f'<a href="{escape(token.attrs.get("src", ""))}" target="_blank">{escape(text)}</a>'


def _link(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrSet("target", "_blank")
    return renderer.renderToken(tokens, at, options, env)


def _cell(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    """Alignment by class: inline style is forbidden by the page's policy."""
    token = tokens[at]
    style = str(token.attrs.pop("style", ""))
    if "right" in style:
        token.attrSet("class", "r")
    elif "center" in style:
        token.attrSet("class", "c")
    return renderer.renderToken(tokens, at, options, env)


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow ugc",
        strip_comments=True,
    )
