"""A runbook as HTML. Its author is anybody who can write into the folder: no HTML of theirs, no picture, no script."""

import posixpath
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_OUTSIDE = frozenset({"http", "https", "mailto"})


def to_html(text: str, file: str, address_of: Callable[[str], str | None]) -> str:
    """``address_of``: where another file of the folder is shown; None where there is none of that name."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        if token.attrGet("style"):  # the pages' policy takes none
            del token.attrs["style"]
        if token.children:
            token.children = list(_plain(token.children, file, address_of))
    html = RendererHTML().render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="table-box"><table class="table">')
    return html.replace("</table>", "</table></div>")


def to_words(text: str) -> str:
    """What a passage says, on one line: no marks, and no heading."""
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    said: list[str] = []
    in_heading = False
    for token in tokens:
        in_heading = token.type == "heading_open" or (in_heading and token.type != "heading_close")
        if in_heading:
            continue
        if token.children:
            said.append(
                "".join(child.content or " " * (child.type == "softbreak") for child in token.children)
            )
        elif token.type in ("fence", "code_block"):
            said.append(token.content)
    return " ".join(" ".join(said).split())


def _plain(children: Sequence[Token], file: str, address_of: Callable[[str], str | None]) -> Iterator[Token]:
    """A picture is its words: to fetch it would tell its owner who reads this."""
    for child in children:
        if child.type == "image":
            yield Token("text", "", 0, content=child.content)
            continue
        if child.type == "link_open":
            _point(child, file, address_of)
        yield child


def _point(token: Token, file: str, address_of: Callable[[str], str | None]) -> None:
    """Out of the box, or at another runbook; every other link keeps its words alone."""
    parts = urlsplit(str(token.attrGet("href") or ""))
    if parts.scheme in _OUTSIDE:
        token.attrSet("rel", "noreferrer noopener")
        return
    inside = not parts.scheme and not parts.netloc and parts.path
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file), parts.path)) if inside else ""
    address = address_of(target) if target else None
    if address is None:
        del token.attrs["href"]
    else:
        token.attrSet("href", address)
