"""Platforms that notifications and chat triggers name. An unknown one is a warning: it may be set up after the task."""

from collections.abc import Collection, Iterator

from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.issues import suggestion
from appliance.lib.located.problems import Path
from appliance.lib.said import say
from appliance.tasks.definition import Issue, TaskDefinition
from appliance.tasks.definition.places import placed_steps


def platform_warnings(definition: TaskDefinition, raw: JsonValue, known: Collection[str]) -> Iterator[Issue]:
    """One for each platform of a notification or a chat trigger that is not ``known``; ``raw`` is what was read."""
    setup = say("set it up on the page Platforms, or with manage.py platforms load")
    for place, trigger in enumerate(definition.triggers):
        for name in trigger.chat.platform if trigger.chat else ():
            if name not in known:
                many = isinstance(raw, dict) and "triggers" in raw
                head: Path = ("triggers", place) if many else ("trigger",)
                said = say("there is no platform `%(platform)s` yet", platform=name)
                yield Issue((*head, "chat", "platform"), said, hint=suggestion(name, known) or setup)
    for path, step in placed_steps(definition, raw):
        platform = getattr(step.params, "platform", None)
        if step.type != "notification" or not isinstance(platform, str) or platform in known:
            continue
        said = say("there is no platform `%(platform)s` yet", platform=platform)
        yield Issue((*path, "platform"), said, hint=suggestion(platform, known) or setup)
