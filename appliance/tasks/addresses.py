"""Addresses of webhooks: a name with a secret is one trigger's, so that a call starts just what its caller means."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import Path
from appliance.lib.located.yaml_reader import Document
from appliance.lib.said import say
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.triggers import WebhookSpec

Address = tuple[str, str]
"""A webhook's name, and the name of its secret: with a secret of its own a trigger has callers of its own."""


def taken_by(canonical: Mapping[str, Any]) -> list[Address]:
    """Those of a stored definition, without compiling it."""
    triggers = canonical.get("triggers")
    return [
        _address(WebhookSpec.model_construct(**trigger["webhook"]))
        for trigger in (triggers if isinstance(triggers, list) else [])
        if isinstance(trigger, dict) and isinstance(trigger.get("webhook"), dict)
    ]


def shared(
    found: Sequence[tuple[Path, TaskDefinition]], document: Document, known: Mapping[Address, str]
) -> Iterator[tuple[Path, Issue]]:
    """Each trigger whose address is taken; ``known``: whose each is, of the tasks that are stored."""
    here = {definition.name for _, definition in found}
    owners = {address: task for address, task in known.items() if task not in here}
    for path, definition in found:
        for place, trigger in enumerate(definition.triggers):
            if trigger.webhook is None:
                continue
            address = _address(trigger.webhook)
            if address not in owners:
                owners[address] = definition.name
                continue
            owner, (name, secret) = owners[address], address
            if owner == definition.name:
                said = say(
                    "/hooks/%(name)s with the secret `%(secret)s` is the address of another trigger here already",
                    name=name,
                    secret=secret,
                )
            else:
                said = say(
                    "/hooks/%(name)s with the secret `%(secret)s` is the address of the task `%(task)s` already",
                    name=name,
                    secret=secret,
                    task=owner,
                )
            hint = say(
                "name it otherwise, or give it a secret of its own, whose callers then start this one alone"
            )
            expected = say("one trigger each")
            yield path, Issue(_place_of(document, path, place), said, expected=expected, hint=hint)


def _address(webhook: WebhookSpec) -> Address:
    return webhook.name, webhook.secret_name


def _place_of(document: Document, path: Path, place: int) -> Path:
    """Where a trigger's address stands in the file, as closely as its form lets it be told."""
    above: Path = ("triggers", place) if (*path, "triggers") in document.values else ("trigger",)
    for way in (("webhook", "name"), ("webhook",)):
        if (*path, *above, *way) in document.values:
            return (*above, *way)
    return above
