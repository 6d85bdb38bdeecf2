"""The assistant that ships: an ordinary task, applied from a file that people may change."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.lib.jsontypes import JsonObject
from appliance.tasks.models import Task
from appliance.tasks.services import TaskNotFound, apply_text, set_enabled

NAME = "assistant"
FILE = Path(__file__).with_name("assistant.yaml")
SOURCE = "millwright/assistant.yaml"
"""Where the task says it comes from, as long as nobody else has saved it since."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """``changed``: people have saved a version of their own. ``current``: what runs is what ships."""

    present: bool
    enabled: bool = False
    changed: bool = False
    current: bool = False
    text: str = ""

    def to_json(self) -> JsonObject:
        return {
            "task": NAME,
            "present": self.present,
            "enabled": self.enabled,
            "changed": self.changed,
            "current": self.current,
        }


def status(by: Principal) -> Assistant:
    """Raises NotAllowed."""
    by.require(Ability.VIEW, task=NAME)
    task = Task.objects.select_related("current").filter(name=NAME).first()
    if task is None or task.current is None:
        return Assistant(False)
    text = task.current.text
    ours = task.source == SOURCE
    return Assistant(True, task.enabled, not ours, ours and text.strip() == shipped().strip(), text)


def shipped() -> str:
    """The file that ships, as the task's text is kept: without what stands above it."""
    return FILE.read_text()


def switch_on(by: Principal, now: datetime, *, replace: bool = False) -> Assistant:
    """Apply what ships, and switch it on. A version of people's own is only switched on, unless they say ``replace``.

    Raises NotAllowed, TaskFileError, ReadOnlyNow.
    """
    by.require(Ability.EDIT_TASKS, task=NAME)
    if replace or not status(by).changed:
        apply_text(shipped(), SOURCE, by, now)
    set_enabled(NAME, True, by, now)
    return status(by)


def switch_off(by: Principal, now: datetime) -> Assistant:
    """Nobody takes any more what nothing else understood. Raises NotAllowed, TaskNotFound, ReadOnlyNow."""
    by.require(Ability.EDIT_TASKS, task=NAME)
    try:
        set_enabled(NAME, False, by, now)
    except TaskNotFound as error:
        raise TaskNotFound("there is no assistant yet, so there is nothing to switch off") from error
    return status(by)
