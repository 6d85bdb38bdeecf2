"""``foreach``: the same steps for every item, each item a shard of its own that any worker may take."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from appliance.actions.contract import Params, SplitKind, StateReader, Written, render_fields
from appliance.actions.secret_places import Places
from appliance.actions.sql import Question
from appliance.expressions import Tree, compile_template
from appliance.expressions.fields import TemplateField, TextField, TreeField
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.said import say
from appliance.runs.shards.sources import list_source, range_source
from appliance.tasks.definition.bodies import BodyField
from appliance.tasks.definition.joining import ALL, Join, JoinField

MOST_AT_ONCE = 64
_SOURCES = ("items", "range", "lines", "query")
_BY_ONE = compile_template("1")


class Collect(StrEnum):
    """What the step's output is."""

    OUTPUTS = "outputs"
    COUNTS = "counts"


class RangeParams(Params):
    """Whole numbers."""

    start: TemplateField = Field(alias="from")
    """The first number."""
    to: TemplateField
    """The last number; it counts too."""
    step: TemplateField | None = None
    """From one number to the next; without it 1. A negative one counts down."""


class ForeachParams(Params):
    items: TreeField = Tree(None)
    """A list, or an expression that gives one."""
    range: RangeParams | None = None
    """Whole numbers instead: `{from: 1, to: 100}`, with `step:` where it is not 1."""
    lines: TextField | None = None
    """The lines of a file instead: an absolute path that a command of this task may read."""
    query: Question | None = None
    """The rows of a database instead; an item is a mapping of a row's columns."""
    actions: BodyField
    """What is done for each item; sees `item` and `index` (from 0)."""
    parallelism: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 8
    """How many items are under way at once."""
    join: JoinField = ALL
    """`all` does every item and fails where one failed. `any` and `{at_least: N}` are done when so many have
    succeeded. `{tolerate: M}` gives up when more than M have failed. What is left then is cancelled."""
    collect: Collect = Collect.OUTPUTS
    """The step's output: `outputs`, the list of what the last step of each item gave (counts where that is
    long); or `counts`."""

    @model_validator(mode="after")
    def _one_source(self) -> "ForeachParams":
        if len(self.model_fields_set & set(_SOURCES)) != 1:
            raise ValueError(say("give one of items:, range:, lines: and query:"))
        return self


class ForeachAction(SplitKind[ForeachParams]):
    name = "foreach"
    params = ForeachParams

    def written(self, params: ForeachParams) -> Iterable[Written]:
        items, numbers = params.items.source, params.range
        computed = isinstance(items, list) or (isinstance(items, str) and "{{" in items)
        if "items" in params.model_fields_set and not computed:
            yield "items", lambda: list_source(items)
        if numbers is not None:
            parts = (numbers.start, numbers.to, numbers.step or _BY_ONE)
            if all(part.is_literal for part in parts):
                yield "range", lambda: range_source(*(part.source for part in parts))

    def secrets(self, params: ForeachParams) -> Places:
        return {params.query.database: ()} if params.query else {}

    def arguments(
        self, params: ForeachParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        """What is kept of the step's input: where the items come from, never the items."""
        said: JsonObject = {"parallelism": params.parallelism, "join": written(params.join)}
        if params.range is not None:
            return {"range": render_fields(params.range, scope, state), **said}
        if params.lines is not None:
            return {"lines": params.lines.render(scope, state=state), **said}
        if params.query is not None:
            return {"query": render_fields(params.query, scope, state), **said}
        items = params.items.render(scope, state=state)
        return {"items": len(items) if isinstance(items, list) else str(type(items).__name__), **said}


def written(join: Join) -> JsonValue:
    said: JsonValue = join.written()  # type: ignore[assignment]  # a mapping to whole numbers is JSON
    return said
