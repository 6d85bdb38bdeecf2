"""What was changed, as the box's own rows have it: the line that stands beside every answer, whatever that says."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext

from appliance.agent.spelling import short, whole
from appliance.lib.jsontypes import JsonMapping, JsonValue

MOST = 6
LONGEST = 160
"""Characters of one call."""


def changed_in(read_back: JsonMapping) -> str:
    """In the language that is active. ``read_back`` has the lists of the step that answers, or of its agent: what was
    done (``did``), and what was handed over and nobody has confirmed; with ``undo`` where it was taken back since."""
    did, handed_over = _calls(read_back, "did"), _calls(read_back, "handed_over")
    taken_back = [one for one in (*did, *handed_over) if _is_back(one)]
    stands = [one for one in did if not _is_back(one)]
    handed_over = [one for one in handed_over if not _is_back(one)]
    parts = []
    if stands:
        parts.append(gettext("Changed, by the box's own record: %(calls)s.") % {"calls": _named(stands)})
    if handed_over:
        parts.append(gettext("Handed over, not confirmed yet: %(calls)s.") % {"calls": _named(handed_over)})
    if taken_back:
        parts.append(gettext("Changed, and taken back since: %(calls)s.") % {"calls": _named(taken_back)})
    return " ".join(parts) or gettext("Changed: nothing, by the box's own record.")


def _is_back(call: Mapping[str, JsonValue]) -> bool:
    return call.get("undo") == "done"


def _named(calls: Sequence[Mapping[str, JsonValue]]) -> str:
    names = [short(str(one.get("tool", "")), whole(one), LONGEST) for one in calls[:MOST]]
    left = len(calls) - len(names)
    more = [gettext("%(number)d more") % {"number": left}] if left else []
    return "; ".join([*names, *more])


def _calls(read_back: JsonMapping, name: str) -> list[Mapping[str, JsonValue]]:
    found = read_back.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list | tuple) else []
