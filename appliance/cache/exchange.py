"""Who values are shared with, and a round of sync with one of them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import connection as django_connection
from django.db import transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.cache import sql
from appliance.cache.adapters.http import HttpPeer
from appliance.cache.domain import Choice, Rule
from appliance.cache.errors import CacheNotFound, CacheRefused, SyncHeld
from appliance.cache.models import CachePeer, CacheRule
from appliance.cache.offering import Summary
from appliance.cache.ports import Peer
from appliance.cache.receiving import changes, receive
from appliance.cache.services import begin
from appliance.cache.store import START, behind
from appliance.cache.sync import Round
from appliance.cache.wire import Answers, Changes
from appliance.events.journal import Cursor as Position
from appliance.lib.clock import Clock, SystemClock
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonValue
from appliance.safety.allstop import Level, current
from appliance.safety.read_only import refuse_changes
from appliance.safety.secrets import is_reference, resolve

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")


@transaction.atomic
def set_peer(
    name: str,
    url: str,
    token: str,
    rules: Sequence[Rule],
    by: Principal,
    *,
    every: timedelta = timedelta(seconds=5),
) -> CachePeer:
    """Share the keys of ``rules`` with the box at ``url``; ``token`` is ``secret:NAME``.

    Another address is another box: what was agreed with the former one is forgotten. Raises NotAllowed,
    CacheRefused.
    """
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    url = url.rstrip("/")
    _check(name, url, token, rules)
    peer, _ = CachePeer.objects.select_for_update().get_or_create(name=name)
    if peer.url not in ("", url):
        _forget(peer)
    peer.url, peer.token, peer.enabled = url, token, True
    peer.every = max(1, int(every.total_seconds()))
    # Keys that were not shared before lie behind these positions.
    peer.pull_cursor = peer.push_cursor = peer.last_error = ""
    peer.failures = 0
    peer.save()
    peer.rules.all().delete()
    CacheRule.objects.bulk_create(
        CacheRule(peer=peer, prefix=rule.prefix, policy=rule.policy.value, counters=list(rule.counters))
        for rule in rules
    )
    shared: list[JsonValue] = [f"{rule.prefix}*: {rule.policy.value}" for rule in rules]
    append_here("cache.peer", by.name, f"peer/{name}", {"url": url, "token": token, "rules": shared})
    return peer


@transaction.atomic
def remove_peer(name: str, by: Principal) -> None:
    """End the sharing. The values stay, and open conflicts end with this box's value. Raises CacheNotFound."""
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    peer = find_peer(name)
    _forget(peer)
    peer.delete()
    append_here("cache.peer_removed", by.name, f"peer/{name}", {})


def find_peer(name: str) -> CachePeer:
    """Raises CacheNotFound."""
    peer = CachePeer.objects.filter(name=name).first()
    if peer is None:
        raise CacheNotFound(f"there is no peer {name[:60]!r}", hint="manage.py cache peers shows them")
    return peer


def changes_for(after: str, prefixes: Sequence[str], limit: int, now: datetime) -> Changes:
    """A page of this box's journal for another one. Raises CursorInvalid, SyncHeld."""
    _not_cut()
    return changes(begin, get_config().home.id, now, after, prefixes, limit)


def take_from(messages: Sequence[object], by: Principal, now: datetime) -> Answers:
    """What another box offers, each message in a transaction of its own. Raises NotAllowed, CacheRefused,
    SyncHeld."""
    by.require(Ability.SYNC)
    _not_cut()
    said = receive(begin, get_config().home.id, now, messages)
    taken: list[JsonValue] = [one.id for one in said.answers if one.outcome == "accepted"]
    if taken:
        append_here("cache.received", by.name, "values", {"messages": taken})
    return said


def waiting_for(peer: CachePeer, limit: int = 1000) -> int:
    """How many writes of this box the peer has not been offered, at most ``limit``."""
    try:
        position = Position.parse(peer.push_cursor) if peer.push_cursor else START
    except MillwrightError:
        position = START
    with begin() as cursor:
        return behind(cursor, position, [rule.prefix for rule in peer.rules.all()], limit)


def sync_now(name: str, *, peer: Peer | None = None, clock: Clock | None = None) -> Summary | None:
    """One round with a peer; None where one is under way, or the peer is switched off.

    The outcome is kept in the peer's row. Raises CacheNotFound, SyncHeld, PeerAway, PeerRefused and what
    ``resolve`` raises.
    """
    _not_cut()
    row = find_peer(name)
    with _only_one(row.pk) as mine:
        if not mine or not row.enabled:
            return None
        try:
            opened = peer or HttpPeer(row.url, resolve(row.token))
            done = Round(begin, opened, row.pk, get_config().home.id, clock or SystemClock()).run()
        except MillwrightError as error:
            _told(sql.ROUND_FAILED, row.pk, str(error)[:500])
            raise
        _told(sql.ROUND_DONE, row.pk)
        return done


def _not_cut() -> None:
    if current().at_least(Level.CUT):
        raise SyncHeld("the all-stop has cut this box off")


@contextmanager
def _only_one(peer: int) -> Iterator[bool]:
    said = {"space": sql.LOCK_SPACE, "peer": peer}
    with django_connection.cursor() as cursor:
        cursor.execute(sql.TRY_LOCK, said)
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine and django_connection.is_usable():
            with django_connection.cursor() as cursor:
                cursor.execute(sql.UNLOCK, said)


def _told(statement: str, peer: int, error: str = "") -> None:
    with begin() as cursor:
        cursor.execute(statement, {"peer": peer, "error": error})


def _forget(peer: CachePeer) -> None:
    """All that was agreed with a box that is none of ours any more."""
    peer.cacheagreed_set.all().delete()
    peer.cacheparked_set.all().delete()
    with begin() as cursor:
        cursor.execute(
            "UPDATE cache_cacheconflict SET choice = %s, decided_at = now(), decided_by = 'peer removed'"
            " WHERE peer_id = %s AND decided_at IS NULL",
            [Choice.MINE.value, peer.pk],
        )


def _check(name: str, url: str, token: str, rules: Sequence[Rule]) -> None:
    parts = urlsplit(url)
    if not _NAME.fullmatch(name):
        raise CacheRefused(f"{name[:60]!r} is no name for a peer", hint="small letters, digits, - and _")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or len(url) > 500:
        raise CacheRefused(f"{url[:100]!r} is no address of a box", hint="https://hub.example:8443")
    if not is_reference(token):
        raise CacheRefused("the token must be a secret", hint="manage.py secrets set NAME, then secret:NAME")
    prefixes = [rule.prefix for rule in rules]
    if not rules or len(set(prefixes)) != len(prefixes) or any(len(one) > 200 for one in prefixes):
        raise CacheRefused("share at least one prefix, and each of them once")
