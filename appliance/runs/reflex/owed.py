"""Last values that come one commit after the event they are of, so that no effect waits for them.

Only in the crash-safe mode, where an event is acknowledged later anyway: when the disk has both commits. A reactor that
ends between the two leaves the event unacknowledged; it comes again, and its value with it.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from appliance.bus.batches import is_transient
from appliance.bus.services import TopicValue
from appliance.runs.domain import RunState
from appliance.runs.reflex.group import Group
from appliance.runs.reflex.writer import Fenced

log = logging.getLogger(__name__)

Write = Callable[[Group], Awaitable[list[UUID]]]

# What an MQTT message leads to comes back by way of this process, and its commit takes along what is owed.
# Whatever else acts may start something at once that asks the database for the value.
_MAY_COME_FIRST = "mqtt"


class Owed:
    """``allowed`` is False where a commit waits for the disk: then every commit has all values of its events."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._values: list[TopicValue] = []
        self._is_paying = False
        self._receipts: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self._values)

    def once_paid(self, call: Callable[[], None]) -> None:
        """Call when what is owed is committed, which may take more than one commit: at once, if nothing is."""
        if self._values or self._is_paying:
            self._receipts.append(call)
        else:
            call()

    async def commit(self, group: Group, write: Write, looks: bool) -> list[UUID]:
        """``write`` the group with what is owed; its own values stay owed where an effect waits for it.

        ``looks`` where it has rows that a worker acts on. Raises what ``write`` does, unless that was for what is owed.
        """
        owed, self._values = self._values, []
        own = () if self._may_wait(group, looks) else group.values
        left = () if own else group.values
        group.values = [*owed, *own]
        self._is_paying = bool(owed)
        try:
            run_ids = await write(group)
        except Fenced:
            raise
        except Exception as error:
            if is_transient(error):
                # Nothing is wrong with what is owed: it is written as soon as anything can be.
                self._values = [*owed, *self._values]
                raise
            if not owed:
                raise
            await self._alone(owed, write)
            self._paid()
            group.values = own
            run_ids = await write(group)
        else:
            self._paid()
        finally:
            self._is_paying = False
        self._values += left
        return run_ids

    def _paid(self) -> None:
        receipts, self._receipts = self._receipts, []
        for call in receipts:
            try:
                call()
            except Exception:
                log.exception("what waited for last values failed; the others go on")

    def _may_wait(self, group: Group, looks: bool) -> bool:
        """It is committed for the sake of messages to be sent, and nobody else begins with it."""
        return (
            self._allowed
            and bool(group.intents)
            and not (looks or group.queued)
            and not any(flight.end and flight.end.state is RunState.QUEUED for flight in group.landed)
            and all(intent.following.spec.type == _MAY_COME_FIRST for _, intent in group.intents)
        )

    async def _alone(self, values: Sequence[TopicValue], write: Write) -> None:
        """If one of them is what cannot be written, without that one: its event is on record with all it said."""
        for some in (values, *([value] for value in values)):
            try:
                await write(Group(values=some))
            except Fenced:
                raise
            except Exception:
                log.exception("the last values of %d messages cannot be written", len(some))
            else:
                if some is values:
                    return
