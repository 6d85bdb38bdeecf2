"""The two doors: a script for ``/bin/sh -c``, and a program with its arguments."""

from collections.abc import Iterable, Sequence

from appliance.safety.commands.around import Around
from appliance.safety.commands.binaries import SHELL, sh_dialect
from appliance.safety.commands.domain import CommandClass, Leaf, Understanding, Word
from appliance.safety.commands.environment import dangerous, harmless
from appliance.safety.commands.evaluate import leaves_of
from appliance.safety.commands.expansion import Values
from appliance.safety.commands.grammar import read_script
from appliance.safety.commands.judge import judge

_MOST_ARGUMENTS = 4096


def understand(
    script: str, arguments: Sequence[str] | None, environment: Iterable[str] = (), *, here: bool = True
) -> Understanding:
    """What ``/bin/sh -c script mw arguments…`` will do. Never raises.

    ``arguments``: the values of ``$1``, ``$2``, …; None while they are not known. ``environment``: the names of the
    variables that are added. ``here``: the shell is that of this machine; another one may be bash.
    What is not understood is a leaf of class UNKNOWN with the reason and the place.
    """
    dialect = sh_dialect() if here else "bash"
    leaves = leaves_of(read_script(script), Values(arguments), Around(dialect=dialect, local=here))
    return Understanding((*_surroundings(environment), *leaves), SHELL)


def understand_argv(
    argv: Sequence[str] | Sequence[Word], environment: Iterable[str] = (), *, here: bool = True
) -> Understanding:
    """What ``argv`` will do when it is executed without a shell, ``here`` on this machine. Never raises."""
    words = [word if isinstance(word, Word) else Word(word) for word in argv]
    around = Around(local=here)
    if len(words) > _MOST_ARGUMENTS:
        found = around.unknown(words[:1], f"has more than {_MOST_ARGUMENTS} words: nobody can review it")
    else:
        found = judge(words, around)
    return Understanding((*_surroundings(environment), *found))


def _surroundings(environment: Iterable[str]) -> list[Leaf]:
    added = sorted(name for name in environment if not harmless(name))
    bad = [name for name in added if dangerous(name)]
    if bad:
        reason = f"the variable {', '.join(bad)} decides what programs load"
        return [Leaf((), "", CommandClass.UNKNOWN, reason, repeatable=False)]
    if added:
        # A program may write to a file that a variable names: SSLKEYLOGFILE of curl is one of many.
        reason = f"the variable {', '.join(added)} may decide what a program does"
        return [Leaf((), "", CommandClass.CHANGE, reason, repeatable=False)]
    return []
