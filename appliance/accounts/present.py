"""Who stands behind the name of a principal now: roles, grants and scopes as they are at this moment."""

from dataclasses import replace

from appliance.accounts.domain import Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.mqtt import principal_of
from appliance.accounts.principal import Principal


def principal_named(name: str, ceiling: Role) -> Principal | None:
    """The principal of a run, limited to what its task may do; None where it is nobody who may act here now.

    Triggers and the box itself are what the ceiling says.
    """
    kind, _, rest = name.partition(":")
    match kind:
        case "user":
            user = User.objects.filter(username=rest, is_active=True).first()
            return user.principal.limited_to(ceiling) if user else None
        case "token":
            username, _, token = rest.partition("/")
            found = ApiToken.objects.select_related("user").filter(
                user__username=username, user__is_active=True, name=token, revoked_at=None
            )
            held = found.first()
            return held.principal.limited_to(ceiling) if held else None
        case "mqtt":
            account = principal_of(rest)
            return replace(account, name=name).limited_to(ceiling) if account else None
    return Principal(name, ceiling)
