"""Simple commands: assignments, words and redirections, as ``sh`` reads them."""

import re
from typing import Any

from appliance.safety.commands.environment import harmless
from appliance.safety.commands.reading import Reading
from appliance.safety.commands.script import Pattern, Redirect, Simple
from appliance.safety.commands.word_parts import WORDS, ReadInner, read_word

_WRITES = frozenset({"<", ">", ">>", ">|"})
_COPIES = frozenset({">&", "<&", ">&-", "<&-"})
_HERE_END = re.compile(r"'([A-Za-z_][\w-]*)'|\"([A-Za-z_][\w-]*)\"|([A-Za-z_][\w-]*)")


def read_command(reading: Reading, node: Any, inner: ReadInner) -> Simple:
    assignments: list[tuple[str, Pattern]] = []
    words: list[Pattern] = []
    redirects: list[Redirect] = []
    for child in node.children:
        if child.type == "variable_assignment":
            if words:
                raise reading.refused(child, "has an assignment among the words")
            assignments.append(_assignment(reading, child, inner))
        elif child.type == "command_name":
            reading.gaps(child)
            words.append(read_word(reading, child.children[0], inner))
        elif child.type in WORDS:
            words.append(read_word(reading, child, inner))
        elif child.type == "file_redirect":
            redirects += read_redirect(reading, child, inner)
        else:
            raise reading.refused(child, f"uses {child.type.replace('_', ' ')}, which sh reads differently")
    return Simple(tuple(assignments), tuple(words), tuple(redirects))


def _assignment(reading: Reading, node: Any, inner: ReadInner) -> tuple[str, Pattern]:
    children = node.children
    if len(children) not in (2, 3) or children[1].type != "=":
        raise reading.refused(node, "has an assignment that sh reads differently")
    reading.gaps(node, tight=True)
    name = reading.name(children[0])
    if len(children) == 2:
        return name, Pattern(())
    return name, read_word(reading, children[2], inner)


def read_assignments(reading: Reading, node: Any, inner: ReadInner) -> Simple:
    return Simple(tuple(_assignment(reading, child, inner) for child in node.children), ())


def read_assignment(reading: Reading, node: Any, inner: ReadInner) -> Simple:
    return Simple((_assignment(reading, node, inner),), ())


def read_declaration(reading: Reading, node: Any, inner: ReadInner) -> Simple:
    """``export`` and ``readonly``; ``sh`` has no other."""
    if node.children[0].type not in ("export", "readonly"):
        raise reading.refused(node, f"uses {node.children[0].type}, which sh reads differently")
    made = []
    for child in node.children[1:]:
        if child.type == "variable_assignment":
            made.append(_assignment(reading, child, inner))
        elif child.type != "variable_name" or reading.name(child) is None:
            raise reading.refused(child, "exports what only running can tell")
    names = tuple((reading.name(c), Pattern(())) for c in node.children[1:] if c.type == "variable_name")
    if names:
        raise reading.refused(node, "exports a variable whose value is not followed")
    handed = node.children[0].type == "export"
    if bad := next((name for name, _ in made if handed and not harmless(name)), None):
        raise reading.refused(node, f"exports {bad}, which may decide what programs load")
    return Simple(tuple(made), ())


def refuse_unset(reading: Reading, node: Any, inner: ReadInner) -> Simple:
    raise reading.refused(node, "takes variables away, which is not followed")


def read_redirect(reading: Reading, node: Any, inner: ReadInner) -> list[Redirect]:
    """The file that is opened; empty where a stream is copied or closed. Only one digit is a stream's number."""
    children = list(node.children)
    reading.gaps(node)
    if children[0].type == "file_descriptor":
        stream = children.pop(0)
        if len(stream.text) != 1 or stream.end_byte != children[0].start_byte:
            raise reading.refused(stream, "has a number before a redirection that sh reads as a word")
    operator = children[0].type
    targets = children[1:]
    if operator in _COPIES and (
        (not targets and operator.endswith("-"))
        or (len(targets) == 1 and re.fullmatch(rb"[0-9-]", targets[0].text or b""))
    ):
        return []
    if operator not in _WRITES or len(targets) != 1:
        raise reading.refused(node, f"uses the redirection {operator}, which sh reads differently")
    return [Redirect(operator, read_word(reading, targets[0], inner))]


def check_here(reading: Reading, node: Any) -> None:
    """A here-document is data where nothing in it is expanded. Its end is looked for again by sh's own rule."""
    if [child.type for child in node.children] != ["<<", "heredoc_start", "heredoc_body", "heredoc_end"]:
        raise reading.refused(node, "has a here-document that is not followed")
    _, start, body, _ = node.children
    match = _HERE_END.fullmatch(start.text.decode())
    after = reading.source.find(b"\n", start.end_byte) + 1
    if match is None or not after or reading.source[start.end_byte : after].strip():
        raise reading.refused(node, "has a here-document that is not followed")
    word = (match[1] or match[2] or match[3]).encode()
    end = (reading.source[after - 1 :] + b"\n").find(b"\n" + word + b"\n")
    if end < 0 or (body.start_byte, body.end_byte) != (after, after + end):
        raise reading.refused(node, "has a here-document whose end sh may see elsewhere")
    if match[3] and re.search(rb"[$`\\]", body.text):
        raise reading.refused(node, "has a here-document in which values are put")
