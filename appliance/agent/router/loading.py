"""What there is on this box, read from its tables."""

from django.db import connection

from appliance.agent import sql
from appliance.agent.models import AgentExample
from appliance.agent.router.domain import Meaning
from appliance.agent.router.knowledge import Confirmed, KnownTask, World
from appliance.bridges.services import platform_names
from appliance.bus.models import TopicValue
from appliance.devices.services import list_devices
from appliance.inference.models import ServedModel
from appliance.tasks.models import Task

MOST_TASKS = 2000
MOST_DEVICES = 5000
MOST_TOPICS = 5000
MOST_EXAMPLES = 2000


def revision() -> tuple[object, ...]:
    """Another one whenever a router knows too little or too much."""
    with connection.cursor() as cursor:
        cursor.execute(sql.REVISION)
        return tuple(cursor.fetchone() or ())


def load() -> World:
    """Read it all. Bounded: beyond these numbers names are found by exact commands only."""
    now = revision()
    tasks = Task.objects.filter(enabled=True, current__isnull=False).order_by("name")
    rows = tasks.values_list("name", "current__definition")[:MOST_TASKS]
    topics = TopicValue.objects.order_by("-at").values_list("topic", flat=True)[:MOST_TOPICS]
    examples = AgentExample.objects.order_by("-id")[:MOST_EXAMPLES]
    return World(
        tasks=tuple(_task(name, definition) for name, definition in rows),
        devices=tuple(list_devices().values_list("name", flat=True)[:MOST_DEVICES]),
        topics=frozenset(topics),
        platforms=tuple(sorted(platform_names())),
        models=tuple(ServedModel.objects.filter(enabled=True).values_list("name", flat=True)),
        confirmed=tuple(Confirmed(one.text, Meaning(one.intent, one.slots), one.by) for one in examples),
        revision=now,
    )


def _task(name: str, definition: dict[str, object]) -> KnownTask:
    """From the stored form: a whole definition is read a hundred times as slowly, and not needed."""
    variables = definition.get("vars")
    found = variables if isinstance(variables, dict) else {}
    numbers = tuple(
        key for key, value in found.items() if isinstance(value, int | float) and not isinstance(value, bool)
    )
    return KnownTask(name, str(definition.get("description") or ""), _phrases(definition), numbers)


def _phrases(definition: dict[str, object]) -> tuple[str, ...]:
    """The sentences of its chat triggers, where it has such."""
    triggers = definition.get("triggers")
    found: list[str] = []
    for trigger in triggers if isinstance(triggers, list) else []:
        chat = trigger.get("chat") if isinstance(trigger, dict) else None
        if isinstance(chat, str):
            found.append(chat)
        elif isinstance(chat, dict):
            patterns = chat.get("patterns") or [chat.get("pattern")]
            found += [one for one in patterns if isinstance(one, str)]
    return tuple(found)
