"""``awk`` is a language: only programs that print fields are taken, all others are not understood."""

import re
from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem, read_arguments
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import Judgement, Word
from appliance.safety.commands.programs.shape import reads
from appliance.safety.commands.schema import Option, Schema

_ATOM = r'(?:\$NF|\$\d+|NR|NF|\d+|"[^"\\]*")'
_TEST = rf"(?:/[\w .:@%=,^-]*\$?/|{_ATOM} *(?:==|!=|<=|>=|<|>) *{_ATOM}|NR|\$\d+ *~ */[\w .:@%=,^-]*\$?/)"
_PRINT = rf"print(?: *{_ATOM}(?:[ ,]* *{_ATOM})*)?"
_PROGRAM = re.compile(rf"\s*(?:{_TEST}(?: *(?:&&|\|\|) *{_TEST})*)? *(?:\{{ *{_PRINT} *;? *\}})?\s*")
_SUM = re.compile(r"\s*\{ *[a-z]+ *\+= *\$\d+ *;? *\} *END *\{ *print +[a-z]+(?: */ *NR)? *;? *\}\s*")
_OPTIONS = Schema(options={"-F": Option("="), "--version": Option("")}, permute=False)


def awk(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """``awk [-F SEPARATOR] '{print $1}' [FILE…]``."""
    found = read_arguments(_OPTIONS, words)
    if not found.operands:
        return reads(name, "says its version") if found.options else _refuse()
    program = found.operands[0]
    if not program.known or not (_PROGRAM.fullmatch(program.text) or _SUM.fullmatch(program.text)):
        return _refuse()
    return reads(name, "prints parts of lines")


def _refuse() -> Judgement:
    raise Problem("is given a program that does more than print fields")
