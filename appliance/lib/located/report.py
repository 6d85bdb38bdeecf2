"""Collects what is wrong with one file; each problem gets its line and column."""

from collections.abc import Sequence
from textwrap import shorten

from appliance.lib.located.issues import Issue
from appliance.lib.located.positions import locate
from appliance.lib.located.problems import MOST_PROBLEMS, Path, Problem, path_text
from appliance.lib.located.yaml_reader import Document

_LONGEST_MESSAGE = 600


class Report:
    """The problems of one file. Begins with the faults of the YAML itself."""

    def __init__(self, text: str, filename: str, document: Document) -> None:
        self._text = text
        self._filename = filename
        self.document = document
        self.problems: list[Problem] = []
        for fault in document.faults:
            place = (filename, fault.line + 1, fault.column + 1, path_text(fault.path))
            self.problems.append(Problem(*place, fault.message, hint=fault.hint))

    @property
    def full(self) -> bool:
        return len(self.problems) >= MOST_PROBLEMS

    def add(self, prefix: Path, issue: Issue) -> None:
        """``issue`` is about a part of what stands at ``prefix``."""
        path = (*prefix, *issue.path)
        line, column = locate(self._text, self.document, path, at_key=issue.at_key, offset=issue.offset)
        message, hint = (_bounded(said) for said in (issue.message, issue.hint))
        self.problems.append(
            Problem(self._filename, line, column, path_text(path), message, issue.expected, hint)
        )

    def add_at(self, offset: int, message: str, expected: str, hint: str) -> None:
        """Something about the text as a whole, at a character of it."""
        line = self._text.count("\n", 0, offset) + 1
        column = offset - self._text.rfind("\n", 0, offset)
        self.problems.append(Problem(self._filename, line, column, "", message, expected, hint))

    def in_order(self) -> Sequence[Problem]:
        """By their place in the file."""
        return sorted(self.problems, key=lambda one: (one.line, one.column))[:MOST_PROBLEMS]


def _bounded(said: str) -> str:
    """What fits stays as it was made: a sentence that can be said in another language."""
    return said if len(said) <= _LONGEST_MESSAGE else shorten(said, _LONGEST_MESSAGE, placeholder=" …")
