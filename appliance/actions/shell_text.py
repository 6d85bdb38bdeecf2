"""What can be said about a shell command when its task is saved: its default ``ok_exit`` and its effect class.

Values are not known then, so each ``{{ }}`` is a word of unknown content. Both answers are one-sided: whatever is
not certain is ``unsafe`` and succeeds on 0 only.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from appliance.safety.commands import outline, understand
from appliance.safety.commands.outline import Named

EffectName = Literal["pure", "unsafe"]

ANSWERING = frozenset({"grep", "egrep", "fgrep", "diff", "cmp", "test", "["})
"""Commands whose exit status 1 is an answer, not a failure."""


def default_ok_exit(script: str) -> tuple[int, ...]:
    """``(0, 1)`` where the last command of the pipeline is grep, diff, cmp or test, else ``(0,)``.

    Behind ``&&`` only when every command before it in that chain answers with 1 too: otherwise a 1 could be
    somebody's failure.
    """
    commands = outline(script)
    if not commands or commands[-1].name not in ANSWERING:
        return (0,)
    chain = _and_chain(commands[:-1])
    return (0, 1) if all(c.name in ANSWERING or c.name == "cd" for c in chain) else (0,)


def _and_chain(before: Sequence[Named]) -> list[Named]:
    """The commands joined by ``&&`` to what follows ``before``: a failure of one is the whole's status."""
    chain: list[Named] = []
    for command in reversed(before):
        if command.then in ("\n", "||"):
            break
        if command.then == "&&":
            chain.append(command)
    return chain


def classify_shell(script: str, environment: Iterable[str] = ()) -> EffectName:
    """``pure`` where every simple command only reads and reading it twice is the same, else ``unsafe``."""
    return "pure" if understand(script, None, environment).repeatable else "unsafe"
