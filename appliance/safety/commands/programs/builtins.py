"""The shell's own commands: what ``dash`` has, and those of bash that it does not have and that are never followed."""

import re
from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import Judgement, Word
from appliance.safety.commands.environment import dangerous, is_name
from appliance.safety.commands.programs.shape import Check, reads
from appliance.safety.commands.programs.signals import kill

_COUNT = re.compile(r"%[^A-Za-z%]*n")
"""Of the text that ``printf`` of bash fills: the number of characters so far is put into a variable."""


def _plain(says: str) -> Check:
    def check(name: str, words: Sequence[Word], around: Around) -> Judgement:
        return reads(name, says)

    return check


def _evaluates(says: str) -> Check:
    """Harmless in sh; bash takes a variable's name in some places and runs what stands between its brackets."""

    def check(name: str, words: Sequence[Word], around: Around) -> Judgement:
        if around.dialect == "bash":
            for word in words:
                if word.text.startswith(("-v", "-R")) or (not word.known and not word.text):
                    raise Problem("may set or read any variable in bash")
                if "[" in word.text and name != "printf":
                    raise Problem("may run what stands between brackets in bash")
            if name == "printf" and any(not word.known or _COUNT.search(word.text) for word in words[:1]):
                raise Problem("may set any variable in bash")
        return reads(name, says)

    return check


def _wait(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``-p`` of bash sets a variable, and with it runs what stands between its brackets."""
    if around.dialect == "bash" and any(word.may_be_option for word in words):
        raise Problem("may set any variable in bash")
    return reads(name, "waits")


def _read(name: str, words: Sequence[Word], around: Around) -> Judgement:
    names = [word for word in words if not (word.known and word.text == "-r")]
    for word in names:
        if not word.known or not is_name(word.text) or dangerous(word.text):
            raise Problem(f"sets {word.shown}, which is not followed")
    return reads(name, "takes a line of its input", repeatable=False)


def _set(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``set -eu``: with anything but options it would change the positional parameters."""
    for word in words:
        if (
            not word.known
            or not set(word.text[1:]) <= set("eufxv")
            or word.text[:1] not in "-+"
            or len(word.text) < 2
        ):
            raise Problem("changes the shell in a way that is not followed")
    return reads(name, "sets options of the shell")


def _cd(name: str, words: Sequence[Word], around: Around) -> Judgement:
    if len(words) != 1 or words[0].many or words[0].text.startswith("-"):
        raise Problem("goes where only running can tell")
    return reads(name, "changes the folder")


def _refused(why: str) -> Check:
    def check(name: str, words: Sequence[Word], around: Around) -> Judgement:
        raise Problem(why)

    return check


_RUNS = _refused("runs what only running can tell")
_LATER = _refused("changes how the shell reads what follows")

BUILTINS: dict[str, Check] = {
    "cd": _cd,
    "read": _read,
    "set": _set,
    "kill": kill,
    "test": _evaluates("answers a question"),
    "[": _evaluates("answers a question"),
    "printf": _evaluates("prints its words"),
    **dict.fromkeys((":", "true", "false"), _plain("does nothing")),
    "echo": _plain("prints its words"),
    "pwd": _plain("prints the folder"),
    **dict.fromkeys(("exit", "return", "break", "continue"), _plain("ends a part of the script")),
    "wait": _wait,
    "times": _plain("prints the time used"),
    "type": _plain("says what a name is"),
    "umask": _plain("sets the rights of new files"),
    "ulimit": _plain("sets limits of the shell"),
    **dict.fromkeys(("eval", ".", "source", "exec", "builtin", "coproc", "fc", "history", "fg", "bg"), _RUNS),
    **dict.fromkeys(
        (
            "alias", "unalias", "trap", "shift", "getopts", "hash", "export", "readonly", "local", "unset", "let",
            "declare", "typeset", "enable", "shopt", "mapfile", "readarray", "complete", "compgen", "bind",
            "caller", "dirs", "disown", "jobs", "logout", "popd", "pushd", "suspend", "chdir",
        ),
        _LATER,
    ),
}  # fmt: skip
