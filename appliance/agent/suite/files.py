"""The machine of a stand: a few files, and the programs that only read them. Nothing of it is ever executed. Pure."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    exit: int = 0
    out: str = ""
    err: str = ""


def look(script: str, files: Mapping[str, str]) -> Said:
    """What a line of ``cat``, ``head``, ``tail``, ``grep``, ``wc`` and ``ls`` gives, with pipes between them."""
    try:
        words = shlex.split(script)
    except ValueError as error:
        return Said(2, err=f"sh: {error}\n")
    said = Said()
    for number, part in enumerate(_parts(words)):
        if not part or part[0].rpartition("/")[2] not in _PROGRAMS:
            return Said(127, err=f"sh: {part[0] if part else script}: not found\n")
        program = _PROGRAMS[part[0].rpartition("/")[2]]
        said = program(part[1:], files, said.out if number else None)
    return said


def _parts(words: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            parts.append([])
        elif not word.startswith("2>"):
            parts[-1].append(word)
    return parts


def _split(words: Sequence[str], with_value: str = "") -> tuple[dict[str, str], list[str]]:
    """Options by their letter, and what is none."""
    options: dict[str, str] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
        elif word[1:].isdigit():
            options["n"] = word[1:]
        elif word[1] in with_value:
            options[word[1]] = word[2:] or (left.pop(0) if left else "")
        else:
            options |= dict.fromkeys(word.lstrip("-"), "")
    return options, rest


def _given(names: Sequence[str], files: Mapping[str, str], piped: str | None) -> tuple[str, str]:
    """What stands in the files, or came by the pipe, and what is wrong."""
    if not names:
        return piped or "", ""
    missing = [name for name in names if name not in files]
    return "".join(files.get(name, "") for name in names), "".join(
        f"{name}: No such file or directory\n" for name in missing
    )


def _cat(words: Sequence[str], files: Mapping[str, str], piped: str | None) -> Said:
    text, wrong = _given(_split(words)[1], files, piped)
    return Said(int(bool(wrong)), text, wrong)


def _end(words: Sequence[str], files: Mapping[str, str], piped: str | None, *, head: bool) -> Said:
    options, names = _split(words, "nc")
    text, wrong = _given(names, files, piped)
    count = options.get("n", "10").lstrip("+-")
    lines, most = text.splitlines(keepends=True), int(count) if count.isdigit() else 10
    kept = lines[:most] if head else lines[-most:] if most else []
    return Said(int(bool(wrong)), "".join(kept), wrong)


def _grep(words: Sequence[str], files: Mapping[str, str], piped: str | None) -> Said:
    options, rest = _split(words, "emABC")
    pattern = options.get("e") or (rest.pop(0) if rest else "")
    text, wrong = _given(rest, files, piped)
    try:
        seek = re.compile(pattern.replace("\\|", "|"), re.IGNORECASE if "i" in options else 0)
    except re.error as error:
        return Said(2, err=f"grep: {error}\n")
    found = [
        f"{number}:{line}" if "n" in options else line
        for number, line in enumerate(text.splitlines(), 1)
        if bool(seek.search(line)) is not ("v" in options)
    ]
    out = f"{len(found)}\n" if "c" in options else "".join(f"{line}\n" for line in found)
    return Said(2 if wrong else int(not found), out, wrong)


def _wc(words: Sequence[str], files: Mapping[str, str], piped: str | None) -> Said:
    text, wrong = _given(_split(words)[1], files, piped)
    return Said(int(bool(wrong)), f"{len(text.splitlines())}\n", wrong)


def _ls(words: Sequence[str], files: Mapping[str, str], piped: str | None) -> Said:
    folders = [f"{name.rstrip('/')}/" for name in _split(words)[1] or ["/"]]
    found = sorted({name for name in files for folder in folders if name.startswith(folder)})
    return Said(
        0 if found else 2, "".join(f"{name}\n" for name in found), "" if found else "ls: nothing there\n"
    )


_PROGRAMS: dict[str, Callable[[Sequence[str], Mapping[str, str], str | None], Said]] = {
    "cat": _cat,
    "head": lambda words, files, piped: _end(words, files, piped, head=True),
    "tail": lambda words, files, piped: _end(words, files, piped, head=False),
    "grep": _grep,
    "wc": _wc,
    "ls": _ls,
}
