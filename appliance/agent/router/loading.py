"""What there is on this box, read from its tables."""

from dataclasses import dataclass
from functools import lru_cache

from django.db import connection

from appliance.agent import sql
from appliance.agent.models import AgentExample
from appliance.agent.router.domain import Meaning
from appliance.agent.router.knowledge import Confirmed, KnownTask, World
from appliance.bridges.services import platform_names
from appliance.bus.models import TopicValue
from appliance.devices.services import list_devices
from appliance.inference.domain import EngineKind, Work
from appliance.inference.models import ServedModel, WorkChain
from appliance.inference.overview import repository
from appliance.lib.errors import MillwrightError
from appliance.tasks.models import Task

MOST_TASKS = 2000
MOST_DEVICES = 5000
MOST_TOPICS = 5000
MOST_EXAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Offered:
    """Which models may help: ``encoder`` by name and digest, ``models`` the matrix' row for classification."""

    encoder: tuple[str, str] | None = None
    models: tuple[str, ...] = ()
    has_models: bool = False
    """Whether one that writes text is served at all."""


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


def offered() -> Offered:
    """What is served. The matrix names the encoder, else it is the first by name that runs on this box."""
    works = (Work.CLASSIFICATION.value, Work.EMBEDDINGS.value)
    rows = WorkChain.objects.filter(work__in=works).values_list("work", "models_in_order")
    chains = {work: [str(name) for name in names] for work, names in rows}
    served = ServedModel.objects.filter(enabled=True).order_by("name")
    models = {name: rest for name, *rest in served.values_list("name", "version", "digest", "engine")}
    vectors = {name for name, (version, digest, _) in models.items() if _gives_vectors(name, version, digest)}
    own = [name for name in models if name in vectors and models[name][2] != EngineKind.REMOTE]
    first = next((name for name in chains.get(works[1], own) or own if name in vectors), None)
    return Offered(
        encoder=(first, models[first][1]) if first is not None else None,
        models=tuple(chains.get(works[0], ())),
        has_models=len(vectors) < len(models),
    )


def _gives_vectors(name: str, version: str, digest: str) -> bool:
    """A version whose files cannot be read now is for nothing."""
    try:
        return _manifest_gives_vectors(name, version, digest)
    except (MillwrightError, OSError):
        return False


@lru_cache(maxsize=256)
def _manifest_gives_vectors(name: str, version: str, digest: str) -> bool:
    """A manifest never changes once it is written; another one under this name has another digest."""
    return repository().read(name, version).manifest.embeddings


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
