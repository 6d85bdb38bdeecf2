"""A sentence of a task never hides one of the box's words; found when the task is saved.

A stored version is not looked at again: a word that the box learns later comes first by itself.
"""

from collections.abc import Iterator

from appliance.bridges.commands import word_at
from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import Path, part_at
from appliance.lib.said import say
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.phrases import Phrase


def phrase_issues(definition: TaskDefinition, raw: JsonValue) -> Iterator[Issue]:
    """Each pattern that the box would take for a word of its own, ``stop`` above all; ``raw`` is what was read."""
    for place, trigger in enumerate(definition.triggers):
        if trigger.chat is None:
            continue
        for index, (pattern, phrase) in enumerate(
            zip(trigger.chat.sentences, trigger.chat.phrases, strict=True)
        ):
            word = _hidden(phrase)
            if word:
                yield _issue(_place(raw, place, index), pattern, word, phrase.beginnings[0][0])


def _hidden(phrase: Phrase) -> str:
    return next((word for one in phrase.beginnings if (word := word_at(*one))), "")


def _issue(path: Path, pattern: str, word: str, beginning: str) -> Issue:
    if not beginning:
        return Issue(
            path,
            say("`%(pattern)s` begins with what anybody may say, and that may be `stop`", pattern=pattern),
            hint=say("begin it with a word of its own"),
        )
    return Issue(
        path,
        say(
            "`%(pattern)s` could be taken for `%(word)s`, a word that the box understands itself",
            pattern=pattern,
            word=word,
        ),
        hint=say("begin it with a word of its own"),
    )


def _place(raw: JsonValue, place: int, index: int) -> Path:
    """As closely as the trigger's form lets it be told."""
    head: Path = ("triggers", place) if isinstance(raw, dict) and "triggers" in raw else ("trigger",)
    for way in (("chat", "patterns", index), ("chat", "pattern"), ("chat",)):
        if part_at(raw, (*head, *way)) is not None:
            return (*head, *way)
    return head
