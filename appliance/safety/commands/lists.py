"""Puts read commands together, with the names that each part assigns."""

from collections.abc import Iterable
from collections.abc import Sequence as Many

from appliance.safety.commands.script import Loop, Node, Redirect, Sequence, Simple, Text


def joined(
    nodes: Many[Node],
    then: Many[str],
    *,
    straight: bool,
    flat: bool = True,
    redirects: tuple[Redirect, ...] = (),
) -> Node:
    """``nodes`` in order, ``then[i]`` after each. A list in a list becomes one; a single command stays itself."""
    if flat and len(nodes) == 1 and then[0] == "" and not redirects:
        return nodes[0]
    names: set[str] = set()
    for node in nodes:
        names |= assigned_by(node)
    return Sequence(tuple(nodes), tuple(then), straight, frozenset(names), redirects)


def assigned_by(node: Node) -> frozenset[str]:
    """The variables that running ``node`` may set."""
    if isinstance(node, Simple):
        names = {name for name, _ in node.assignments}
        return frozenset(names | set(_read_into(node)))
    return node.assigned if isinstance(node, Sequence | Loop) else frozenset()


def _read_into(node: Simple) -> Iterable[str]:
    """The names after ``read``."""
    texts = ["".join(p.text for p in word.parts if isinstance(p, Text)) for word in node.words]
    return texts[1:] if texts and texts[0] == "read" else ()
