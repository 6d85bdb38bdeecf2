"""Taking back what an agent did: one turn of it, or the whole, the newest first."""

import re
from uuid import UUID

from appliance.accounts.principal import Principal
from appliance.runs import taking_back

_CALL = re.compile(r"call-(\d+)-\d+")


def undo(run_id: UUID, by: Principal, turn: int | None = None) -> tuple[str, ...]:
    """Undo what the agent whose own run this is did in a turn, or in all; gives the calls, in the order in which they
    are taken back. Calls without a way back stay as they are.

    Raises NotNow where there is nothing to take back, RunNotFound, NotAllowed, ReadOnlyNow.
    """

    def wanted(step: str) -> bool:
        found = _CALL.fullmatch(step)
        return found is not None and turn in (None, int(found[1]))

    return taking_back.take_back(run_id, by, wanted)
