"""``dd``: its operands are ``key=value``."""

from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Word
from appliance.safety.commands.places import written
from appliance.safety.commands.programs.shape import reads

_KEYS = frozenset(
    [
        "if",
        "bs",
        "ibs",
        "obs",
        "cbs",
        "count",
        "skip",
        "seek",
        "iseek",
        "oseek",
        "conv",
        "iflag",
        "oflag",
        "status",
    ]
)


def dd(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """Copies blocks; ``of=`` is written."""
    made = reads(name, "copies its input to its output")
    for word in words:
        key, equals, value = word.text.partition("=")
        if word.many or not equals or (key not in _KEYS and key != "of"):
            raise Problem(f"is given {word.shown}, which is not in the tables")
        if key == "of":
            kind, where = written(Word(value, word.known), around.folders)
            if kind is not CommandClass.READ:
                made = Judgement(kind, f"`{name}` writes {where}", False, (Word(value, word.known).shown,))
    return made
