"""What can be said about a shell command from its text alone: its default ``ok_exit`` and its effect class.

Both answers are one-sided: whatever is not certain is ``unsafe`` and succeeds on 0 only.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from appliance.actions.shell_words import Command, UnreadableError, Word, read_commands

EffectName = Literal["pure", "unsafe"]

ANSWERING = frozenset({"grep", "egrep", "fgrep", "diff", "cmp", "test", "["})
"""Commands whose exit status 1 is an answer, not a failure."""

_PLAIN_READER_NAMES = """
[ : arch basename cat cmp cut df diff dirname du echo egrep false fgrep fold free grep head id ls md5sum nl
nproc printf ps pwd readlink realpath rev seq sha1sum sha256sum sleep stat tac tail test tr true uname uptime
wc whoami
"""
_PLAIN_READERS = frozenset(_PLAIN_READER_NAMES.split())
_SORT_OPTION = re.compile(
    r"-[bdfghiMnRrVcCmsuz]+|-k[\d.,bdfgiMhnRrV]*|-t.?|--(?:reverse|unique|numeric-sort|human-numeric-sort"
    r"|version-sort|ignore-case|stable|key=[\d.,bdfgiMhnRrV]+|field-separator=.)"
)
_UNIQ_OPTION = re.compile(r"-[cdDuiz]+|-[fsw]\d+|--(?:count|repeated|unique|ignore-case)")
_DATE_WORD = re.compile(
    r"\+.*|-[uR]|--utc|--universal|--rfc-email|-I\w*|--iso-8601(?:=\w+)?|--(?:date|reference)=.*", re.DOTALL
)


def default_ok_exit(script: str) -> tuple[int, ...]:
    """``(0, 1)`` where the last command of the pipeline is grep, diff, cmp or test, else ``(0,)``.

    Behind ``&&`` only when every command before it in that chain answers with 1 too: otherwise a 1 could be
    somebody's failure.
    """
    try:
        commands = read_commands(script)
    except UnreadableError:
        return (0,)
    if not commands or commands[-1].name not in ANSWERING:
        return (0,)
    chain = _and_chain(commands[:-1])
    return (0, 1) if all(c.name in ANSWERING or c.name == "cd" for c in chain) else (0,)


def _and_chain(before: Sequence[Command]) -> list[Command]:
    """The commands joined by ``&&`` to what follows ``before``: a failure of one is the whole's status."""
    chain: list[Command] = []
    for command in reversed(before):
        if command.then in (";", "||"):
            break
        if command.then == "&&":
            chain.append(command)
    return chain


def classify_shell(script: str) -> EffectName:
    """``pure`` for a pipeline or list of well-known read-only commands, else ``unsafe``.

    ``{{ … }}`` and ``$1`` are words of unknown content. Refused are: redirections to anything but
    ``/dev/null`` or another stream, substitutions, assignments, groups, background, and flags that write
    (``sort -o``, ``date -s``, ``uniq in out``).
    """
    try:
        commands = read_commands(script)
    except UnreadableError:
        return "unsafe"
    return "pure" if commands and all(_is_read(command) for command in commands) else "unsafe"


def _is_read(command: Command) -> bool:
    if command.words_before or command.writes_files or any(word.expands for word in command.words):
        return False
    if any(word.text.startswith("/dev/") and word.text != "/dev/null" for word in command.arguments):
        return False  # reading a device may take data away from somebody else
    if command.name in _PLAIN_READERS:
        return True
    only_reads = _CAREFUL.get(command.name)
    if only_reads is None or any(word.unknown for word in command.arguments):
        return False
    return only_reads(command.arguments)


def _sort_reads(arguments: Sequence[Word]) -> bool:
    return all(not w.text.startswith("-") or _SORT_OPTION.fullmatch(w.text) for w in arguments)


def _uniq_reads(arguments: Sequence[Word]) -> bool:
    operands = [w for w in arguments if not _UNIQ_OPTION.fullmatch(w.text)]
    return len(operands) <= 1 and not any(w.text.startswith(("-", "+")) for w in operands)


def _date_reads(arguments: Sequence[Word]) -> bool:
    words = iter(arguments)
    for word in words:
        if word.text in ("-d", "-r"):
            next(words, None)
        elif not _DATE_WORD.fullmatch(word.text):
            return False
    return True


_CAREFUL: dict[str, Callable[[Sequence[Word]], bool]] = {
    "sort": _sort_reads,
    "uniq": _uniq_reads,
    "date": _date_reads,
}
