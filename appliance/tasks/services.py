"""Use cases of tasks: apply a file, switch a task on and off, and keep its triggers' rows in step."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import NotAllowed, Principal
from appliance.audit.services import AuditEntry, append
from appliance.bridges.services import platform_names
from appliance.bus.brokers.services import known_prefixes
from appliance.events import TaskChanged
from appliance.events.services import record
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.safety.read_only import refuse_changes
from appliance.safety.secrets import list_secrets
from appliance.tasks import others, periodic, sql
from appliance.tasks.addresses import taken_by
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.loader import LoadedTask, Problem, load_text
from appliance.tasks.models import Hold, Question, QuestionState, Task, TaskTrigger, TaskVersion
from appliance.tasks.schedule import next_due
from appliance.tasks.secret_names import secrets_of

TIME_KINDS = frozenset({"cron", "every", "at"})


class TaskNotFound(MillwrightError):
    code = "tasks.not_found"


class Change(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    name: str
    version: int
    change: Change
    warnings: tuple[Problem, ...] = ()


def find(name: str) -> Task:
    """The task of that name. Raises TaskNotFound with the nearest names."""
    try:
        return Task.objects.select_related("current").get(name=name)
    except Task.DoesNotExist:
        known = ", ".join(Task.objects.values_list("name", flat=True)[:10]) or say("none yet")
        raise TaskNotFound(
            say("there is no task %(task)r", task=name), hint=say("tasks here: %(names)s", names=known)
        ) from None


def definition_of(version: TaskVersion) -> TaskDefinition:
    return TaskDefinition.from_canonical(version.definition)


def apply_text(
    text: str, filename: str, by: Principal, now: datetime, *, only: str | None = None
) -> list[Applied]:
    """Validate a file and store what is new in it as immutable versions, all or nothing.

    ``only`` refuses a file that renames the task being edited. Raises TaskFileError with every problem found,
    NotAllowed (who may edit some tasks only brings no other, none that may do more than they, and names no secret
    that was not granted), and ReadOnlyNow.
    """
    refuse_changes(by)
    with transaction.atomic():
        others.one_file_at_a_time()
        loaded = load_here(text, filename, by)
        if only is not None and [item.definition.name for item in loaded] != [only]:
            said = say("this page edits the task %(only)r: keep its name, and one task per page", only=only)
            raise MillwrightError(said)
        for item in loaded:
            by.require(Ability.EDIT_TASKS, task=item.definition.name)
            for secret in sorted(secrets_needed(item.definition)):
                by.require(Ability.USE_SECRETS, secret=secret)
        # All rows first and by name: whoever changes one of them waits here, before the audit's head is held.
        names = [item.definition.name for item in loaded]
        list(Task.objects.select_for_update().filter(name__in=names).order_by("name").values_list("pk"))
        return [_apply(item, filename, by, now) for item in sorted(loaded, key=lambda i: i.definition.name)]


def secrets_needed(definition: TaskDefinition) -> frozenset[str]:
    """The secrets that whoever brings this task has to be allowed to use."""
    return frozenset(secrets_of(definition) | _callers_secrets(definition))


def _callers_secrets(definition: TaskDefinition) -> frozenset[str]:
    """What its webhooks let their callers prove, but for the names made for each webhook, and those that the task has
    already: who may name another could have the callers of that one answered by this task."""
    hooks = [trigger.webhook for trigger in definition.triggers if trigger.webhook is not None]
    named = {hook.secret_name for hook in hooks if hook.secret_name != f"webhook-{hook.name}"}
    if not named:
        return frozenset()
    stored = Task.objects.select_related("current").filter(name=definition.name).first()
    own = taken_by(stored.current.definition) if stored is not None and stored.current is not None else []
    return frozenset(named) - {secret for _, secret in own}


def load_here(text: str, filename: str, by: Principal) -> list[LoadedTask]:
    """The tasks of a file as this box would take them: against its other tasks, its brokers and its platforms.

    ``by`` reads of no secret that they may not use.
    Raises TaskFileError; changes nothing.
    """
    return load_text(
        text,
        filename,
        known_calls=others.calls(),
        known_brokers=known_prefixes(),
        known_links=others.links(),
        known_platforms=platform_names(),
        known_addresses=others.addresses(),
        known_secrets={one.name: by.can(Ability.USE_SECRETS, secret=one.name) for one in list_secrets()},
    )


def _apply(item: LoadedTask, filename: str, by: Principal, now: datetime) -> Applied:
    definition = item.definition
    task, created = Task.objects.select_for_update().get_or_create(
        name=definition.name, defaults={"source": filename[:500], "enabled": definition.enabled}
    )
    current = task.current
    if current is not None and current.digest == item.digest:
        return Applied(task.name, current.number, Change.UNCHANGED, item.warnings)
    _no_more_than(by, definition)
    number = (current.number if current else 0) + 1
    version = TaskVersion.objects.create(
        task=task,
        number=number,
        digest=item.digest,
        text=item.text,
        definition=item.canonical,
        created_by=by.name,
    )
    task.current, task.source = version, filename[:500]
    task.save(update_fields=["current", "source"])
    _sync_triggers(task, definition, now)
    change = Change.CREATED if created else Change.UPDATED
    _announce(task, change.value, by, {"version": number, "digest": item.digest, "file": filename})
    return Applied(task.name, number, change, item.warnings)


def _no_more_than(by: Principal, definition: TaskDefinition) -> None:
    """Whoever writes what a task does gives its runs no more than they may do themselves. Raises NotAllowed."""
    wanted, own = definition.principal, by.role_on(task=definition.name)
    if wanted is not None and not own.covers(wanted):
        raise NotAllowed(
            f"{by.name} is {own} on {definition.name}, and that is not enough to write a task with "
            f"principal: {wanted}",
            hint=f"write principal: {own} or less, or have it applied by somebody who is {wanted}",
        )


def set_enabled(name: str, enabled: bool, by: Principal, now: datetime) -> None:
    """Switch a task on or off. A task switched on again does not make up for the time it was off.

    Raises NotAllowed, TaskNotFound, ReadOnlyNow.
    """
    refuse_changes(by)
    by.require(Ability.EDIT_TASKS, task=name)
    with transaction.atomic():
        task = Task.objects.select_for_update(of=("self",)).select_related("current").get(pk=find(name).pk)
        if task.enabled == enabled:
            return
        task.enabled, task.held = enabled, task.held and not enabled
        task.save(update_fields=["enabled", "held"])
        if task.current is not None:
            if enabled:
                TaskTrigger.objects.filter(task=task).update(last_due=now)
            _sync_triggers(task, definition_of(task.current), now)
        _announce(task, "enabled" if enabled else "disabled", by, {})


def hold(name: str, by: Principal, now: datetime) -> None:
    """Switch a task off, and let no parent, person or program start it until a person switches it on again.

    Raises NotAllowed, TaskNotFound, ReadOnlyNow.
    """
    with transaction.atomic():
        set_enabled(name, False, by, now)
        Task.objects.filter(name=name).update(held=True)


def _sync_triggers(task: Task, definition: TaskDefinition, now: datetime) -> None:
    """One row per trigger of the current version; a trigger that stayed keeps its clock and counters."""
    wanted = {trigger.id: trigger for trigger in definition.triggers}
    TaskTrigger.objects.filter(task=task).exclude(trigger__in=wanted).delete()
    asked = Question.objects.filter(task=task, state=QuestionState.OPEN.value).exclude(trigger__in=wanted)
    asked.update(state=QuestionState.EXPIRED.value)
    gone = Hold.objects.filter(task=task)
    (gone.exclude(trigger__in=wanted) if task.enabled else gone).delete()
    for trigger in definition.triggers:
        row, created = TaskTrigger.objects.get_or_create(
            task=task, trigger=trigger.id, defaults={"kind": trigger.kind, "spec": trigger.canonical()}
        )
        changed = created or row.spec != trigger.canonical()
        fresh = changed or row.last_due is None
        if changed:
            Hold.objects.filter(task=task, trigger=trigger.id).delete()
        row.kind, row.spec, row.active = trigger.kind, trigger.canonical(), task.enabled
        if trigger.kind in TIME_KINDS:
            # A changed schedule has missed nothing yet.
            row.last_due = now if fresh or row.last_due is None else row.last_due
            row.next_due = next_due(trigger, row.last_due) if task.enabled else None
        row.save()
    periodic.sync(task, definition)
    with connection.cursor() as cursor:
        cursor.execute(sql.BUMP_REVISION)


def _announce(task: Task, change: str, by: Principal, detail: JsonObject) -> None:
    with connection.cursor() as cursor:
        record(cursor, TaskChanged(task=task.name, change=change, principal=by.name))
        append(cursor, [AuditEntry(f"task.{change}", by.name, task.name, detail)])
