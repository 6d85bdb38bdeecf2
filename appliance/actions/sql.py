"""``sql``: ask or change a PostgreSQL database of one's own. Values are bound, never part of the text."""

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from appliance.actions.contract import ActionKind, EffectClass, Params, StepContext, StepResult
from appliance.actions.secret_places import Places
from appliance.actions.sql_plain import only_looks
from appliance.actions.sql_rows import Caps
from appliance.actions.sql_session import Statement, change, opened, read, translated, whereabouts
from appliance.expressions.fields import TemplateField
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.safety.references import NAME, PREFIX
from appliance.safety.secrets import resolve_async

_PLACE = re.compile(r"%(?:%|\((\w+)\)s|(.?))", re.DOTALL)


class Question(Params):
    """A statement for a database of one's own, and its values."""

    database: Annotated[str, Field(pattern=rf"^{NAME}$")]
    """The name of the secret that holds its address: ``postgresql://user:password@host/name``."""
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    """One statement. ``%(name)s`` stands for a value of ``params``; with ``params``, a percent sign is ``%%``."""
    params: dict[str, TemplateField] = {}
    """The values."""

    @field_validator("query")
    @classmethod
    def _no_template(cls, value: str) -> str:
        if "{{" in value or "{%" in value:
            raise ValueError(
                say("values never enter the text of a query: write %(name)s, and name: under params")
            )
        return value

    @model_validator(mode="after")
    def _every_value_has_its_place(self) -> "Question":
        if not self.params:
            return self
        wanted: set[str] = set()
        for found in _PLACE.finditer(self.query):
            if found[1]:
                wanted.add(found[1])
            elif found[0] != "%%":
                raise ValueError(
                    say("%(found)r in the query: with params, a percent sign is written %%%%", found=found[0])
                )
        for name in sorted(wanted ^ self.params.keys()):
            where = say("the query") if name in self.params else "params"
            raise ValueError(say("`%(name)s` is not in %(where)s", name=name, where=where))
        return self


def effect_of_query(query: str) -> EffectClass:
    """What a statement that may change no table is: more than a look, unless it is known to be one."""
    return EffectClass.PURE if only_looks(query) else EffectClass.UNSAFE


class SqlParams(Question):
    write: bool = False
    """Whether it may change anything. Without it, the server refuses every change."""
    max_rows: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """More rows than that are an error."""
    max_kib: Annotated[int, Field(ge=1, le=4096)] = 256
    """As is more than that many KiB of values."""


class SqlAction(ActionKind[SqlParams]):
    name = "sql"
    params = SqlParams
    default_timeout = 30.0

    def effect(self, params: SqlParams) -> EffectClass:
        """A change is committed together with a row that names the step, so a repeat changes nothing."""
        return EffectClass.KEYED if params.write else effect_of_query(params.query)

    def secrets(self, params: SqlParams) -> Places:
        """The address of the database; it has no place among the arguments."""
        return {params.database: ()}

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        """Gives a list of objects, one for each row."""
        name, given = str(arguments["database"]), arguments["params"]
        statement = Statement(
            text=str(arguments["query"]),
            values=given if isinstance(given, dict) and given else None,
            seconds=context.timeout,
            caps=Caps(int(str(arguments["max_rows"])), int(str(arguments["max_kib"])) * 1024),
        )
        async with context.connect() as own:
            address = await resolve_async(own, PREFIX + name)
            here = await whereabouts(own)
        with translated(name, context.timeout):
            async with opened(address, name, here) as connection:
                if arguments["write"]:
                    return await change(connection, statement, context.key)
                return StepResult.ok(await read(connection, statement))
