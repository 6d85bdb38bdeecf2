"""``sed``: its scripts can run programs (``e``) and write files (``w``), so every command in one is read."""

import re
from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem, read_arguments
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Word, strictest
from appliance.safety.commands.places import written
from appliance.safety.commands.programs.shape import reads
from appliance.safety.commands.schema import Option, Schema

_FLAGS = "-n -E -r -s -u -z --quiet --silent --regexp-extended --separate --unbuffered --null-data --posix --sandbox"
_OPTIONS = Schema(
    options={
        **{name: Option("") for name in _FLAGS.split()},
        **{name: Option("=") for name in ("-e", "--expression", "-l", "--line-length")},
        **{name: Option("?") for name in ("-i", "--in-place")},
        "--version": Option(""),
    }
)
_PLAIN = re.compile(r"[pdDPgGhHxnN=]|[qQl] *\d*(?=[;}\s]|$)|[bt](?: *\w+)?(?=[;}\s]|$)|: *\w+(?=[;\s]|$)")
_NUMBER = re.compile(r"\d+(?:~\d+)?|\$|[+~]\d+")
_AFTER_S = re.compile(r"[gpIiMm0-9]*")


def sed(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """Reads; ``-i`` writes the files. A script that does more than edit lines is not understood."""
    found = read_arguments(_OPTIONS, words)
    scripts = [value for option, _, value in found.options if option in ("-e", "--expression")]
    operands = found.operands
    if not scripts:
        if not operands:
            raise Problem("is given no script")
        scripts, operands = [operands[0]], operands[1:]
    for script in scripts:
        if script is None or not script.known:
            raise Problem("is given a script that is only known when it runs")
        _Script(script.text).check()
    if not any(option in ("-i", "--in-place") for option, _, _ in found.options):
        return reads(name, "prints edited lines")
    if any(
        value and "/" in value.text for option, _, value in found.options if option in ("-i", "--in-place")
    ):
        raise Problem("keeps its copies in another folder")
    places = [written(word, around.folders) for word in operands]
    kind = strictest([CommandClass.CHANGE, *(kind for kind, _ in places)])
    where = next((where for one, where in places if one is kind), "files")
    return Judgement(kind, f"`{name} -i` changes {where}", False, tuple(word.shown for word in operands))


class _Script:
    """Reads a script of addresses and editing commands. Raises Problem at the first thing that is more."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def check(self) -> None:
        while self._skip(" \t;\n{}"):
            self._address()
            if self._skip(" \t,") and self.text[self.at - 1] == ",":
                self._address()
            self._skip(" \t!")
            if self.text[self.at : self.at + 1] == "{":
                continue
            self._command()

    def _skip(self, chars: str) -> bool:
        while self.at < len(self.text) and self.text[self.at] in chars:
            self.at += 1
        return self.at < len(self.text)

    def _address(self) -> None:
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
        elif self.text[self.at : self.at + 1] == "/":
            self.at += 1
            self._until("/")
            while self.text[self.at : self.at + 1] in ("I", "M"):
                self.at += 1

    def _until(self, mark: str) -> None:
        """Past the next unescaped ``mark``. Brackets around one are read differently by different seds."""
        start = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\n":
                break
            if char == mark:
                inside = self.text[start : self.at]
                if inside.count("[") != inside.count("]") or "[]" in inside or "[^]" in inside:
                    raise Problem("is given a script with a mark between brackets")
                self.at += 1
                return
            self.at += 2 if char == "\\" else 1
        raise Problem("is given a script that is not followed")

    def _command(self) -> None:
        char = self.text[self.at : self.at + 1]
        if char in ("s", "y"):
            mark = self.text[self.at + 1 : self.at + 2]
            if not mark or mark in "\\\n" or mark.isalnum() or mark.isspace():
                raise Problem("is given a script that is not followed")
            self.at += 2
            self._until(mark)
            self._until(mark)
            if char == "s":
                flags = _AFTER_S.match(self.text, self.at)
                self.at = flags.end() if flags else self.at
        elif char in ("a", "i", "c") and char:
            self._text()
        else:
            plain = _PLAIN.match(self.text, self.at)
            if plain is None:
                raise Problem("is given a script that may run a program or write a file")
            self.at = plain.end()
        if self.at < len(self.text) and self.text[self.at] not in " \t;\n}":
            raise Problem("is given a script that may run a program or write a file")

    def _text(self) -> None:
        """The rest of the line is text."""
        end = self.text.find("\n", self.at)
        line = self.text[self.at : len(self.text) if end < 0 else end]
        if "\\" in line:
            raise Problem("is given a script with a text that goes on")
        self.at += len(line)
