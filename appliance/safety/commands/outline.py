"""The commands of a plain list or pipeline by name, and what joins them: enough to say which status it ends with."""

from dataclasses import dataclass

from appliance.safety.commands.domain import Word
from appliance.safety.commands.expansion import Values, expand
from appliance.safety.commands.grammar import read_script
from appliance.safety.commands.script import Node, Sequence, Simple

_FOLDERS = ("/bin/", "/usr/bin/")


@dataclass(frozen=True, slots=True)
class Named:
    """A simple command: its program's name ("" where it is not known), and the operator behind it."""

    name: str
    then: str


def outline(script: str) -> list[Named] | None:
    """The simple commands of ``script`` in order; None where it is more than a list of them."""
    found: list[Named] = []
    return found if _collect(read_script(script), "", found) else None


def _collect(node: Node, then: str, found: list[Named]) -> bool:
    if isinstance(node, Simple):
        if node.here or (not node.words and node.redirects):
            return False
        found.append(Named(_name(node), "\n" if then == ";" else then))
        return then != "&"
    if not isinstance(node, Sequence) or node.redirects:
        return False
    if len(node.nodes) == 1 and node.then == ("",):
        return False  # a group
    last = len(node.nodes) - 1
    return all(
        _collect(inner, then if number == last and not node.then[number] else node.then[number], found)
        for number, inner in enumerate(node.nodes)
    )


def _name(node: Simple) -> str:
    words = expand(node.words[0], Values(None)) if node.words else [Word("")]
    if len(words) != 1 or not words[0].known:
        return ""
    text = words[0].text
    folder = next((one for one in _FOLDERS if text.startswith(one)), "")
    return text.removeprefix(folder)
