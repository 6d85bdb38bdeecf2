"""Shells with ``-c``, and boxes of many programs in one."""

from collections.abc import Sequence
from dataclasses import replace

from appliance.safety.commands.arguments import Problem, read_arguments
from appliance.safety.commands.around import DEEPEST, Around
from appliance.safety.commands.binaries import SHELL, sh_dialect
from appliance.safety.commands.domain import Leaf, Word
from appliance.safety.commands.expansion import Values
from appliance.safety.commands.unwrap.shape import Judge, Unwrap, given, options

_SHELL = options("-c -e -u -x -f")


def sh_leaves(script: Word, around: Around) -> list[Leaf]:
    """The leaves of a script that a program hands to ``/bin/sh``."""
    return script_leaves(script, [], around, dialect=_dialect("sh", around), binary=SHELL)


def script_leaves(
    script: Word, arguments: Sequence[Word], around: Around, *, dialect: str, binary: str | None
) -> list[Leaf]:
    """The leaves of a script that another shell reads. ``binary``: that shell, if it is one of this machine."""
    from appliance.safety.commands.evaluate import leaves_of
    from appliance.safety.commands.grammar import read_script

    if not script.known:
        raise Problem("is given a script that is only known when it runs")
    if around.depth > DEEPEST:
        raise Problem(f"is wrapped more than {DEEPEST} times: nobody can review it")
    known = all(word.known for word in arguments)
    values = Values([word.text for word in arguments[1:]] if known else None)
    inside = around if binary is None else _with_shell(around, binary)
    return leaves_of(read_script(script.text), values, replace(inside, dialect=dialect))


def _with_shell(around: Around, binary: str) -> Around:
    return replace(around, binaries=(*around.binaries, binary)) if around.local else around


def _shell(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """``sh -c SCRIPT NAME VALUE…``; a script in a file, or from its input, is not read."""
    found = read_arguments(_SHELL, words[1:])
    if not given(found, "-c") or not found.operands:
        raise Problem("reads its commands from a file or from its input")
    name = words[0].text.rpartition("/")[2]
    inside = around.inside(words[0].text)
    script, rest = found.operands[0], found.operands[1:]
    return script_leaves(script, rest, inside, dialect=_dialect(name, around), binary=None)


def _dialect(name: str, around: Around) -> str:
    """Elsewhere ``sh`` may be bash, as it is where this machine has it so."""
    if name in ("dash", "ash"):
        return "sh"
    return sh_dialect() if name == "sh" and around.local else "bash"


def _box(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """The applet is judged as the program of its name; what really runs is the box."""
    if len(words) < 2 or words[1].may_be_option or not words[1].known or "/" in words[1].text:
        raise Problem("is asked for something that is not an applet")
    return judge(words[1:], around.inside(words[0].text, local=False))


SHELLS: dict[str, Unwrap] = {
    "sh": _shell,
    "dash": _shell,
    "ash": _shell,
    "bash": _shell,
    "busybox": _box,
    "toybox": _box,
}
