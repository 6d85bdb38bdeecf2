"""Tasks and runs in a chat: what there is, how the last ones went, and ending one."""

from typing import Protocol
from uuid import UUID

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.lib.errors import MillwrightError
from appliance.runs.domain import FINAL
from appliance.runs.models import Run
from appliance.runs.services import cancel
from appliance.tasks.models import Task

SHOWN = 10
SHORT = 8
"""The last characters of a run's number: enough to tell those of one day apart."""


class Speaker(Protocol):
    """Who gives a command in a chat: a person, or a program with a token of theirs."""

    @property
    def principal(self) -> Principal: ...

    def can_somewhere(self, ability: Ability) -> bool: ...


class RunUnclear(MillwrightError):
    code = "chat.run_unclear"


def tasks(person: Speaker) -> str:
    """Those that the person may see, switched-off ones said so."""
    rows = Task.objects.order_by("name").values_list("name", "enabled")[:200]
    seen = [(name, on) for name, on in rows if person.principal.can(Ability.VIEW, task=name)]
    if not seen:
        return gettext("There are no tasks yet.")
    lines = [name if on else gettext("%(task)s (switched off)") % {"task": name} for name, on in seen[:50]]
    more = len(seen) - 50
    return "\n".join(lines + ([gettext("and %(count)d more") % {"count": more}] if more > 0 else []))


def runs(argument: str, person: Speaker) -> str:
    """The last runs, newest first; of one task where it is named."""
    wanted = argument.strip()
    rows = Run.whole.order_by("-id")
    if wanted:
        rows = rows.filter(task_id__in=Task.objects.filter(name=wanted).values("pk"))
    names = dict(Task.objects.values_list("pk", "name"))
    lines: list[str] = []
    for run in rows[: SHOWN * 5]:
        name = names.get(run.task_id, "")
        if person.principal.can(Ability.VIEW, task=name) and len(lines) < SHOWN:
            lines.append(f"{str(run.pk)[-SHORT:]} {name} {run.state}")
    return "\n".join(lines) or gettext("There are no such runs.")


def cancel_one(argument: str, person: Speaker) -> str:
    """``cancel 1f2e3d4c``: the end of a run's number, or all of it."""
    run = _found(argument.strip())
    cancel(run.pk, person.principal)
    return gettext("Run %(run)s is being ended.") % {"run": str(run.pk)[-SHORT:]}


def _found(given: str) -> Run:
    """The one run that is meant. Raises RunUnclear."""
    try:
        whole = Run.objects.filter(pk=UUID(given)).first()
    except ValueError:
        whole = None
    if whole is not None:
        return whole
    if len(given) < SHORT or not all(character in "0123456789abcdef-" for character in given.lower()):
        raise RunUnclear(gettext("Write cancel and the eight characters of a run; runs shows them."))
    open_ones = Run.whole.exclude(state__in=[state.value for state in FINAL]).order_by("-id")[:1000]
    found = [run for run in open_ones if str(run.pk).endswith(given.lower())]
    if len(found) != 1:
        raise RunUnclear(gettext("No single open run ends with %(given)s.") % {"given": given[:40]})
    return found[0]
