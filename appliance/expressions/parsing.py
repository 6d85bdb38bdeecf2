"""From the text of one expression to Jinja2's syntax tree, in which every ``lineno`` is an offset.

Jinja2's parser copies the ``lineno`` of tokens into nodes and errors and does not look at it otherwise. Its
tokens are made here, with the place in the author's text as that number: so nodes know their column.
"""

import math
import re
from collections.abc import Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Token, TokenStream, operators
from jinja2.parser import Parser

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import LARGEST_INT, MOST_PREFIXES
from appliance.lib.said import say

_ENVIRONMENT = Environment(autoescape=False)  # noqa: S701 - only its lexer and parser; nothing is rendered
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_ENDS_A_VALUE = frozenset({"name", "string", "integer", "float", "rparen", "rbracket", "rbrace"})
_OPERATOR_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
_END = "end of the expression"
_UNEXPECTED = re.compile(r"unexpected '(.*)'", re.DOTALL)
_GOT = re.compile(r"expected '(.+?)', got '(.+)'", re.DOTALL)
_HINTS = {
    "&": say("write `and`"),
    "!": say("write `not`, or != to compare"),
    "?": say("write `a if test else b`"),
    "assign": say("compare with =="),
    ".": say("to have the braces themselves, write {{ '{{' }}"),
}


def parse_expression(code: str, at: int, *, conditional: bool = True) -> nodes.Expr:
    """Jinja2's tree of ``code``, which stands at offset ``at`` of the text. Raises ExpressionError.

    ``conditional`` allows ``a if b else c`` at the outermost level.
    """
    tokens = list(_tokens(code, at))
    if not tokens:
        raise ExpressionError(say("there is no expression"), at, hint=say("write a name or a value"))
    _check(tokens)
    parser = Parser(_ENVIRONMENT, "")
    parser.stream = TokenStream(tokens, None, None)
    try:
        tree = parser.parse_expression(with_condexpr=conditional)
        if not parser.stream.eos:
            token = parser.stream.current
            raise ExpressionError(
                say("unexpected %(token)s", token=_shown(token)), token.lineno, hint=_HINTS.get(token.type)
            )
    except TemplateSyntaxError as error:
        raise ExpressionError(_words(error), error.lineno, hint=_hint(tokens, error.lineno)) from error
    except RecursionError:
        raise ExpressionError(say("nested too deeply"), at) from None
    return tree


def _tokens(code: str, at: int) -> Iterator[Token]:
    """Jinja2's tokens with offsets. The lexer joins lines with \\n: length is kept by doing that first."""
    source = code.replace("\r\n", " \n").replace("\r", "\n")
    place = at
    try:
        for _, kind, text in _ENVIRONMENT.lexer.tokeniter(source, None, state="variable"):
            if kind != "whitespace":
                # A text in quotes is taken as the author wrote it, line ends included.
                yield _token(kind, code[place - at :][: len(text)] if kind == "string" else text, place)
            place += len(text)
    except TemplateSyntaxError as error:
        culprit = code[place - at : place - at + 1]
        raise ExpressionError(
            say("unexpected %(token)s", token=culprit), place, hint=_HINTS.get(culprit)
        ) from error


def _token(kind: str, text: str, at: int) -> Token:
    if kind == "name":
        if not text.isidentifier():
            raise ExpressionError(say("%(text)s is not a name", text=text[:40]), at)
        return Token(at, "name", text)
    if kind == "string":
        return Token(at, "string", _string(text[1:-1], at))
    if kind == "integer":
        number = int(text.replace("_", ""), 0)
        if number > LARGEST_INT:
            raise ExpressionError(say("a whole number has at most 64 bits"), at)
        return Token(at, "integer", number)  # type: ignore[arg-type] # Jinja2's own lexer does the same
    if kind == "float":
        value = float(text.replace("_", ""))
        if not math.isfinite(value):
            raise ExpressionError(say("this number is too large"), at)
        return Token(at, "float", value)  # type: ignore[arg-type] # Jinja2's own lexer does the same
    if kind == "operator" and text in operators:
        if text == "**":
            raise ExpressionError(say("** is not part of the language"), at)
        return Token(at, operators[text], text)
    raise ExpressionError(say("unexpected %(token)s", token=text[:20]), at)


def _string(text: str, at: int) -> str:
    """The text with its escapes resolved, as Python does; an unknown escape stays as it is."""

    def resolve(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        if digits is None:
            return _ESCAPES.get(match[4], match.group())
        number = int(digits, 16)
        if number == 0 or 0xD800 <= number <= 0xDFFF or number > 0x10FFFF:
            raise ExpressionError(
                say("%(group)s is not a character", group=match.group()), at + 1 + match.start()
            )
        return chr(number)

    found = _ESCAPE.sub(resolve, text) if "\\" in text else text
    if "\x00" in found:
        raise ExpressionError(say("a text cannot hold a NUL character"), at)
    return found


def _check(tokens: list[Token]) -> None:
    """Refuse what would make the parser recurse: brackets were counted before, prefixes are counted here."""
    prefixes, before = 0, ""
    for token in tokens:
        word = str(token.value) if token.type == "name" else ""
        sign = token.type in ("add", "sub") and before not in _ENDS_A_VALUE
        if sign or word in ("not", "else"):
            prefixes += 1
            if prefixes > MOST_PREFIXES:
                raise ExpressionError(
                    say(
                        "an expression has at most %(most_prefixes)s times not, else or a sign",
                        most_prefixes=MOST_PREFIXES,
                    ),
                    token.lineno,
                )
        before = "operator" if word in _OPERATOR_WORDS else token.type


def _shown(token: Token) -> str:
    if token.type == "string":
        return say("text %(text)r", text=str(token.value)[:40])
    return say("the end") if token.type == "eof" else str(token.value)[:40]


def _words(error: TemplateSyntaxError) -> str:
    """Jinja2's sentence; what it calls a template is an expression here."""
    said = (error.message or "this cannot be read").replace("end of template", _END)
    said = said.replace("end of print statement", _END).replace("expected token", "expected")
    if found := _UNEXPECTED.fullmatch(said):
        return say("unexpected '%(token)s'", token=_named(found[1]))
    if found := _GOT.fullmatch(said):
        return say("expected '%(wanted)s', got '%(token)s'", wanted=_named(found[1]), token=_named(found[2]))
    return said


def _named(token: str) -> str:
    return say("end of the expression") if token == _END else token


def _hint(tokens: list[Token], at: int) -> str | None:
    """A word for those who come from another language."""
    for index, token in enumerate(tokens):
        if token.lineno == at:
            if token.type == "pipe" and index and tokens[index - 1].type == "pipe":
                return say("write `or`")
            if token.type == "dot" and index == 0:
                return _HINTS["."]
            return _HINTS.get(token.type)
    return None
