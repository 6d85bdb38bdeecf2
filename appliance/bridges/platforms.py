"""Reading a platform configuration (``platforms.json``): typed entries, or every problem with its place."""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from appliance.bridges.errors import PlatformsInvalid, Problem
from appliance.bridges.ports import BridgeFactory, PlatformConfig
from appliance.bridges.registry import bridges
from appliance.bridges.words import in_words
from appliance.lib.said import say

LARGEST = 1_000_000
_LOCATED = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
Path = tuple[str | int, ...]
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class PlatformEntry:
    """One platform as its file says, checked."""

    name: str
    factory: BridgeFactory
    config: PlatformConfig


def parse_platforms(text: str, source: str = "") -> list[PlatformEntry]:
    """Every entry of the file's text. Raises PlatformsInvalid with all problems."""
    if len(text) > LARGEST:
        raise PlatformsInvalid([Problem("", say("larger than %(most)d characters", most=LARGEST))], source)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlatformsInvalid(
            [Problem("", say("not JSON: %(why)s", why=error.msg), error.lineno, error.colno)], source
        ) from error
    except RecursionError as error:
        raise PlatformsInvalid([Problem("", say("nested too deeply"))], source) from error
    reader = _Reader(text)
    entries = reader.file(data)
    if reader.problems:
        raise PlatformsInvalid(reader.problems, source)
    return entries


def parse_entry(data: Any) -> PlatformEntry:
    """One entry, from a form. Raises PlatformsInvalid."""
    reader = _Reader("")
    entry = reader.entry(data, ())
    if entry is None or reader.problems:
        raise PlatformsInvalid(reader.problems)
    return entry


class _Reader:
    """Collects entries and problems in one pass."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.problems: list[Problem] = []

    def file(self, data: Any) -> list[PlatformEntry]:
        if not isinstance(data, dict) or not isinstance(data.get("platforms"), list):
            self._add((), say('expected an object with a list "platforms"'))
            return []
        for key in data.keys() - {"platforms"}:
            self._add((key,), say("unknown key"), _suggest(key, ["platforms"]))
        found: list[PlatformEntry] = []
        for index, item in enumerate(data["platforms"]):
            entry = self.entry(item, ("platforms", index))
            if entry is None:
                continue
            if any(entry.name == other.name for other in found):
                self._add(
                    ("platforms", index, "name"), say("a second platform named %(name)r", name=entry.name)
                )
            found.append(entry)
        return found

    def entry(self, data: Any, path: Path) -> PlatformEntry | None:
        if not isinstance(data, dict):
            self._add(path, say("expected an object with the keys of one platform"))
            return None
        name = data.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._add((*path, "name"), say("expected a name of letters, digits, '_', '.' or '-', at most 64"))
            return None
        kind = data.get("kind") or name
        factory = bridges().get(kind) if isinstance(kind, str) else None
        if factory is None:
            known = list(bridges())
            hint = _suggest_or_list(str(kind), known)
            said = say("there is no platform %(kind)r", kind=str(kind)[:64])
            self._add((*path, "kind" if "kind" in data else "name"), said, hint)
            return None
        try:
            return PlatformEntry(name, factory, factory.config.model_validate(data))
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                self._refused(data, path, detail, factory)
            return None

    def _refused(self, data: Any, path: Path, detail: ErrorDetails, factory: BridgeFactory) -> None:
        loc = detail["loc"]
        inside = _in_file(data, loc, detail["type"] == "missing")
        if detail["type"] == "extra_forbidden":
            known = [key for key in factory.config.model_fields if key not in data]
            message: str = say("unknown key")
            hint = _suggest_or_list(str(loc[-1]), known)
        else:
            message, hint = in_words(detail)
        if not any(problem.path == _written((*path, *inside)) for problem in self.problems):
            self._add((*path, *inside), message, hint)

    def _add(self, path: Path, message: str, hint: str = "") -> None:
        line, column = _place(self._text, path)
        self.problems.append(Problem(_written(path), message, line, column, hint))


def _in_file(data: Any, loc: Sequence[str | int], missing: bool) -> Path:
    """A path of pydantic's without the branches of unions, which are not in the file."""
    inside: list[str | int] = []
    value = data
    for part in loc:
        found = _child(value, part)
        if found is not _ABSENT:
            inside.append(part)
            value = found
        elif missing and part == loc[-1]:
            inside.append(part)
    return tuple(inside)


def _child(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return _ABSENT


def _suggest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return say("did you mean %(near)r?", near=near[0]) if near else ""


def _suggest_or_list(word: str, known: Sequence[str]) -> str:
    return _suggest(word, known) or say("known: %(known)s", known=", ".join(known))


def _written(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _place(text: str, path: Path) -> tuple[int | None, int | None]:
    """Line and column of a path. JSON is YAML, and YAML's reader keeps the marks."""
    if not text or len(text) > _LOCATED:
        return None, None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None, None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
            if not pairs:
                break
            key, node = pairs[0]
            if part == path[-1]:
                node = key
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            break
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (None, None)
