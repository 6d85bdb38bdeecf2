"""The operator's own words to an engine: each from a list, each within bounds."""

from collections.abc import Mapping

from appliance.inference.backends.contract import Profile
from appliance.inference.errors import ModelRefused

Bounds = tuple[int, int] | frozenset[str]
"""The least and the most of a whole number, or the words that it may be."""
Options = dict[str, int | str]


def checked(engine: str, profile: Profile, known: Mapping[str, Bounds]) -> Options:
    """Raises ModelRefused."""
    found: Options = {}
    for name, value in profile.options.items():
        bounds = known.get(name)
        if bounds is None:
            raise ModelRefused(f"{engine} has no option `{name}` here", hint=", ".join(sorted(known)))
        if isinstance(bounds, frozenset):
            if not isinstance(value, str) or value not in bounds:
                words = ", ".join(sorted(bounds)) or "nothing in this version"
                raise ModelRefused(f"`{name}` is one of: {words}")
            found[name] = value
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not bounds[0] <= value <= bounds[1]:
            raise ModelRefused(f"`{name}` is a whole number from {bounds[0]} to {bounds[1]}")
        found[name] = value
    return found
