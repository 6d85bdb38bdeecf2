"""Buttons under the box's answers. Each means a command that can be written as well, and the text says so."""

from collections.abc import Sequence
from typing import Protocol

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.bridges.messages import Button
from appliance.runs.naming import SHORT

MOST = 10
"""Of one answer. A platform with less room takes the first ones."""


class Speaker(Protocol):
    """Who gives a command in a chat: a person, or a program with a token of theirs."""

    @property
    def principal(self) -> Principal: ...

    def can_somewhere(self, ability: Ability) -> bool: ...


def run(tasks: Sequence[str], person: Speaker) -> tuple[Button, ...]:
    """One for each of these tasks that the person may start."""
    may = [task for task in tasks if person.principal.can(Ability.RUN_TASKS, task=task)]
    return tuple(Button(gettext("Run %(task)s") % {"task": task}, f"run {task}") for task in may[:MOST])


def cancel(run_ids: Sequence[str]) -> tuple[Button, ...]:
    """One for each of these runs, which whoever asks may end."""
    label = gettext("Cancel %(run)s")
    return tuple(Button(label % {"run": one[-SHORT:]}, f"cancel {one}") for one in run_ids[:MOST])


def cancel_for(run_id: str, task: str, person: Speaker) -> tuple[Button, ...]:
    """The one of a run that has just begun, where the person may end it."""
    return cancel([run_id]) if person.principal.can(Ability.CANCEL_RUNS, task=task) else ()


def looks() -> tuple[Button, ...]:
    """What people look at most."""
    labels = (("status", gettext("Status")), ("tasks", gettext("Tasks")), ("runs", gettext("Runs")))
    return tuple(Button(label, word) for word, label in labels)
