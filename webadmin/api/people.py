"""People over HTTP: who there is, what they may do, where they are logged in. For administrators and their tools."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from appliance.accounts import granting, sessions
from appliance.accounts.domain import Ability, Role
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.services import get_user
from appliance.accounts.two_step import people
from webadmin.api.auth import caller
from webadmin.api.schemas import Limit

router = Router(tags=["people"])


class GrantIO(Schema):
    """A role on the tasks, devices and secrets whose names fit, and the topics under ``topics``."""

    role: Role
    tasks: str = Field("", max_length=100)
    topics: str = Field("", max_length=1000)
    devices: str = Field("", max_length=100)
    secrets: str = Field("", max_length=100)

    @property
    def grant(self) -> Grant:
        return Grant(self.role, self.tasks, self.topics, self.devices, self.secrets)


class PersonOut(Schema):
    name: str
    role: str
    active: bool
    two_step: bool
    grants: list[GrantIO]
    last_login: datetime | None


class PeopleOut(Schema):
    items: list[PersonOut]
    next: str | None


class SessionOut(Schema):
    """A browser in which somebody is logged in."""

    id: int
    ip: str
    agent: str
    since: datetime
    last_seen: datetime


class EndedOut(Schema):
    ended: int


@router.get("", response=PeopleOut, summary="People by name")
def list_people(request: HttpRequest, after: str = "", limit: Limit = 50) -> PeopleOut:
    caller(request, Ability.MANAGE_USERS)
    found = list(people().filter(username__gt=after.replace("\x00", ""))[: limit + 1])
    following = found[limit - 1].username if len(found) > limit else None
    return PeopleOut(items=[_out(user, user.two_step) for user in found[:limit]], next=following)


@router.post(
    "/{name}/grants", response=list[GrantIO], summary="More on some tasks, topics, devices or secrets"
)
def grant(request: HttpRequest, name: str, body: GrantIO) -> list[GrantIO]:
    """Gives all grants of the person. The same one twice is one."""
    by = caller(request, Ability.MANAGE_USERS).principal
    granting.grant(name, body.grant, by, datetime.now(UTC))
    return _grants(get_user(name))


@router.post("/{name}/grants/withdraw", response=list[GrantIO], summary="Take such a grant back")
def withdraw(request: HttpRequest, name: str, body: GrantIO) -> list[GrantIO]:
    """Gives the grants that are left."""
    granting.withdraw(name, body.grant, caller(request, Ability.MANAGE_USERS).principal)
    return _grants(get_user(name))


@router.get("/{name}/sessions", response=list[SessionOut], summary="Where somebody is logged in")
def list_sessions(request: HttpRequest, name: str) -> list[SessionOut]:
    caller(request, Ability.MANAGE_USERS)
    found = sessions.browsers_of(get_user(name), datetime.now(UTC))
    return [
        SessionOut(id=one.id, ip=one.ip, agent=one.agent, since=one.since, last_seen=one.last_seen)
        for one in found
    ]


@router.delete(
    "/{name}/sessions", response=EndedOut, summary="Log somebody out, everywhere or of one browser"
)
def end_sessions(request: HttpRequest, name: str, session: int | None = None) -> EndedOut:
    by, user = caller(request, Ability.MANAGE_USERS).principal, get_user(name)
    if session is None:
        return EndedOut(ended=sessions.end_sessions(user, by))
    return EndedOut(ended=int(sessions.end_session(user, session, by)))


def _out(user: User, two_step: bool) -> PersonOut:
    return PersonOut(
        name=user.username,
        role=user.role,
        active=user.is_active,
        two_step=two_step,
        grants=_grants(user),
        last_login=user.last_login,
    )


def _grants(user: User) -> list[GrantIO]:
    return [GrantIO.model_validate(one.to_json()) for one in user.granted]
