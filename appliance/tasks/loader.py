"""From the text of a task file to definitions, or to every problem in it, each with its place.

A file holds one task (a mapping), a list of tasks, or ``tasks:`` with such a list.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from appliance.lib.config import get_config
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.issues import Issue, suggestion
from appliance.lib.located.problems import Path, Problem, part_at
from appliance.lib.located.report import Report
from appliance.lib.located.yaml_reader import Document, read_yaml
from appliance.tasks.broker_names import broker_issues
from appliance.tasks.calls import circles
from appliance.tasks.chains import Links, links_of, starts
from appliance.tasks.definition import TaskDefinition, define
from appliance.tasks.definition.placing import placed_steps
from appliance.tasks.errors import TaskFileError
from appliance.tasks.pieces import piece_of
from appliance.tasks.secret_names import secret_issues

__all__ = ["LoadedTask", "Problem", "TaskFileError", "load_text"]

MOST_TASKS = 500
MOST_EXPRESSIONS = 10_000
MOST_EXPRESSION_TEXT = 128 * 1024
_OPENED = re.compile(r"\{[{%]")
_CLOSED = re.compile(r"[}%]\}")
_SHOWN_CIRCLES = 20


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A valid task of a file. ``text`` is its own part of the file, ``digest`` that of ``canonical``."""

    definition: TaskDefinition
    text: str
    digest: str
    canonical: JsonObject


def load_text(
    text: str,
    filename: str,
    *,
    known_calls: Mapping[str, Collection[str]] | None = None,
    known_brokers: Mapping[str, str] | None = None,
    known_links: Mapping[str, Links] | None = None,
    known_secrets: Collection[str] | None = None,
) -> list[LoadedTask]:
    """The tasks of a file, in order. Raises TaskFileError with all problems found; nothing is changed.

    ``known_calls`` says which tasks exist beside this file and whom each of them calls; with it, calls of
    tasks that do not exist are problems, and circles are found across files. ``known_brokers`` says which
    brokers are connected beside the box's own, each with its prefix. ``known_links``: what those tasks surely
    start, by calling or by ending. ``known_secrets``: the names of the stored secrets.
    """
    reading = _Reading(text, filename, read_yaml(text))
    reading.read()
    if not reading.report.problems:
        reading.check_calls(known_calls)
        if known_brokers is not None:
            reading.check_brokers(known_brokers)
        reading.check_secrets(known_secrets)
        reading.check_rounds(known_calls, known_links or {})
    if reading.report.problems:
        raise TaskFileError(reading.report.in_order())
    return [reading.loaded(path, definition) for path, definition in reading.found]


class _Reading:
    def __init__(self, text: str, filename: str, document: Document) -> None:
        self.text = text
        self.document = document
        self.report = Report(text, filename, document)
        self.found: list[tuple[Path, TaskDefinition]] = []

    def read(self) -> None:
        if (self.document.value is None and self.report.problems) or not self._affordable():
            return
        names: dict[str, Path] = {}
        for path, value in self._tasks():
            if self.report.full:
                return
            definition, issues = define(value)
            for issue in issues:
                self.report.add(path, issue)
            name = value.get("name") if isinstance(value, dict) else None
            if isinstance(name, str) and name in names:
                self.report.add(path, Issue(("name",), f"a second task `{name}` in this file"))
            elif isinstance(name, str):
                names[name] = path
            if definition is not None:
                self.found.append((path, definition))

    def _affordable(self) -> bool:
        """Compiling expressions is what costs; a bomb is refused before the first of them."""
        count, total, at = 0, 0, 0
        while (opened := _OPENED.search(self.text, at)) is not None:
            closed = _CLOSED.search(self.text, opened.end())
            at = closed.end() if closed else len(self.text)
            count, total = count + 1, total + at - opened.start()
            if count > MOST_EXPRESSIONS or total > MOST_EXPRESSION_TEXT:
                said = "too many or too long expressions in one file"
                limit = f"at most {MOST_EXPRESSIONS}, {MOST_EXPRESSION_TEXT // 1024} KiB together"
                self.report.add_at(opened.start(), said, limit, "split the file")
                return False
        return True

    def _tasks(self) -> Iterator[tuple[Path, JsonValue]]:
        path: Path = ()
        value = self.document.value
        if isinstance(value, dict) and "tasks" in value:
            for key in value.keys() - {"tasks"}:
                self.report.add((), Issue((key,), f"unknown key `{key}` beside `tasks`", at_key=True))
            value, path = value["tasks"], ("tasks",)
        if isinstance(value, dict) and not path:
            yield path, value
        elif not isinstance(value, list) or not value:
            said = "the file is empty" if value is None and not path else "this does not fit"
            self.report.add(path, Issue((), said, expected="a task, or a list of tasks"))
        elif len(value) > MOST_TASKS:
            self.report.add(
                path, Issue((), f"{len(value)} tasks in one file", expected=f"at most {MOST_TASKS}")
            )
        else:
            for index, item in enumerate(value):
                yield (*path, index), item

    def check_calls(self, known_calls: Mapping[str, Collection[str]] | None) -> None:
        """Calls of tasks that do not exist, and circles of calls."""
        calls = {**(known_calls or {}), **{found.name: found.called_tasks for _, found in self.found}}
        ways = dict(islice(circles(calls), _SHOWN_CIRCLES))
        for path, definition in self.found:
            way = ways.get(definition.name, [])
            for step_path, called in _calls(definition, part_at(self.document.value, path)):
                if self.report.full:
                    return
                if known_calls is not None and called not in calls:
                    said, hint = f"there is no task `{called}`", suggestion(called, calls)
                    self.report.add(path, Issue(step_path, said, hint=hint))
                elif way and called == way[1]:
                    round_ = " -> ".join(way if len(way) < 9 else [*way[:4], "…", *way[-3:]])
                    self.report.add(
                        path, Issue(step_path, f"the task `{definition.name}` calls itself: {round_}")
                    )

    def check_brokers(self, known: Mapping[str, str]) -> None:
        """Brokers that do not exist, and topics that can never come from the one that is named."""
        for path, definition in self.found:
            raw = part_at(self.document.value, path)
            many = isinstance(raw, dict) and "triggers" in raw
            for issue in broker_issues(definition, known, get_config().home.id, many=many):
                self.report.add(path, issue)

    def check_secrets(self, known: Collection[str] | None) -> None:
        """Secrets that are not there, and those where no step takes one."""
        for path, definition in self.found:
            for issue in secret_issues(definition, part_at(self.document.value, path), known):
                self.report.add(path, issue)

    def check_rounds(
        self, known_calls: Mapping[str, Collection[str]] | None, known_links: Mapping[str, Links]
    ) -> None:
        """Triggers on tasks that do not exist, and rounds of tasks that would start each other for ever."""
        if self.report.problems:
            return
        known = {**(known_calls or {}), **{found.name: () for _, found in self.found}}
        started = starts({**known_links, **{found.name: links_of(found) for _, found in self.found}})
        ways = dict(islice(circles(started), _SHOWN_CIRCLES))
        for path, definition in self.found:
            way = ways.get(definition.name, [])
            for place, trigger in enumerate(definition.triggers):
                if trigger.task is None:
                    continue
                followed, at = trigger.task.name, _trigger_path(self.document, path, place)
                if known_calls is not None and followed not in known:
                    said, hint = f"there is no task `{followed}`", suggestion(followed, known)
                    self.report.add(path, Issue(at, said, hint=hint))
                elif way and way[-2] == followed and followed in links_of(definition).follows:
                    said = f"these tasks would start each other for ever: {' -> '.join(way)}"
                    self.report.add(
                        path, Issue(at, said, hint="a `when`, a condition or another end breaks the round")
                    )

    def loaded(self, path: Path, definition: TaskDefinition) -> LoadedTask:
        canonical = definition.to_canonical()
        return LoadedTask(
            definition, piece_of(self.text, self.document, path), sha256_hex(canonical), canonical
        )


def _trigger_path(document: Document, path: Path, place: int) -> Path:
    """Where a trigger stands in the file: under `triggers`, or as the one `trigger`."""
    return ("triggers", place) if (*path, "triggers") in document.values else ("trigger",)


def _calls(definition: TaskDefinition, raw: JsonValue) -> Iterator[tuple[Path, str]]:
    for path, step in placed_steps(definition, raw):
        called = getattr(step.params, "task", None)
        if step.type == "task" and isinstance(called, str):
            yield (*path, "task"), called
