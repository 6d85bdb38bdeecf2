"""The product's own documentation, read from the files that it came with and made into HTML.

Only what ``catalogue`` found is ever opened: a name from an address is looked up, never joined to a path.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from django.urls import reverse
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from appliance.lib.config import ROOT

INDEX = "docs/index.md"
FILES = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".yaml": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".py": "text/plain; charset=utf-8",
}
"""What pages show or lead to, beside other pages, and how each is served."""
_SNIPPET = 90


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name is its path in the source tree, as ``docs/how-to/tasks.md``."""

    name: str
    title: str
    html: str
    text: str
    headings: tuple[Heading, ...]

    @property
    def address(self) -> str:
        return address_of(self.name)

    @property
    def section(self) -> str:
        """The folder below ``docs``; empty for pages that stand beside it."""
        parts = self.name.split("/")
        return parts[1] if len(parts) > 2 else ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that has every word of a search. ``before``, ``match`` and ``after`` are the place in its text."""

    page: Page
    before: str
    match: str
    after: str


@cache
def pages() -> Mapping[str, Page]:
    """Every page by name, in the order of the names; read once per process: they come with the code."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {name: _read(name, path) for path in found if (name := _name(path))}


@cache
def files() -> Mapping[str, Path]:
    """Every picture and example below ``docs`` by name."""
    found = sorted(path for path in (ROOT / "docs").rglob("*") if path.suffix in FILES)
    return {name: path for path in found if (name := _name(path))}


def address_of(name: str) -> str:
    return reverse("docs") if name == INDEX else reverse("docs-page", args=[name.removeprefix("docs/")])


def find(address: str) -> Page | None:
    """The page of what stands behind ``/docs/`` in an address."""
    known = pages()
    return known.get("README.md" if address == "README.md" else f"docs/{address}")


def search(words: Sequence[str]) -> list[Hit]:
    """Pages that have all of the words, in whatever letters; those with one in the title first."""
    wanted = [word.casefold() for word in words if word]
    hits = []
    for page in pages().values() if wanted else ():
        title, text = page.title.casefold(), page.text.casefold()
        if all(word in text or word in title for word in wanted):
            in_title = sum(word in title for word in wanted)
            often = sum(text.count(word) for word in wanted)
            hits.append((-in_title, -often, page.name, _hit(page, wanted)))
    return [hit for *_, hit in sorted(hits, key=lambda one: one[:3])]


def _hit(page: Page, wanted: Sequence[str]) -> Hit:
    places = [(at, word) for word in wanted if (at := page.text.casefold().find(word)) >= 0]
    at, word = min(places, default=(0, ""))
    begin, end = max(0, at - _SNIPPET), at + len(word)
    before = ("… " if begin else "") + page.text[begin:at]
    return Hit(page, before, page.text[at:end], page.text[end : end + _SNIPPET] + " …")


def _name(path: Path) -> str:
    """The name of a file that really lies in the source tree; empty for a link that leads out of it."""
    resolved = path.resolve()
    return path.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT.resolve()) else ""


def _read(name: str, path: Path) -> Page:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text())
    headings = tuple(_headings(tokens))
    _follow(tokens, name)
    renderer = RendererHTML()
    html = renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="table-box"><table class="table">')
    html = html.replace("</table>", "</table></div>")
    title = next((one.text for one in headings if one.level == 1), name)
    return Page(name, title, html, _text(tokens), headings)


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Gives each heading the anchor that code hosts give it: small letters, words joined by dashes."""
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            opening.attrSet("id", anchor)
            yield Heading(int(opening.tag[1]), text, anchor)


def _follow(tokens: Sequence[Token], name: str) -> None:
    """Point links and pictures at the box's own addresses; the policy allows no style, so columns get classes."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                _point(child, "href", name)
            elif child.type == "image":
                _point(child, "src", name)
                child.attrSet("loading", "lazy")
        style = str(token.attrGet("style") or "")
        if style:
            del token.attrs["style"]
            if style.endswith("right"):
                token.attrSet("class", "number")


def _point(token: Token, attribute: str, name: str) -> None:
    """A file that the box does not serve keeps its words and loses its link."""
    link = str(token.attrGet(attribute) or "")
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        token.attrSet("rel", "noreferrer")
        return
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path)) if parts.path else name
    anchor = f"#{parts.fragment}" if parts.fragment else ""
    if target == "README.md" or (target.startswith("docs/") and (ROOT / target).is_file()):
        token.attrSet(attribute, address_of(target) + anchor)
    else:
        del token.attrs[attribute]


def _text(tokens: Sequence[Token]) -> str:
    """The words of a page without their marks, for the search."""
    found = []
    for token in tokens:
        if token.type == "inline":
            found.append("".join(child.content or " " for child in token.children or ()))
        elif token.type in ("fence", "code_block"):
            found.append(token.content)
    return " ".join(" ".join(found).split())
