"""Platforms that notifications name. An unknown one is a warning: it may be set up after the task."""

from collections.abc import Collection, Iterator

from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.issues import suggestion
from appliance.lib.said import say
from appliance.tasks.definition import Issue, TaskDefinition
from appliance.tasks.definition.places import placed_steps


def platform_warnings(definition: TaskDefinition, raw: JsonValue, known: Collection[str]) -> Iterator[Issue]:
    """One for each notification to a platform that is not among ``known``; ``raw`` is what was read."""
    for path, step in placed_steps(definition, raw):
        platform = getattr(step.params, "platform", None)
        if step.type != "notification" or not isinstance(platform, str) or platform in known:
            continue
        setup = say("set it up on the page Platforms, or with manage.py platforms load")
        said = say("there is no platform `%(platform)s` yet", platform=platform)
        yield Issue((*path, "platform"), said, hint=suggestion(platform, known) or setup)
