"""Programs that start another one: each gives the leaves of what it starts, one family a file."""

from appliance.safety.commands.unwrap.elsewhere import ELSEWHERE
from appliance.safety.commands.unwrap.finding import FINDING
from appliance.safety.commands.unwrap.prefixes import PREFIXES
from appliance.safety.commands.unwrap.rights import RIGHTS
from appliance.safety.commands.unwrap.shape import Unwrap
from appliance.safety.commands.unwrap.shells import SHELLS

UNWRAPPERS: dict[str, Unwrap] = {**PREFIXES, **RIGHTS, **SHELLS, **FINDING, **ELSEWHERE}
