"""``kill`` and its kin, where -1 is everybody, and ``service``."""

import re
from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem, read_arguments
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import Judgement, Word
from appliance.safety.commands.programs.shape import changes, destroys, reads
from appliance.safety.commands.schema import Option, Schema

_SIGNAL = re.compile(r"-(?:[A-Za-z]{2,12}\d*|\d{1,2})")


_SERVICE = re.compile(r"[A-Za-z0-9@_][A-Za-z0-9@_.-]*")
_ACTIONS = frozenset(["start", "stop", "restart", "reload", "force-reload", "try-restart", "condrestart"])


def service(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``service NAME ACTION``."""
    texts = [word.text for word in words if word.known]
    if len(words) > 1 and not _SERVICE.fullmatch(words[0].text):
        raise Problem("is given a name that may lead to any program")
    if texts == ["--status-all"] or (len(texts) == len(words) == 2 and texts[1] == "status"):
        return reads(name, "shows a service", repeatable=False)
    if len(texts) == len(words) == 2 and texts[1] in _ACTIONS:
        return changes(name, "changes a service")
    raise Problem("is asked for something that is not in the tables")


def kill_by_name(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``pkill [-SIGNAL] [OPTIONS] PATTERN`` and ``killall``."""
    rest = [
        word
        for word in words
        if not (word.known and _SIGNAL.fullmatch(word.text) and word.text not in _OPTIONS)
    ]
    found = read_arguments(_BY_NAME, rest)
    if any(option in ("-u", "-U") for option, _, _ in found.options):
        return destroys(name, "ends everything of a person")
    if not found.operands:
        raise Problem("is given no name")
    return changes(name, "sends a signal to processes by name")


_OPTIONS = frozenset({"-ef", "-xf", "-fx", "-of", "-nf"})
_BY_NAME = Schema(
    options={
        **{f"-{letter}": Option("") for letter in "efiqvwxno"},
        **{name: Option("=") for name in ("-u", "-U", "-s", "-g", "-P", "-t", "--signal")},
    }
)


def kill(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``kill [-SIGNAL] PID…``."""
    rest = list(words)
    if rest and rest[0].text in ("-l", "-L") and rest[0].known:
        return reads(name, "lists signals")
    if rest and rest[0].text == "-s":
        rest = rest[2:]
    elif rest and rest[0].known and _SIGNAL.fullmatch(rest[0].text):
        rest = rest[1:]
    rest = [word for word in rest if not (word.known and word.text == "--")]
    if any(word.known and word.text in ("-1", "0", "1") for word in rest):
        return destroys(name, "ends every process that it may end")
    if not rest or any(not word.known or not word.text.lstrip("-").isdecimal() for word in rest):
        raise Problem("ends a process that is only known when it runs")
    return changes(name, "sends a signal to a process")
