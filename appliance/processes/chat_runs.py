"""Tasks and runs in a chat: what there is, how the last ones went, and ending one."""

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.bridges.ports import Answer
from appliance.lib.errors import MillwrightError
from appliance.processes import chat_buttons
from appliance.processes.chat_buttons import Speaker
from appliance.runs.domain import FINAL
from appliance.runs.models import Run
from appliance.runs.naming import SHORT, names_a_run, run_named
from appliance.runs.services import RunNotFound, cancel
from appliance.tasks.models import Task

SHOWN = 10


class RunUnclear(MillwrightError):
    code = "chat.run_unclear"


def tasks(person: Speaker) -> Answer:
    """Those that the person may see, switched-off ones said so."""
    rows = Task.objects.order_by("name").values_list("name", "enabled")[:200]
    seen = [(name, on) for name, on in rows if person.principal.can(Ability.VIEW, task=name)]
    if not seen:
        return Answer(gettext("There are no tasks yet."))
    lines = [name if on else gettext("%(task)s (switched off)") % {"task": name} for name, on in seen[:50]]
    more = len(seen) - 50
    text = "\n".join(lines + ([gettext("and %(count)d more") % {"count": more}] if more > 0 else []))
    return Answer(text, chat_buttons.run([name for name, on in seen if on], person))


def runs(argument: str, person: Speaker) -> Answer:
    """The last runs, newest first; of one task where it is named."""
    wanted = argument.strip()
    rows = Run.whole.order_by("-id")
    if wanted:
        rows = rows.filter(task_id__in=Task.objects.filter(name=wanted).values("pk"))
    names = dict(Task.objects.values_list("pk", "name"))
    lines: list[str] = []
    going: list[str] = []
    for run in rows[: SHOWN * 5]:
        name = names.get(run.task_id, "")
        if person.principal.can(Ability.VIEW, task=name) and len(lines) < SHOWN:
            lines.append(f"{str(run.pk)[-SHORT:]} {name} {gettext(run.state)}")
            if run.state not in FINAL and person.principal.can(Ability.CANCEL_RUNS, task=name):
                going.append(str(run.pk))
    text = "\n".join(lines) or gettext("There are no such runs.")
    return Answer(text, chat_buttons.cancel(going))


def cancel_one(argument: str, person: Speaker) -> str:
    """``cancel 1f2e3d4c``: the end of a run's number, or all of it."""
    given = argument.strip()
    if not names_a_run(given):
        raise RunUnclear(gettext("Write cancel and the eight characters of a run; runs shows them."))
    try:
        run_id = run_named(given, living=True)
        cancel(run_id, person.principal)
    except RunNotFound as error:
        raise RunUnclear(
            gettext("No single open run ends with %(given)s.") % {"given": given[:40]}
        ) from error
    return gettext("Run %(run)s is being ended.") % {"run": str(run_id)[-SHORT:]}
