"""The operator's own words to an engine: each from a list, each within bounds."""

from collections.abc import Mapping

from appliance.inference.backends.contract import Bounds, Profile
from appliance.inference.errors import ModelRefused
from appliance.lib.located.issues import suggestion_or_list

Options = dict[str, int | str]


def checked(engine: str, profile: Profile, known: Mapping[str, Bounds]) -> Options:
    """Raises ModelRefused."""
    found: Options = {}
    for name, value in profile.options.items():
        bounds = known.get(name)
        if bounds is None:
            hint = suggestion_or_list(name, known) if known else None
            raise ModelRefused(f"{engine} has no option `{name}` here", hint=hint)
        if isinstance(bounds, frozenset):
            if not isinstance(value, str) or value not in bounds:
                words = ", ".join(sorted(bounds)) or "nothing in this version"
                near = suggestion_or_list(value, bounds) if bounds else None
                raise ModelRefused(f"`{name}` is one of: {words}", hint=near)
            found[name] = value
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not bounds[0] <= value <= bounds[1]:
            raise ModelRefused(f"`{name}` is a whole number from {bounds[0]} to {bounds[1]}")
        found[name] = value
    return found
