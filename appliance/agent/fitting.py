"""What is wrong with the arguments of a tool, in words from which whoever gave them can mend it. Pure."""

from collections.abc import Collection

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from appliance.agent.loop.words import one_line
from appliance.lib.located.issues import issues_of, suggestion

MOST_NAMES = 20
LONGEST_NAME = 60


def no_such_argument(name: str, takes: Collection[str]) -> tuple[str, str]:
    """The sentence that names it, and the hint: the nearest one, and all that there are."""
    said = f"there is no argument `{one_line(name, LONGEST_NAME)}`"
    return said, "; ".join(filter(None, (suggestion(name, takes), takes_only(takes))))


def missing_argument(name: str, takes: Collection[str]) -> tuple[str, str]:
    return f"the argument `{name}` is missing", takes_only(takes)


def takes_only(takes: Collection[str]) -> str:
    if not takes:
        return "it takes none"
    more = f" and {len(takes) - MOST_NAMES} more" if len(takes) > MOST_NAMES else ""
    return f"it takes {', '.join(list(takes)[:MOST_NAMES])}{more}"


def unfit(
    error: ValidationError, model: type[BaseModel], takes: Collection[str], *, some: bool = False
) -> tuple[str, str] | None:
    """Message and hint of the first thing that is wrong. ``takes``: the arguments that are theirs to give. ``some``:
    not all of them had to be given; then None where nothing but that is wrong."""
    found = [
        (detail, issue)
        for detail, issue in zip(error.errors(include_url=False), issues_of(error, model, ()), strict=False)
        if not (some and _is_about(detail, "missing"))
    ]
    if not found:
        return None
    # A wrong name often leaves the right one missing: the wrong one is what helps.
    detail, issue = next((one for one in found if _is_about(one[0], "extra_forbidden")), found[0])
    if _is_about(detail, "extra_forbidden"):
        return no_such_argument(str(detail["loc"][0]), takes)
    if _is_about(detail, "missing"):
        return missing_argument(str(detail["loc"][0]), takes)
    message = ": ".join(filter(None, (".".join(map(str, issue.path)), issue.message)))
    wanted = f"expected {issue.expected}" if issue.expected else ""
    return message, "; ".join(filter(None, (wanted, issue.hint)))


def _is_about(detail: ErrorDetails, kind: str) -> bool:
    """Whether it is of this kind, and of an argument itself, not of what stands in it."""
    return detail["type"] == kind and len(detail["loc"]) == 1
