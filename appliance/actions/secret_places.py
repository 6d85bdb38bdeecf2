"""Secrets in the arguments of a step: named where its author wrote ``secret:NAME``, opened where the effect is.

Only a text that stands in the task itself names a secret. What an expression gave never does, whatever it says: else
whoever sends a payload could have any secret sent somewhere. So the places are taken from the definition, and travel
beside the rendered arguments; what is decided on, approved, recorded and shown has names and places, never a value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, StringConstraints

from appliance.expressions import Template, Tree
from appliance.lib.jsontypes import JsonObject
from appliance.safety.errors import SecretMissing
from appliance.safety.references import PREFIX, REFERENCE, named_by
from appliance.safety.secrets import resolve_async

if TYPE_CHECKING:
    from appliance.actions.contract import Connect

KEY = "secrets"
"""Where arguments have them: a mapping from each name to its places."""

Reference = Annotated[str, StringConstraints(pattern=REFERENCE)]
"""A field that takes nothing but a secret."""

Place = tuple[str | int, ...]
Places = Mapping[str, Sequence[Place]]

_BEHIND_A_WORD = frozenset({"headers"})
"""Fields in which a scheme may stand before it, as in ``Bearer secret:NAME``."""


def places_in(params: BaseModel, fields: Iterable[str]) -> Places:
    """Each secret that these fields name, with every place at which its value belongs."""
    found: dict[str, list[Place]] = {}
    for field in sorted(fields):
        for place, text in _texts(getattr(params, field), (field,)):
            name = named_by(text, behind_a_word=field in _BEHIND_A_WORD)
            if name is not None:
                found.setdefault(name, []).append(place)
    return found


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """The texts as their author wrote them; one with an expression in it is no reference."""
    if isinstance(value, Template):
        yield place, str(value.source)
    elif isinstance(value, Tree):
        yield from _texts(value.source, place)
    elif isinstance(value, str):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _texts(one, (*place, index))


def beside(arguments: JsonObject, places: Places) -> JsonObject:
    """The rendered arguments with the places beside them."""
    if not places:
        return arguments
    return {**arguments, KEY: {name: [list(place) for place in found] for name, found in places.items()}}


async def opened(arguments: JsonObject, connect: "Connect") -> JsonObject:
    """The arguments with every secret at its place, as it is now. Neither keep nor show what comes back.

    Raises SecretMissing, SecretUnreadable.
    """
    wanted = arguments.get(KEY)
    if not isinstance(wanted, dict) or not wanted:
        return arguments
    whole = deepcopy(arguments)
    async with connect() as connection:
        for name, places in wanted.items():
            value = await resolve_async(connection, PREFIX + name)
            for place in places if isinstance(places, list) else ():
                _put(whole, place, name, value)
    return whole


def _put(whole: Any, place: Any, name: str, value: str) -> None:
    *folders, last = place
    reference = PREFIX + name
    try:
        for part in folders:
            whole = whole[part]
        if not whole[last].endswith(reference):
            raise KeyError(last)
    except (KeyError, IndexError, TypeError) as error:
        # What was kept of the step before a crash had something masked in it.
        said = f"the secret {name!r} has no place among the arguments any more"
        raise SecretMissing(said, hint="start the task again") from error
    whole[last] = whole[last].removesuffix(reference) + value
