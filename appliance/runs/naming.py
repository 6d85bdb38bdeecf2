"""Which run is meant by what people write: its whole number, or the end by which messages name it."""

from uuid import UUID

from appliance.lib.said import say
from appliance.runs.domain import FINAL
from appliance.runs.models import Run
from appliance.runs.services import RunNotFound

SHORT = 8
"""The last characters of a run's number: enough to tell those of one day apart."""
LOOKED_AT = 20_000
"""Of the newest runs the end is looked for; an older one is named whole."""


def run_named(given: str, *, living: bool = False) -> UUID:
    """With ``living`` its end names only one that has not ended. Raises RunNotFound, also where several end so."""
    end = given.strip().lower()
    try:
        return UUID(end)
    except ValueError:
        pass
    if not names_a_run(end):
        raise RunNotFound(
            say("%(given)r is no number of a run", given=given[:60]),
            hint=say("all of it, or its last eight characters"),
        )
    runs = Run.whole.exclude(state__in=[state.value for state in FINAL]) if living else Run.whole.all()
    newest = runs.order_by("-id").values_list("pk", flat=True)[:LOOKED_AT]
    found = [one for one in newest if str(one).endswith(end)]
    if len(found) != 1:
        raise RunNotFound(
            say("%(count)s runs end with %(end)s", count=len(found), end=end),
            hint=say("write the whole number"),
        )
    return found[0]


def names_a_run(given: str) -> bool:
    """Whether it can be the end of a run's number, or all of it."""
    end = given.strip().lower()
    return len(end) >= SHORT and all(one in "0123456789abcdef-" for one in end)
