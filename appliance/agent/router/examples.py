"""Sentences that people have confirmed: kept, listed, taken back."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent import sql
from appliance.agent.errors import ExampleRefused, ExampleUnknown
from appliance.agent.models import AgentExample
from appliance.agent.router.domain import Meaning
from appliance.agent.router.intents import own_intents
from appliance.agent.router.knowledge import as_example
from appliance.agent.router.tokens import LONGEST_TEXT
from appliance.safety.read_only import refuse_changes

MOST_PER_PERSON = 200


def confirm(text: str, meaning: Meaning, language: str, by: Principal, now: datetime) -> None:
    """``by`` says that this sentence means this. Of many the oldest goes.

    Raises NotAllowed (who may not do it teaches nobody to do it), ExampleRefused, ReadOnlyNow.
    """
    refuse_changes(by)
    by.require(Ability.RUN_TASKS, task=meaning.slots.get("task"))
    if all(one.id != meaning.intent for one in own_intents()):
        raise ExampleRefused(f"there is no intent {meaning.intent!r}")
    said = as_example(text)
    if not said or len(said) > LONGEST_TEXT:
        raise ExampleRefused("a sentence to remember has 1 to 300 characters")
    row: dict[str, Any] = {
        "text": said,
        "language": language[:10],
        "intent": meaning.intent,
        "slots": Jsonb(dict(meaning.slots)),
        "by": by.name,
        "at": now,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.KEEP_EXAMPLE, row)
        cursor.execute(sql.PRUNE_EXAMPLES, {"by": by.name, "most": MOST_PER_PERSON})


def examples(by: Principal) -> list[AgentExample]:
    """The newest first: all of them for who may edit tasks, else one's own. Raises NotAllowed."""
    by.require(Ability.VIEW)
    rows = AgentExample.objects.all()
    if not by.can(Ability.EDIT_TASKS):
        rows = rows.filter(by=by.name)
    return list(rows[:1000])


def remove(number: int, by: Principal) -> None:
    """Forget one: of one's own, or any for who may edit tasks. Raises NotAllowed, ExampleUnknown, ReadOnlyNow."""
    refuse_changes(by)
    by.require(Ability.RUN_TASKS)
    with connection.cursor() as cursor:
        cursor.execute(sql.REMOVE_EXAMPLE, {"id": number, "by": by.name, "any": by.can(Ability.EDIT_TASKS)})
        if cursor.fetchone() is None:
            raise ExampleUnknown(f"there is no example {number} of yours", hint="see router examples list")
