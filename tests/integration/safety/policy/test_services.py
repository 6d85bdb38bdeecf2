"""Applying, going back, and who may: versions are kept as they were, and every change is on record."""

import json
from datetime import UTC, datetime

import pytest
from django.db import Error as DatabaseError
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.accounts.services import create_user, set_active
from appliance.safety.allstop import current as switch
from appliance.safety.allstop import engage, release
from appliance.safety.errors import ReadOnlyNow
from appliance.safety.models import PolicyVersion
from appliance.safety.policy.errors import PolicyMoved, PolicyNotFound, PolicyRefused, PolicyUnreadable
from appliance.safety.policy.services import (
    Applied,
    apply,
    current,
    history,
    in_force,
    policy_in_force,
    rollback,
)
from appliance.safety.policy.vocabulary import Layer
from appliance.safety.stop import Level

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = ("mqtt", "shell")
ANA = Principal("user:ana", Role.ADMIN)


def text(layer: str = "box", rule: str = "{id: a, kinds: shell, decide: deny}") -> str:
    return f"policy: 1\nname: test\nlayer: {layer}\nrules: [{rule}]\n"


def put(said: str, by: Principal = ANA, expected: int | None = None) -> Applied:
    return apply(said, "p.yaml", by, NOW, kinds=KINDS, expected=expected)


def records(kind: str) -> list[tuple[str, str, dict[str, object]]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT principal, subject, body FROM audit_record WHERE kind = %s ORDER BY seq DESC LIMIT 3",
            [kind],
        )
        return [(who, what, json.loads(body)["detail"]) for who, what, body in cursor.fetchall()]


def test_what_is_applied_is_in_force_numbered_and_on_record() -> None:
    assert current(Layer.BOX) is None
    before = switch().epoch
    assert put(text()).version.number == 1
    assert put(text(rule="{id: b, kinds: shell, decide: deny}")).version.number == 2
    assert put(text("site")).version.number == 1
    assert [(row.layer, row.version.number, row.by) for row in in_force()] == [
        ("box", 2, "user:ana"),
        ("site", 1, "user:ana"),
    ]
    assert [layer.version for layer in policy_in_force().layers] == [2, 1]
    assert switch().epoch == before + 3, "every process sees that something has changed"
    assert not switch().engaged
    who, what, detail = records("policy.apply")[1]
    assert (who, what, detail["version"], detail["before"]) == ("user:ana", "policy/box", 2, 1)


def test_the_same_text_again_changes_nothing() -> None:
    put(text())
    before = switch().epoch
    assert not put(text()).changed
    assert (switch().epoch, PolicyVersion.objects.count()) == (before, 1)


def test_going_back_puts_the_old_text_in_force_and_is_on_record() -> None:
    put(text())
    put(text(rule="{id: b, kinds: shell, decide: deny}"))
    back = rollback(Layer.BOX, 1, ANA, NOW, kinds=KINDS)
    standing = current(Layer.BOX)
    assert back.changed
    assert standing is not None
    assert standing.number == 1
    assert [one.number for one in history(Layer.BOX)] == [2, 1]
    assert records("policy.rollback")[0][2]["before"] == 2
    with pytest.raises(PolicyNotFound):
        rollback(Layer.BOX, 9, ANA, NOW, kinds=KINDS)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ENGINEER])
def test_only_an_admin_changes_the_policy(role: Role) -> None:
    put(text())
    with pytest.raises(NotAllowed):
        put(text(rule="{id: b, decide: ask}"), Principal("user:bob", role))
    with pytest.raises(NotAllowed):
        rollback(Layer.BOX, 1, Principal("user:bob", role), NOW, kinds=KINDS)
    assert PolicyVersion.objects.count() == 1


def test_nothing_is_changed_while_the_box_is_read_only() -> None:
    engage(Level.READ_ONLY, "test", CONSOLE, NOW)
    try:
        with pytest.raises(ReadOnlyNow):
            put(text())
    finally:
        release("over", ANA, NOW)


def test_who_began_with_an_older_version_is_told() -> None:
    put(text(), expected=0)
    with pytest.raises(PolicyMoved):
        put(text(rule="{id: b, kinds: shell, decide: deny}"), expected=0)
    put(text(rule="{id: b, kinds: shell, decide: deny}"), expected=1)


def test_a_refused_file_changes_nothing() -> None:
    put(text())
    with pytest.raises(PolicyRefused):
        put(text(rule="{id: b, decide: deny}"))
    standing = current(Layer.BOX)
    assert standing is not None
    assert standing.number == 1


def test_layers_that_together_lock_everybody_out_are_refused() -> None:
    put("policy: 1\nname: s\nlayer: site\ndefault: deny\nrules: [{id: m, kinds: mqtt, decide: allow}]\n")
    with pytest.raises(PolicyRefused, match="nobody could act any more"):
        put(text(rule="{id: m, kinds: mqtt, decide: deny}"))


def test_who_is_asked_must_be_somebody() -> None:
    rule = "{id: a, kinds: shell, decide: ask, approvers: engineer}"
    with pytest.raises(PolicyRefused, match=r"p\.yaml:4:.*nobody has the role engineer or more"):
        put(text(rule=rule))
    create_user("eva", "quiet-lathe-4711", Role.ENGINEER, CONSOLE)
    assert put(text(rule=rule)).changed
    set_active("eva", False, CONSOLE)
    with pytest.raises(PolicyRefused, match="nobody has the role"):
        put(text(rule=rule + " "))


def test_a_version_cannot_be_changed_not_even_by_hand() -> None:
    made = put(text()).version
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM safety_policy")
        for statement in ("UPDATE safety_policyversion SET text = 'x'", "DELETE FROM safety_policyversion"):
            with pytest.raises(DatabaseError, match="never changed"):
                cursor.execute(statement)
    assert PolicyVersion.objects.get(pk=made.pk).text == text()


def test_a_damaged_text_is_not_read_as_a_policy() -> None:
    put(text())
    damage("text = replace(text, 'deny', 'allow')")
    with pytest.raises(PolicyUnreadable, match="not the text that was applied"):
        policy_in_force()
    assert put(text(rule="{id: c, kinds: shell, decide: deny}")).changed, "and can be replaced"


def damage(change: str) -> None:
    """As somebody with the rights of the database's owner would."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE safety_policyversion DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE safety_policyversion SET {change}")
        cursor.execute("ALTER TABLE safety_policyversion ENABLE TRIGGER USER")
