"""Who may give commands over MQTT: accounts of the broker to which an administrator granted a role.

MQTT 3.1.1 does not tell a receiver who published. The broker's own rules do: a granted account may publish under its
name, and nobody else may. On the address without a name all granted accounts are alike, so there each of them may
only do what every one of them may.
"""

from datetime import datetime

from appliance.accounts import trail
from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import GrantRefused
from appliance.accounts.models import MqttGrant
from appliance.accounts.principal import Principal

ANY = "*"
"""Stands for whichever granted account it was."""

GRANTABLE = (Role.VIEWER, Role.OPERATOR, Role.ENGINEER)


def grant(account: str, role: Role | None, by: Principal, now: datetime) -> None:
    """Give an account the right to give commands as ``role``, or take it back, in the caller's transaction.

    Raises NotAllowed (only an administrator grants), GrantRefused.
    """
    by.require(Ability.MANAGE_BOX)
    if role is None:
        forget(account, by)
        return
    if role not in GRANTABLE:
        raise GrantRefused(f"an MQTT account cannot act as {role}", hint=f"one of {', '.join(GRANTABLE)}")
    MqttGrant.objects.update_or_create(
        account=account, defaults={"role": role.value, "granted_at": now, "granted_by": by.name}
    )
    trail.put("command.granted", by.name, f"mqtt/{account}", {"role": role.value})


def forget(account: str, by: Principal) -> None:
    """Take the right back; whoever may take the account itself back may do that."""
    if MqttGrant.objects.filter(account=account).delete()[0]:
        trail.put("command.withdrawn", by.name, f"mqtt/{account}", {})


def grants() -> dict[str, Role]:
    """Every account that may give commands, and as what."""
    return {account: Role(role) for account, role in MqttGrant.objects.values_list("account", "role")}


def principal_of(account: str) -> Principal | None:
    """As whom a command acts; ``account`` is ANY where the broker let somebody through without a name."""
    known = grants()
    if account == ANY:
        if len(known) == 1:
            return principal_of(next(iter(known)))
        role = min(known.values(), key=lambda role: role.rank, default=None)
    else:
        role = known.get(account)
    return Principal(f"mqtt:{account}", role) if role is not None else None
