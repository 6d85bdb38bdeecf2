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

_ENVIRONMENT = Environment(autoescape=False)  # noqa: S701 - only its lexer and parser; nothing is rendered
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_ENDS_A_VALUE = frozenset({"name", "string", "integer", "float", "rparen", "rbracket", "rbrace"})
_OPERATOR_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
_HINTS = {
    "&": "write `and`",
    "!": "write `not`, or != to compare",
    "?": "write `a if test else b`",
    "assign": "compare with ==",
    ".": "to have the braces themselves, write {{ '{{' }}",
}


def parse_expression(code: str, at: int, *, conditional: bool = True) -> nodes.Expr:
    """Jinja2's tree of ``code``, which stands at offset ``at`` of the text. Raises ExpressionError.

    ``conditional`` allows ``a if b else c`` at the outermost level.
    """
    tokens = list(_tokens(code, at))
    if not tokens:
        raise ExpressionError("there is no expression", at, hint="write a name or a value")
    _check(tokens)
    parser = Parser(_ENVIRONMENT, "")
    parser.stream = TokenStream(tokens, None, None)
    try:
        tree = parser.parse_expression(with_condexpr=conditional)
        if not parser.stream.eos:
            token = parser.stream.current
            raise ExpressionError(f"unexpected {_shown(token)}", token.lineno, hint=_HINTS.get(token.type))
    except TemplateSyntaxError as error:
        raise ExpressionError(_words(error), error.lineno, hint=_hint(tokens, error.lineno)) from error
    except RecursionError:
        raise ExpressionError("nested too deeply", at) from None
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
        raise ExpressionError(f"unexpected {culprit}", place, hint=_HINTS.get(culprit)) from error


def _token(kind: str, text: str, at: int) -> Token:
    if kind == "name":
        if not text.isidentifier():
            raise ExpressionError(f"{text[:40]} is not a name", at)
        return Token(at, "name", text)
    if kind == "string":
        return Token(at, "string", _string(text[1:-1], at))
    if kind == "integer":
        number = int(text.replace("_", ""), 0)
        if number > LARGEST_INT:
            raise ExpressionError("a whole number has at most 64 bits", at)
        return Token(at, "integer", number)  # type: ignore[arg-type] # Jinja2's own lexer does the same
    if kind == "float":
        value = float(text.replace("_", ""))
        if not math.isfinite(value):
            raise ExpressionError("this number is too large", at)
        return Token(at, "float", value)  # type: ignore[arg-type] # Jinja2's own lexer does the same
    if kind == "operator" and text in operators:
        if text == "**":
            raise ExpressionError("** is not part of the language", at)
        return Token(at, operators[text], text)
    raise ExpressionError(f"unexpected {text[:20]}", at)


def _string(text: str, at: int) -> str:
    """The text with its escapes resolved, as Python does; an unknown escape stays as it is."""

    def resolve(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        if digits is None:
            return _ESCAPES.get(match[4], match.group())
        number = int(digits, 16)
        if number == 0 or 0xD800 <= number <= 0xDFFF or number > 0x10FFFF:
            raise ExpressionError(f"{match.group()} is not a character", at + 1 + match.start())
        return chr(number)

    found = _ESCAPE.sub(resolve, text) if "\\" in text else text
    if "\x00" in found:
        raise ExpressionError("a text cannot hold a NUL character", at)
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
                    f"an expression has at most {MOST_PREFIXES} times not, else or a sign", token.lineno
                )
        before = "operator" if word in _OPERATOR_WORDS else token.type


def _shown(token: Token) -> str:
    if token.type == "string":
        return f"text {str(token.value)[:40]!r}"
    return "the end" if token.type == "eof" else str(token.value)[:40]


def _words(error: TemplateSyntaxError) -> str:
    """Jinja2's sentence; what it calls a template is an expression here."""
    said = (error.message or "this cannot be read").replace("end of template", "end of the expression")
    return said.replace("end of print statement", "end of the expression").replace(
        "expected token", "expected"
    )


def _hint(tokens: list[Token], at: int) -> str | None:
    """A word for those who come from another language."""
    for index, token in enumerate(tokens):
        if token.lineno == at:
            if token.type == "pipe" and index and tokens[index - 1].type == "pipe":
                return "write `or`"
            if token.type == "dot" and index == 0:
                return _HINTS["."]
            return _HINTS.get(token.type)
    return None
