"""The parts of one word, looked at character by character by the rules of ``sh``."""

import re
from collections.abc import Callable
from typing import Any

from appliance.safety.commands.reading import Reading
from appliance.safety.commands.script import (
    Calculation,
    Node,
    Parameter,
    Part,
    Pattern,
    Substitution,
    Text,
    Tilde,
)

ReadInner = Callable[[Reading, Any], Node]
WORDS = frozenset(
    {"word", "string", "raw_string", "concatenation", "number", "simple_expansion", "expansion",
     "command_substitution", "arithmetic_expansion"}
)  # fmt: skip
"""The kinds of nodes that are one word."""

_SPECIAL = re.compile(r"[\s|&;<>()\"'`$]")
_BRACES = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")
_ONE_DIGIT = re.compile(r"[0-9]")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_CHANGED = frozenset({":-", "-", ":+", "+", ":?", "?", "%", "%%", "#", "##"})
_NAMED = re.compile(rb"[A-Za-z_]|(?<!^)\$")
_AFTER_DOLLAR = re.compile(rb"[A-Za-z0-9_{('\"@*#?$!-]|\\\\\n")


def read_word(reading: Reading, node: Any, read_inner: ReadInner) -> Pattern:
    """``node`` as a Pattern; Unreadable where ``sh`` would read another word."""
    word = _Word(reading, read_inner)
    word.take(node, first=True)
    if _BRACES.search(word.bare):
        raise reading.refused(node, "has a brace expansion, which sh does not do")
    if word.bare.startswith("#"):
        raise reading.refused(node, "has a word that sh reads as a comment")
    return Pattern(tuple(word.parts), tuple(word.inner))


class _Word:
    def __init__(self, reading: Reading, read_inner: ReadInner) -> None:
        self.reading, self.read_inner = reading, read_inner
        self.parts: list[Part] = []
        self.inner: list[Node] = []
        self.bare = ""
        """The unquoted characters, with a NUL for everything else: what braces are looked for in."""

    def take(self, node: Any, *, first: bool = False) -> None:
        kind = node.type
        if kind in ("word", "number"):
            if node.children:  # ``10#…`` with an expansion in it
                raise self.reading.refused(node, "has a number that sh reads differently")
            self._literal(node, node.text.decode(), first=first)
        elif kind == "raw_string":
            self._add(Text(node.text.decode()[1:-1], quoted=True))
        elif kind == "string":
            self._string(node)
        elif kind == "concatenation":
            self._concatenation(node)
        else:
            self._expansion(node, quoted=False)

    def _add(self, part: Part) -> None:
        self.parts.append(part)
        self.bare += part.text if isinstance(part, Text) and not part.quoted else "\0"

    def _concatenation(self, node: Any) -> None:
        self.reading.gaps(node, tight=True)
        for number, child in enumerate(node.children):
            if child.type == "$":
                self._dollar(child)
            elif not child.is_named:
                raise self.reading.refused(child, f"uses {child.type}, which sh reads differently")
            else:
                self.take(child, first=number == 0)

    def _dollar(self, node: Any) -> None:
        """A dollar sign that begins nothing."""
        if node.text != b"$" or _AFTER_DOLLAR.match(self.reading.source, node.end_byte):
            raise self.reading.refused(node, "has a $ that sh may read differently")
        self._add(Text("$", quoted=True))

    def _literal(self, node: Any, text: str, *, first: bool) -> None:
        text = text.replace("\\\n", "")
        if first and text.startswith("~"):
            self._add(Tilde())
            text = text.partition("/")[2]
            text = f"/{text}" if text else ""
        at = 0
        while at < len(text):
            back = text.find("\\", at)
            piece = text[at:] if back < 0 else text[at:back]
            if _SPECIAL.search(piece):
                raise self.reading.refused(node, "has a character in a word that sh reads differently")
            if piece:
                self._add(Text(piece, quoted=False))
            if back < 0:
                return
            if back + 1 >= len(text):
                raise self.reading.refused(node, "ends with a backslash")
            self._add(Text(text[back + 1], quoted=True))
            at = back + 2

    def _string(self, node: Any) -> None:
        """Double quotes. What lies between the nodes in it (blanks) belongs to the text."""
        children = node.children
        if len(children) < 2 or children[0].type != '"' or children[-1].type != '"':
            raise self.reading.refused(node, "has a string that sh reads differently")
        self._add(Text("", quoted=True))
        at = children[0].end_byte
        for child in children[1:]:
            self._quoted(node, self.reading.source[at : child.start_byte].decode())
            at = child.end_byte
            if child.type in ("string_content", "$"):
                after = self.reading.source[child.end_byte : child.end_byte + 1]
                plain = child.text == b"$" and (after == b'"' or not _AFTER_DOLLAR.match(after))
                if child.type == "$" and not plain:
                    raise self.reading.refused(child, "has a $ that sh may read differently")
                self._quoted(child, child.text.decode(), dollar=child.type == "$")
            elif child.is_named:
                self._expansion(child, quoted=True)
            elif child is not children[-1] and child.type != '"':
                raise self.reading.refused(child, f"uses {child.type}, which sh reads differently")

    def _quoted(self, node: Any, text: str, *, dollar: bool = False) -> None:
        if not text:
            return
        said = re.sub(r'\\([\\$"`\n])', lambda m: "" if m[1] == "\n" else f"\1{m[1]}", text)
        if not dollar and re.search(r'(?<!\x01)[$`"]', said):
            raise self.reading.refused(node, "has a string that sh may read differently")
        self._add(Text(said.replace("\1", ""), quoted=True))

    def _expansion(self, node: Any, *, quoted: bool) -> None:
        if node.type == "command_substitution":
            if node.text.startswith(b"`") and re.search(rb'[\\"\'$]', node.text):
                raise self.reading.refused(node, "has backquotes with quotes or values in them")
            if not node.text.startswith((b"`", b"$(")) or (node.children[0].type not in ("`", "$(")):
                raise self.reading.refused(node, "has a substitution that sh reads differently")
            self.inner.append(self.read_inner(self.reading, node))
            self._add(Substitution(quoted))
        elif node.type == "arithmetic_expansion":
            self._calculation(node)
            self._add(Substitution(quoted))
        elif node.type == "simple_expansion":
            self.reading.gaps(node, tight=True)
            self._add(Parameter(self._name(node.children[1], short=True), quoted))
        elif node.type == "expansion":
            self._braced(node, quoted=quoted)
        else:
            raise self.reading.refused(
                node, f"uses {node.type.replace('_', ' ')}, which sh reads differently"
            )

    def _name(self, node: Any, *, short: bool) -> str:
        text: str = node.text.decode()
        if node.type == "special_variable_name" or text in "@*#?$!-0":
            return text
        if _IDENTIFIER.fullmatch(text) or (_ONE_DIGIT.fullmatch(text) if short else text.isdecimal()):
            return text
        raise self.reading.refused(node, "has a variable that sh reads differently")

    def _braced(self, node: Any, *, quoted: bool) -> None:
        """``${name}``, ``${#name}`` and the changed values that sh knows; ``:=`` assigns, so it is refused."""
        inner = node.children[1:-1]
        self.reading.gaps(node, tight=True)
        if node.children[0].type != "${" or not inner:
            raise self.reading.refused(node, "has a value that sh reads differently")
        if len(inner) == 1:
            self._add(Parameter(self._name(inner[0], short=False), quoted))
            return
        if inner[0].type == "#" and len(inner) == 2:
            self._name(inner[1], short=False)
            self._add(Substitution(quoted))
            return
        self._name(inner[0], short=False)
        if inner[1].type not in _CHANGED:
            raise self.reading.refused(
                node, f"uses ${{…{inner[1].type}…}}, which sh does not have or which assigns"
            )
        for child in inner[2:]:
            self._alternative(child)
        self._add(Parameter("", quoted, plain=False))

    def _alternative(self, node: Any) -> None:
        """The word in ``${name:-word}``: only its substitutions matter."""
        if node.type == "regex":
            if re.search(rb"[$`]", node.text):
                raise self.reading.refused(node, "has a value in a pattern")
            return
        if not node.is_named and node.type not in _CHANGED:
            raise self.reading.refused(node, "has a value that sh reads differently")
        if node.is_named:
            self.inner += read_word(self.reading, node, self.read_inner).inner

    def _calculation(self, node: Any) -> None:
        if not node.text.startswith(b"$((") or re.search(
            rb"[^ \t\n\w$(){}+*/%<>=!&|^~?:.-]|\$\((?!\()", node.text
        ):
            raise self.reading.refused(node, "has a calculation that is not followed")
        if re.search(rb"(?<![<>=!])=(?!=)|\+\+|--|\$\{[^}]*[^\w}]", node.text):
            raise self.reading.refused(node, "has a calculation that assigns")
        if _NAMED.search(node.text):
            place = self.reading.place(node)
            self.inner.append(Calculation(f"calculates with a name, whose value bash may run ({place})"))
