"""Which run is meant by what people write: its whole number, or the end by which messages name it."""

from uuid import UUID

from appliance.runs.models import Run
from appliance.runs.services import RunNotFound

SHORT = 8
LOOKED_AT = 20_000
"""Of the newest runs the end is looked for; an older one is named whole."""


def run_named(given: str) -> UUID:
    """Raises RunNotFound, also where several end so."""
    try:
        return UUID(given)
    except ValueError:
        pass
    end = given.strip().lower()
    if len(end) < SHORT or not all(one in "0123456789abcdef-" for one in end):
        raise RunNotFound(
            f"{given[:60]!r} is no number of a run", hint="all of it, or its last eight characters"
        )
    newest = Run.objects.filter(split_id=None).order_by("-id").values_list("pk", flat=True)[:LOOKED_AT]
    found = [one for one in newest if str(one).endswith(end)]
    if len(found) != 1:
        raise RunNotFound(f"{len(found) or 'no'} runs end with {end}", hint="write the whole number")
    return found[0]
