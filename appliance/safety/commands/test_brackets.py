"""``[ … ]``: the grammar reads its operators as bash does, so only those that sh shares are taken."""

from typing import Any

from appliance.safety.commands.reading import Reading
from appliance.safety.commands.script import Pattern, Simple, Text
from appliance.safety.commands.word_parts import ReadInner, read_word

_JOINS = frozenset({"unary_expression", "binary_expression", "negated_expression"})
_OPERATORS = frozenset({"=", "!=", "!", "==", "-a", "-o"})


def read_test(reading: Reading, node: Any, read_inner: ReadInner) -> Simple:
    """The command ``[`` with its words. Unreadable for ``[[`` and for what sh takes as a redirection or an end."""
    if node.children[0].type != "[" or node.children[-1].type != "]":
        raise reading.refused(node, "uses [[, which sh does not have")
    words = [_literal("[")]
    for child in node.children[1:-1]:
        words += _words(reading, child, read_inner, 0)
    return Simple((), (*words, _literal("]")))


def _words(reading: Reading, node: Any, read_inner: ReadInner, depth: int) -> list[Pattern]:
    if node.type in _JOINS:
        if depth > 30:
            raise reading.refused(node, "has a test that is nested too deep")
        reading.gaps(node)
        ends = [child.end_byte for child in node.children]
        if any(child.start_byte == end for child, end in zip(node.children[1:], ends, strict=False)):
            raise reading.refused(node, "has a test whose words sh reads as one")
        return [word for child in node.children for word in _words(reading, child, read_inner, depth + 1)]
    if node.type == "test_operator" or (not node.is_named and node.type in _OPERATORS):
        return [_literal(node.text.decode())]
    if not node.is_named or node.type in ("parenthesized_expression", "regex", "extglob_pattern"):
        raise reading.refused(node, f"uses {node.text.decode()} in a test, which sh reads differently")
    return [read_word(reading, node, read_inner)]


def _literal(text: str) -> Pattern:
    return Pattern((Text(text, quoted=True),))
