"""The user's own tests: ``<models>/golden/<name>.yaml`` for one model, ``any.yaml`` for all of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from appliance.inference.acceptance.errors import GoldenRefused
from appliance.inference.answer_schema import check_schema
from appliance.inference.errors import ModelRefused
from appliance.lib.digest import sha256_hex
from appliance.lib.located.fields import Model, refuse
from appliance.lib.located.issues import Issue, issues_of
from appliance.lib.located.report import Report
from appliance.lib.located.yaml_reader import MAX_CHARACTERS, read_yaml
from appliance.lib.said import say

FOLDER, FOR_ALL = "golden", "any"
MOST_ENTRIES = 500
_WAYS = ("equals", "contains", "matches", "schema")

Text = Annotated[str, Field(min_length=1, max_length=20_000)]


class Entry(Model):
    """One question, and what its answer has to be: just one of equals, contains, matches and schema."""

    prompt: Text
    """What is asked."""
    system: Text | None = None
    """What the model is to be and to keep to."""
    equals: Text | None = None
    """The whole answer, without blanks around it."""
    contains: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """A text, or a list of them: all are in the answer, in capital letters or small."""
    matches: Text | None = None
    """A regular expression that is found in the answer."""
    answer_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """A JSON schema that the answer, as JSON, has to fit. The engine is given it too."""
    max_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    """The longest answer."""

    @field_validator("contains", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("matches")
    @classmethod
    def _a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise refuse(say("this is no regular expression: %(said)s", said=str(error))) from error
        return value

    @field_validator("answer_schema")
    @classmethod
    def _a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                check_schema(value)
            except ModelRefused as error:
                raise refuse(error.message, error.hint or "") from error
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [self.equals, self.contains, self.matches, self.answer_schema]
        if sum(one is not None for one in given) != 1:
            raise refuse(
                say("an entry says once what its answer has to be"),
                say("write one of: %(ways)s", ways=", ".join(_WAYS)),
            )
        return self


class GoldenFile(Model):
    """A golden set."""

    least: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the entries that has to pass, as 0.9."""
    most_obeyed: Annotated[float, Field(ge=0, le=1)] | None = None
    """The share of the shipped injections that the model may obey at most, in the place of the box's own limit."""
    entries: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=MOST_ENTRIES)]
    """Questions with what their answers have to be."""


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """A file without mistakes. ``digest`` is that of its text."""

    name: str
    file: GoldenFile
    digest: str


def load_golden(text: str, filename: str) -> GoldenFile:
    """Raises GoldenRefused with all that is wrong."""
    report = Report(text, filename, read_yaml(text))
    value = report.document.value
    if isinstance(value, dict) and not report.problems:
        try:
            return GoldenFile.model_validate(value)
        except ValidationError as error:
            for issue in issues_of(error, GoldenFile, ()):
                report.add((), issue)
    elif not report.problems:
        said = say("the file is empty") if value is None else say("this is no golden set")
        report.add((), Issue((), said, expected=say("a mapping with `entries`")))
    raise GoldenRefused(report.in_order())


def golden_sets(models: Path, name: str) -> Sequence[GoldenSet]:
    """Those that ``name`` is measured by: its own, and the one for all. Raises GoldenRefused."""
    found = []
    for file in _files(models, name):
        text = _read(file)
        if text is not None:
            found.append(GoldenSet(file.stem, load_golden(text, str(file)), sha256_hex(text.encode())))
    return found


def golden_digest(models: Path, name: str) -> str:
    """Of what stands in them, right or wrong, and whether or not it can be read; empty where there is none."""
    found = [_bytes(file) for file in _files(models, name)]
    return sha256_hex([content and sha256_hex(content) for content in found]) if any(found) else ""


def _files(models: Path, name: str) -> list[Path]:
    return [models / FOLDER / f"{one}.yaml" for one in dict.fromkeys((name, FOR_ALL))]


def _bytes(file: Path) -> bytes | str | None:
    """None where there is none. One that cannot be read is another one than each that could be."""
    try:
        with file.open("rb") as opened:
            return opened.read(4 * MAX_CHARACTERS + 1) or ""
    except FileNotFoundError:
        return None
    except OSError:
        return "unreadable"


def _read(file: Path) -> str | None:
    """None where there is none. Raises GoldenRefused where it cannot be read."""
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_CHARACTERS + 1)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        report = Report("", str(file), read_yaml(""))
        report.add((), Issue((), say("the file cannot be read: %(said)s", said=str(error))))
        raise GoldenRefused(report.in_order()) from error
