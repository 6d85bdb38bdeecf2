"""Commands that read an argument as a program of their own: quoting does not help a value there."""

import re

from appliance.expressions.errors import ExpressionError
from appliance.expressions.shell_quotes import SUGGESTION
from appliance.expressions.shell_words import Command, Word
from appliance.lib.said import say

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox"})
_READS_AGAIN = frozenset({"eval", "alias", "shift", "getopts"})
"""They read text as commands again, or move the positional parameters: nowhere in a command with values."""

_EVALUATOR_NAMES = """
. [[ at batch declare export let local mapfile parallel read readarray readonly rsh runuser source ssh su trap
typeset unset watch
"""
_NOT_BESIDE_A_VALUE = frozenset(_EVALUATOR_NAMES.split())
"""They run, or evaluate, what they are given. ``export`` does so with a name, not with what it is set to."""

_PREFIX_NAMES = """
builtin chroot command docker doas env exec find ionice kubectl nice nohup podman setsid stdbuf sudo time
timeout unshare xargs
"""
_PREFIXES = frozenset(_PREFIX_NAMES.split())
"""They run another command, named somewhere in their arguments."""

_PROGRAM_FIRST = {
    "awk": frozenset({"-v", "-F"}),
    "gawk": frozenset({"-v", "-F"}),
    "mawk": frozenset({"-v", "-F"}),
    "sed": frozenset({"-l"}),
    "gsed": frozenset({"-l"}),
    "jq": frozenset({"--indent"}),
}
"""The first operand is a program; the options named here take a value of their own."""

_PROGRAM_OPTION = re.compile(
    r"(?:python[\d.]*|perl|ruby|node|nodejs|php|lua|tclsh|expect|psql|mysql|mariadb|osascript)"
)
_CODE = re.compile(r"-[A-Za-z]*[ceErp]|--(?:eval|command|execute|expression|print)=?")


def check_commands(commands: list[Command]) -> None:
    """Refuse a script in which a value could be read as code. Called only for scripts with values."""
    for command in commands:
        _check_name(command)
        for name, words in _names(command):
            _check_program(command, name, words)


def _names(command: Command) -> list[tuple[str, list[Word]]]:
    """The program, and, behind a prefix such as sudo, everything that may be the program it runs."""
    found = [(command.name, command.words)]
    if command.name in _PREFIXES:
        words = command.words
        # "find ." has a dot that is no command.
        found += [
            (word.text.rpartition("/")[2], words[index:])
            for index, word in enumerate(words)
            if index and word.text != "."
        ]
    return found


def _check_name(command: Command) -> None:
    if command.words and command.words[0].holds_value:
        raise _refused(say("a value cannot be the command that runs"), command.words[0])


def _check_program(command: Command, name: str, words: list[Word]) -> None:
    texts = [word.text for word in words[1:]]
    if name in _READS_AGAIN or (name == "set" and not _only_options(texts)):
        moves, again = say("moves $1, $2, …"), say("reads text as commands again")
        what = moves if name in ("set", "shift", "getopts") else again
        raise _refused(
            say("%(name)s %(what)s: it cannot stand in a command with values", name=name, what=what), words[0]
        )
    if name in _SHELLS and any(re.fullmatch(r"-[a-z]*c[a-z]*", text) for text in texts):
        raise _refused(
            say(
                "%(name)s -c reads text as commands again: it cannot stand in a command with values",
                name=name,
            ),
            words[0],
        )
    if not any(word.holds_value for word in words):
        return
    if name in _NOT_BESIDE_A_VALUE and any(w.holds_value and not w.assigns for w in words):
        raise _refused(say("%(name)s evaluates what it is given", name=name), words[0])
    program = _program_word(name, words[1:])
    if program is not None and program.holds_value:
        raise _refused(say("%(name)s reads this argument as a program", name=name), program)


def _only_options(texts: list[str]) -> bool:
    """``set -eu`` and ``set -o pipefail`` change options; ``set -- a b`` changes $1."""
    rest = [text for before, text in zip(["", *texts], texts, strict=False) if before not in ("-o", "+o")]
    return bool(texts) and all(re.fullmatch(r"[-+][A-Za-z]+", text) for text in rest)


def _program_word(name: str, words: list[Word]) -> Word | None:
    """The argument that the command reads as a program: with a value in it, if there is one such."""
    if name in _PROGRAM_FIRST:
        return _first_program(words, _PROGRAM_FIRST[name])
    if _PROGRAM_OPTION.fullmatch(name):
        for before, word in zip([Word(), *words], words, strict=False):
            if word.holds_value and (_CODE.fullmatch(before.text) or _CODE.match(word.text)):
                return word
    return None


def _first_program(words: list[Word], takes_value: frozenset[str]) -> Word | None:
    given, skip = False, 0
    for before, word in zip([Word(), *words], words, strict=False):
        if before.text in ("-e", "--expression") or word.text.startswith("--expression="):
            given = True
            if word.holds_value:
                return word
        elif skip or before.text in ("-f", "--file", "--from-file"):
            skip = max(0, skip - 1)
        elif word.text in ("--arg", "--argjson", "--slurpfile", "--rawfile"):
            skip = 2
        elif word.text in takes_value:
            skip = 1
        elif word.text in ("-f", "--file", "--from-file"):
            given = True
        elif (not word.text.startswith("-") and not given) or (
            word.text.startswith("-e") and word.holds_value
        ):
            return word
    return None


def _refused(message: str, word: Word) -> ExpressionError:
    return ExpressionError(message, word.at, hint=SUGGESTION)
