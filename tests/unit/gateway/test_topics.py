"""A token sees what its person may see, within its scopes."""

from datetime import UTC, datetime

import pytest

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import Principal
from appliance.events.catalogue import CATALOGUE, OF_CONVERSATIONS
from appliance.events.journal import Cursor, Entry
from appliance.lib.jsontypes import JsonObject
from webadmin.gateway.errors import TopicUnknown
from webadmin.gateway.topics import granted, seen_by

ALL = frozenset(CATALOGUE)


def token(role: Role, *scopes: Ability) -> Principal:
    return Principal("token:ana/bot", role).limited_to_scopes(scopes)


def entry(type_: str, **data: str) -> Entry:
    fields: JsonObject = {**data}
    return Entry(Cursor(1, 1), datetime.now(UTC), type_, "x", fields)


def test_patterns_become_types() -> None:
    viewer = token(Role.VIEWER, Ability.VIEW)
    wanted = frozenset({"run.changed", "allstop.changed"})
    assert granted(viewer, ["run.*", "allstop.changed"]) == (wanted, [])
    topics, refused = granted(viewer, ["*"])
    assert refused == sorted({"account.changed", "audit.alert"} | OF_CONVERSATIONS)
    assert topics == ALL - set(refused)
    assert granted(token(Role.ADMIN, *Ability), ["*"]) == (ALL, [])


def test_without_the_scope_nothing_is_seen_whatever_the_role() -> None:
    topics, refused = granted(token(Role.ADMIN, Ability.CHAT), ["run.*"])
    assert (topics, refused) == (frozenset(), ["run.changed"])
    said = [entry("run.changed", task="greet")]
    assert seen_by(token(Role.ADMIN, Ability.CHAT), "ana", ALL, said) == []
    assert seen_by(token(Role.VIEWER, Ability.VIEW), "ana", ALL, said) == said
    assert seen_by(token(Role.VIEWER, Ability.VIEW), "ana", frozenset({"step.changed"}), said) == []


def test_other_people_s_conversations_are_nobody_else_s() -> None:
    mine, other = (entry("feed.message", conversation=f"user:{name}") for name in ("ana", "bob"))
    assert seen_by(token(Role.ADMIN, *Ability), "ana", ALL, [mine, other]) == [mine]


@pytest.mark.parametrize("pattern", ["run.chagned", "", "run*", "r*", "*.changed", "run.*.x", "none.*", "**"])
def test_what_no_event_is_called_is_refused(pattern: str) -> None:
    with pytest.raises(TopicUnknown):
        granted(token(Role.VIEWER, Ability.VIEW), [pattern])
