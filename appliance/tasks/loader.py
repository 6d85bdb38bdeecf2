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
from appliance.lib.said import say
from appliance.tasks.addresses import Address, shared
from appliance.tasks.broker_names import broker_issues
from appliance.tasks.calls import circles
from appliance.tasks.chains import Links, links_of, starts
from appliance.tasks.charted import chart_issues
from appliance.tasks.definition import TaskDefinition, define
from appliance.tasks.definition.places import placed_steps
from appliance.tasks.errors import TaskFileError
from appliance.tasks.phrase_words import phrase_issues
from appliance.tasks.pieces import piece_of
from appliance.tasks.platform_names import platform_warnings
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
    warnings: tuple[Problem, ...] = ()
    """What is probably not meant, and keeps nobody from saving it."""


def load_text(
    text: str,
    filename: str,
    *,
    known_calls: Mapping[str, Collection[str]] | None = None,
    known_brokers: Mapping[str, str] | None = None,
    known_links: Mapping[str, Links] | None = None,
    known_platforms: Collection[str] | None = None,
    known_addresses: Mapping[Address, str] | None = None,
    known_secrets: Mapping[str, bool] | None = None,
) -> list[LoadedTask]:
    """The tasks of a file, in order. Raises TaskFileError with all problems found; nothing is changed.

    ``known_calls`` says which tasks exist beside this file and whom each of them calls; with it, calls of
    tasks that do not exist are problems, and circles are found across files. ``known_brokers`` says which
    brokers are connected beside the box's own, each with its prefix. ``known_links``: what those tasks surely
    start, by calling or by ending. ``known_platforms`` are those that a message can go to; another one is a
    warning of its task. ``known_addresses``: whose each webhook is. ``known_secrets``: each stored secret,
    and whether its name may be suggested.
    """
    reading = _Reading(text, filename, read_yaml(text))
    reading.read()
    if not reading.report.problems:
        reading.check_calls(known_calls)
        if known_brokers is not None:
            reading.check_brokers(known_brokers)
        reading.check_charts()
        reading.check_secrets(known_secrets)
        reading.check_phrases()
        reading.check_rounds(known_calls, known_links or {})
        for path, issue in shared(reading.found, reading.document, known_addresses or {}):
            reading.report.add(path, issue)
    if reading.report.problems:
        raise TaskFileError(reading.report.in_order())
    return [reading.loaded(path, definition, known_platforms) for path, definition in reading.found]


class _Reading:
    def __init__(self, text: str, filename: str, document: Document) -> None:
        self.text = text
        self.filename = filename
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
                self.report.add(
                    path, Issue(("name",), say("a second task `%(name)s` in this file", name=name))
                )
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
                said = say("too many or too long expressions in one file")
                limit = say(
                    "at most %(most_expressions)s, %(kib)s KiB together",
                    most_expressions=MOST_EXPRESSIONS,
                    kib=MOST_EXPRESSION_TEXT // 1024,
                )
                self.report.add_at(opened.start(), said, limit, say("split the file"))
                return False
        return True

    def _tasks(self) -> Iterator[tuple[Path, JsonValue]]:
        path: Path = ()
        value = self.document.value
        if isinstance(value, dict) and "tasks" in value:
            for key in value.keys() - {"tasks"}:
                self.report.add(
                    (), Issue((key,), say("unknown key `%(key)s` beside `tasks`", key=key), at_key=True)
                )
            value, path = value["tasks"], ("tasks",)
        if isinstance(value, dict) and not path:
            yield path, value
        elif not isinstance(value, list) or not value:
            said = say("the file is empty") if value is None and not path else say("this does not fit")
            self.report.add(path, Issue((), said, expected=say("a task, or a list of tasks")))
        elif len(value) > MOST_TASKS:
            self.report.add(
                path,
                Issue(
                    (),
                    say("%(count)s tasks in one file", count=len(value)),
                    expected=say("at most %(number)s", number=MOST_TASKS),
                ),
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
                    said, hint = (
                        say("there is no task `%(called)s`", called=called),
                        suggestion(called, calls),
                    )
                    self.report.add(path, Issue(step_path, said, hint=hint))
                elif way and called == way[1]:
                    round_ = " -> ".join(way if len(way) < 9 else [*way[:4], "…", *way[-3:]])
                    self.report.add(
                        path,
                        Issue(
                            step_path,
                            say(
                                "the task `%(name)s` calls itself: %(round)s",
                                name=definition.name,
                                round=round_,
                            ),
                        ),
                    )

    def check_brokers(self, known: Mapping[str, str]) -> None:
        """Brokers that do not exist, and topics that can never come from the one that is named."""
        for path, definition in self.found:
            raw = part_at(self.document.value, path)
            for issue in broker_issues(definition, raw, known, get_config().home.id):
                self.report.add(path, issue)

    def check_charts(self) -> None:
        """Charts of a topic that nothing tells."""
        for path, definition in self.found:
            for issue in chart_issues(definition, part_at(self.document.value, path)):
                self.report.add(path, issue)

    def check_secrets(self, known: Mapping[str, bool] | None) -> None:
        """Secrets that are not there, and those where no step takes one."""
        for path, definition in self.found:
            for issue in secret_issues(definition, part_at(self.document.value, path), known):
                self.report.add(path, issue)

    def check_phrases(self) -> None:
        """Sentences for the chat that the box would take for its own words."""
        for path, definition in self.found:
            for issue in phrase_issues(definition, part_at(self.document.value, path)):
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
                    said, hint = (
                        say("there is no task `%(called)s`", called=followed),
                        suggestion(followed, known),
                    )
                    self.report.add(path, Issue(at, said, hint=hint))
                elif way and way[-2] == followed and followed in links_of(definition).follows:
                    said = say("these tasks would start each other for ever: %(way)s", way=" -> ".join(way))
                    self.report.add(
                        path,
                        Issue(at, said, hint=say("a `when`, a condition or another end breaks the round")),
                    )

    def loaded(
        self, path: Path, definition: TaskDefinition, known_platforms: Collection[str] | None
    ) -> LoadedTask:
        canonical, piece = definition.to_canonical(), piece_of(self.text, self.document, path)
        warned = Report(self.text, self.filename, self.document)
        if known_platforms is not None:
            for issue in platform_warnings(definition, part_at(self.document.value, path), known_platforms):
                warned.add(path, issue)
        return LoadedTask(definition, piece, sha256_hex(canonical), canonical, tuple(warned.in_order()))


def _trigger_path(document: Document, path: Path, place: int) -> Path:
    """Where a trigger stands in the file: under `triggers`, or as the one `trigger`."""
    return ("triggers", place) if (*path, "triggers") in document.values else ("trigger",)


def _calls(definition: TaskDefinition, raw: JsonValue) -> Iterator[tuple[Path, str]]:
    for path, step in placed_steps(definition, raw):
        called = getattr(step.params, "task", None)
        if step.type == "task" and isinstance(called, str):
            yield (*path, "task"), called
