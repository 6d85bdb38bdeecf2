"""From text to a :mod:`script`: tree-sitter's grammar for bash reads it, and what ``sh`` reads differently is refused.

Every byte is accounted for: between two nodes there is nothing but blanks, every kind of node is on a list, and
every character of a word is looked at again by the rules of ``sh``. Whatever does not fit is Refused, with its place.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from appliance.safety.commands.lists import assigned_by, joined
from appliance.safety.commands.reading import LONGEST, Reading, Unreadable
from appliance.safety.commands.script import Loop, Node, Refused, Simple
from appliance.safety.commands.simple_commands import (
    check_here,
    read_assignment,
    read_assignments,
    read_command,
    read_declaration,
    read_redirect,
    refuse_unset,
)
from appliance.safety.commands.test_brackets import read_test
from appliance.safety.commands.word_parts import WORDS, ReadInner, read_word

if TYPE_CHECKING:
    import tree_sitter

_DEEPEST, _MOST_NODES = 40, 6000
_MOST_JOINTS = 400  # the parser's time grows with the square of some of them
_JOINTS = re.compile(r"[|&;()`\n]")
_JOINED_WORD = re.compile(r"(?<![ \t])\\\n(?![ \t])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OPERATORS = frozenset({";", "&", "\n", "&&", "||", "|"})


@lru_cache(maxsize=1)
def _parser() -> "tree_sitter.Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@lru_cache(maxsize=256)
def read_script(script: str) -> Node:
    """The script as ``sh`` will read it. Never raises: what is not understood is a Refused in its place."""
    if len(script) > LONGEST:
        return Refused(f"is longer than {LONGEST} characters: nobody can review it")
    if _CONTROL.search(script):
        return Refused("holds a control character")
    if _JOINED_WORD.search(script):
        return Refused("goes on in the next line within a word")
    if len(_JOINTS.findall(script)) > _MOST_JOINTS:
        return Refused(f"has more than {_MOST_JOINTS} operators: nobody can review it")
    try:
        source = script.encode()
    except UnicodeEncodeError:
        return Refused("is not valid text")
    root = _parser().parse(source).root_node
    reading = Reading(source)
    if root.descendant_count > _MOST_NODES:
        return Refused(f"has more than {_MOST_NODES} parts: nobody can review it")
    if root.has_error:
        return Refused(f"cannot be parsed ({reading.place(_first_error(root))})")
    try:
        reading.gaps(root, whole=True)
        return _block(reading, root.children, 0, straight=True)
    except Unreadable as error:
        return Refused(str(error))


def _first_error(node: "tree_sitter.Node") -> "tree_sitter.Node":
    """The innermost place that is wrong, for the sentence."""
    for _ in range(_MOST_NODES):
        inner = next((c for c in node.children if c.has_error or c.is_missing), None)
        if inner is None or node.is_error:
            return node
        node = inner
    return node


def _block(reading: Reading, children: list[Any], depth: int, *, straight: bool) -> Node:
    """Statements one after another; ``&`` starts one beside the others."""
    nodes: list[Node] = []
    then: list[str] = []
    for child in children:
        if child.type == "comment":
            reading.comment(child)
        elif child.is_named:
            if len(then) < len(nodes):
                then.append("\n")
            nodes.append(_statement(reading, child, depth + 1))
        elif child.type in (";", "&", "\n") and len(then) < len(nodes):
            then.append(child.type)
        else:
            raise reading.refused(child, "has an operator where a command belongs")
    then += [""] * (len(nodes) - len(then))
    if "&" in then:
        straight = False
    return joined(nodes, then, straight=straight)


def _statement(reading: Reading, node: Any, depth: int) -> Node:
    if depth > _DEEPEST:
        raise reading.refused(node, f"is nested more than {_DEEPEST} deep")
    reader = _READERS.get(node.type)
    if reader is None:
        raise reading.refused(node, f"uses {_named(node)}, which sh does not have or which is not followed")
    reading.gaps(node)
    return reader(reading, node, depth)


def _named(node: Any) -> str:
    return str(node.type).replace("_", " ")


def _list(reading: Reading, node: Any, depth: int) -> Node:
    """``a && b``, ``a || b`` and ``a | b``."""
    nodes: list[Node] = []
    then: list[str] = []
    for child in node.children:
        if child.is_named:
            nodes.append(_statement(reading, child, depth + 1))
        elif child.type in _OPERATORS:
            then.append(child.type)
        else:
            raise reading.refused(child, f"uses {child.type}, which sh reads differently")
    return joined(nodes, [*then, ""], straight=False)


def _group(reading: Reading, node: Any, depth: int) -> Node:
    """``( … )``, ``{ … }``, ``do … done`` and the inside of a substitution."""
    return _bare(_block(reading, node.children[1:-1], depth, straight=False))


def _compound(reading: Reading, node: Any, depth: int) -> Node:
    """``if``, ``while``, ``case`` and their clauses: every command in it may run, any number of times."""
    nodes: list[Node] = []
    inner: list[Node] = []
    for child in node.children:
        if child.type in WORDS and node.type in ("case_statement", "case_item"):
            inner += read_word(reading, child, _substituted(depth)).inner
        elif child.type == "extglob_pattern" and _PLAIN_PATTERN.fullmatch(child.text):
            continue
        elif child.type == "comment":
            reading.comment(child)
        elif child.is_named:
            nodes.append(_statement(reading, child, depth + 1))
        elif child.type not in _KEYWORDS:
            raise reading.refused(child, f"uses {child.type}, which sh reads differently")
    return _bare(joined([*inner, *nodes], [";"] * (len(inner) + len(nodes)), straight=False))


def _bare(node: Node) -> Node:
    """A compound counts as one command of the list that it stands in, not as its commands."""
    return joined([node], [""], straight=False, flat=False)


def _for(reading: Reading, node: Any, depth: int) -> Node:
    name, words, body = "", [], None
    for child in node.children:
        if child.type == "variable_name" and not name:
            name = reading.name(child)
        elif child.type == "do_group":
            body = _statement(reading, child, depth + 1)
        elif child.type in WORDS:
            words.append(read_word(reading, child, _substituted(depth)))
        elif child.type == "comment":
            reading.comment(child)
        elif child.type not in ("for", "in", ";", "\n"):
            raise reading.refused(child, f"uses {child.type}, which sh reads differently")
    if body is None or not any(child.type == "in" for child in node.children):
        raise reading.refused(node, "has a loop without words of its own")
    return Loop(name, tuple(words), body, assigned_by(body) | {name})


def _redirected(reading: Reading, node: Any, depth: int) -> Node:
    body, redirects, here = None, [], False
    for child in node.children:
        if child.type == "file_redirect":
            redirects += read_redirect(reading, child, _substituted(depth))
        elif child.type == "heredoc_redirect":
            if here or not (body is None or isinstance(body, Simple)):
                raise reading.refused(child, "has a here-document that is not followed")
            check_here(reading, child)
            here = True
        elif body is None:
            body = _statement(reading, child, depth + 1)
        else:
            raise reading.refused(child, "has words behind a redirection")
    if body is None:
        return Simple((), (), tuple(redirects), here)
    if isinstance(body, Simple):
        return Simple(body.assignments, body.words, (*body.redirects, *redirects), here)
    if not redirects:
        return body
    return joined([body], [""], straight=False, flat=False, redirects=tuple(redirects))


def _negated(reading: Reading, node: Any, depth: int) -> Node:
    return _bare(_statement(reading, node.children[1], depth + 1))


def _simple(reader: Callable[[Reading, Any, ReadInner], Node]) -> Callable[[Reading, Any, int], Node]:
    """A reader of something that is not nested itself."""
    return lambda reading, node, depth: reader(reading, node, _substituted(depth))


def _substituted(depth: int) -> Callable[[Reading, Any], Node]:
    """How the inside of ``$( … )`` is read, ``depth`` deep in the script."""

    def read(reading: Reading, node: Any) -> Node:
        if depth > _DEEPEST:
            raise reading.refused(node, f"is nested more than {_DEEPEST} deep")
        reading.gaps(node)
        return _group(reading, node, depth + 1)

    return read


_PLAIN_PATTERN = re.compile(rb"[\w.*?:/,=+-]+", re.ASCII)
_KEYWORDS = frozenset(
    {"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "case", "in", "esac", ";", ";;", "\n",
     ")", "(", "|"}
)  # fmt: skip
_READERS: dict[str, Callable[[Reading, Any, int], Node]] = {
    "command": _simple(read_command),
    "list": _list,
    "pipeline": _list,
    "redirected_statement": _redirected,
    "subshell": _group,
    "compound_statement": _group,
    "do_group": _group,
    "if_statement": _compound,
    "elif_clause": _compound,
    "else_clause": _compound,
    "while_statement": _compound,
    "case_statement": _compound,
    "case_item": _compound,
    "for_statement": _for,
    "negated_command": _negated,
    "test_command": _simple(read_test),
    "variable_assignment": _simple(read_assignment),
    "variable_assignments": _simple(read_assignments),
    "declaration_command": _simple(read_declaration),
    "unset_command": _simple(refuse_unset),
}
