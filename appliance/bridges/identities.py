"""Who may do what in a chat: an identity acts as the person of this box that it is linked to."""

from collections.abc import Sequence
from typing import Any, Protocol

from django.db import transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.bridges.hints import platform_changed
from appliance.bridges.models import ChatIdentity, Platform
from appliance.safety.read_only import refuse_changes


class Person(Protocol):
    """What is needed of accounts.User."""

    pk: Any
    username: str


def identities(platform_name: str | None = None, *, strangers: bool | None = None) -> Sequence[ChatIdentity]:
    """Who was seen in chats, newest first; ``strangers`` True: those without a person, False: the rest."""
    rows = ChatIdentity.objects.select_related("person")
    if platform_name:
        rows = rows.filter(platform=platform_name)
    if strangers is not None:
        rows = rows.filter(person__isnull=strangers)
    return list(rows[:200])


def link_identity(identity_id: int, person: Person, by: Principal, *, make_default: bool = True) -> None:
    """Let somebody in a chat act as ``person``. A platform without a default conversation gets theirs.

    Raises NotAllowed, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_USERS)
    refuse_changes(by)
    with transaction.atomic():
        identity = ChatIdentity.objects.select_for_update().get(pk=identity_id)
        ChatIdentity.objects.filter(pk=identity_id).update(person_id=person.pk, linked_by=by.name)
        if make_default and identity.last_conversation:
            adopted = Platform.objects.filter(name=identity.platform, default_conversation="").update(
                default_conversation=identity.last_conversation
            )
            if adopted:
                platform_changed(identity.platform)
        append_here("chat_identity.linked", by.name, str(identity), {"person": person.username})


def unlink_identity(identity_id: int, by: Principal) -> None:
    """From now on this identity can do nothing. Raises NotAllowed, ReadOnlyNow."""
    by.require(Ability.MANAGE_USERS)
    refuse_changes(by)
    with transaction.atomic():
        identity = ChatIdentity.objects.select_for_update().get(pk=identity_id)
        ChatIdentity.objects.filter(pk=identity_id).update(person=None, linked_by="")
        append_here("chat_identity.unlinked", by.name, str(identity), {})
