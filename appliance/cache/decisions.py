"""What people decide: open conflicts, values that lost one, and parked items."""

from dataclasses import replace
from datetime import datetime

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.cache import sql
from appliance.cache.domain import Choice, Direction, Write
from appliance.cache.errors import CacheConflict, CacheNotFound
from appliance.cache.models import CacheConflict as Conflict
from appliance.cache.models import CacheParked
from appliance.cache.ports import Cursor
from appliance.cache.services import begin
from appliance.cache.stamps import tick
from appliance.cache.store import (
    Agreed,
    agree,
    decide_conflict,
    place,
    read_entry,
    text_of,
    touch,
    write_local,
    write_of,
)
from appliance.lib.config import get_config
from appliance.safety.read_only import refuse_changes

_ROW = (
    "SELECT peer_id, key, mine::text, theirs::text, choice, decided_at FROM cache_cacheconflict WHERE id = %s"
)


def take(conflict: int, choice: Choice, by: Principal, now: datetime) -> None:
    """End an open conflict with this box's value as it is now (MINE), or with the other one (THEIRS).

    The other value stays in the row. Raises NotAllowed, CacheNotFound, CacheConflict where it is decided already or
    this box's value is another one than the row shows, Moved.
    """
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    with begin() as cursor:
        peer, key, mine, theirs, decided = _read(cursor, conflict)
        if decided:
            raise CacheConflict("that conflict is decided already", hint="its values can be restored")
        entry = read_entry(cursor, key, lock=True)
        changed = entry is not None and entry.write.stamp != mine.stamp
        if entry is not None and changed:
            cursor.execute(
                sql.REFRESH_CONFLICT, {"id": conflict, "mine": text_of(entry.write), "theirs": None}
            )
        if not (changed and choice is Choice.THEIRS):
            if choice is Choice.THEIRS:
                place(cursor, theirs, entry)
            elif entry is not None:
                stamp = tick(now, get_config().home.id, entry.write.stamp, theirs.stamp)
                place(cursor, replace(entry.write, stamp=stamp), entry)
            agree(cursor, peer, key, Agreed(theirs))
            decide_conflict(cursor, conflict, choice, by.name, now)
            append_here("cache.decided", by.name, f"value/{key}", {"conflict": conflict, "choice": choice})
    if changed and choice is Choice.THEIRS:
        raise CacheConflict("this box's value has changed since", hint="look at it again")


def restore(conflict: int, choice: Choice, by: Principal) -> int:
    """Write a value of a decided conflict again, as a new edit: MINE or THEIRS of the row. Gives the version.

    Raises NotAllowed, CacheNotFound, CacheConflict where the conflict is open.
    """
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    with begin() as cursor:
        _, key, mine, theirs, decided = _read(cursor, conflict)
        if not decided:
            raise CacheConflict("that conflict is open", hint="take one of its values")
        wanted = mine if choice is Choice.MINE else theirs
        origin = get_config().home.id
        version = write_local(cursor, key, wanted.value, by.name, origin, deleted=wanted.deleted)
        assert version is not None
        append_here("cache.restored", by.name, f"value/{key}", {"conflict": conflict, "value": choice})
    return version


def retry(parked: int, by: Principal) -> None:
    """Offer a parked value again, or ask for it again. Raises NotAllowed, CacheNotFound."""
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    with begin() as cursor:
        item = _unpark(parked)
        if item.direction == Direction.OUT:
            touch(cursor, item.key)
        else:
            # Reading the peer's journal again from its beginning changes nothing but what is missing.
            cursor.execute("UPDATE cache_cachepeer SET pull_cursor = '' WHERE id = %s", [item.peer_id])
        append_here("cache.retried", by.name, f"value/{item.key}", {"direction": item.direction})


def drop(parked: int, by: Principal) -> None:
    """Let each box keep what it has under the key, until it is written again. Raises NotAllowed, CacheNotFound."""
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    with begin():
        item = _unpark(parked)
        append_here("cache.dropped", by.name, f"value/{item.key}", {"direction": item.direction})


def _unpark(parked: int) -> CacheParked:
    item = CacheParked.objects.select_for_update().filter(pk=parked).first()
    if item is None:
        raise CacheNotFound("that item is not parked any more")
    CacheParked.objects.filter(pk=parked).delete()
    return item


def _read(cursor: Cursor, conflict: int) -> tuple[int, str, Write, Write, bool]:
    """Locked after the key's row, in the order in which sync locks them."""
    key = Conflict.objects.filter(pk=conflict).values_list("key", flat=True).first()
    if key is not None:
        read_entry(cursor, key, lock=True)
    cursor.execute(f"{_ROW} FOR UPDATE", [conflict])
    row = cursor.fetchone()
    if row is None:
        raise CacheNotFound("there is no such conflict")
    mine, theirs = write_of(row[2]), write_of(row[3])
    assert mine is not None
    assert theirs is not None
    return row[0], row[1], mine, theirs, row[5] is not None
