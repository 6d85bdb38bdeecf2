"""The rows of further brokers: read, kept, switched, removed; and their password, looked up where it is needed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.errors import BrokerOff, BrokerUnknown
from appliance.bus.models import Broker
from appliance.safety.read_only import refuse_changes
from appliance.safety.secrets import keep_secret, resolve_async

_COLUMNS = (
    "b.name, b.url, b.username, b.password, b.ca, b.verify, b.client_id, b.filters, b.prefix, b.enabled"
)
# A replaced secret counts as a change of its broker: the connection is made anew with it.
_READ = f"""
SELECT {_COLUMNS}, s.updated_at
FROM bus_broker b LEFT JOIN safety_secret s ON b.password = 'secret:' || s.name
"""
_FORGET_VALUES = "DELETE FROM bus_topicvalue WHERE starts_with(topic, %s)"


@dataclass(frozen=True, slots=True)
class WantedBroker:
    """A broker as its row says now, and when its secret last changed."""

    spec: BrokerSpec
    secret_at: datetime | None = None


def list_brokers() -> list[BrokerSpec]:
    """All of them by name, on Django's connection."""
    return [_spec(row) for row in Broker.objects.order_by("name")]


def find_broker(name: str) -> BrokerSpec:
    """Raises BrokerUnknown with the nearest name."""
    row = Broker.objects.filter(name=name).first()
    if row is None:
        raise unknown(name, Broker.objects.values_list("name", flat=True))
    return _spec(row)


def unknown(name: str, known: Any) -> BrokerUnknown:
    """The error that names what may have been meant."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"brokers here: {', '.join(names[:10]) or 'none yet'}"
    return BrokerUnknown(f"there is no broker {name[:60]!r}", hint=hint)


def save_broker(spec: BrokerSpec, by: Principal, now: datetime, *, password: str = "") -> BrokerSpec:
    """Create or change one. A ``password`` in clear becomes the secret ``broker-NAME``.

    Raises NotAllowed, BrokerRefused, TopicRefused, BadBusAddress, SecretRefused.
    """
    by.require(Ability.MANAGE_BROKERS)
    refuse_changes(by)
    if password:
        spec = replace(spec, password=f"secret:{secret_name(spec.name)}")
    spec = spec.checked()
    with transaction.atomic():
        known = Broker.objects.select_for_update().filter(name=spec.name).first()
        if password:
            keep_secret(secret_name(spec.name), password, by, now)
        before = _spec(known) if known is not None else None
        if before == spec:
            return spec
        if _takes_a_strange_secret(spec, before):
            by.require(Ability.MANAGE_SECRETS)
        values = {**asdict(spec), "filters": list(spec.filters), "updated_at": now, "updated_by": by.name}
        Broker.objects.update_or_create(name=values.pop("name"), defaults=values)
        if known is not None and known.prefix != spec.prefix:
            _forget_values(spec.name)  # they stand under names that nothing will renew
        change = "broker.changed" if known else "broker.added"
        append_here(change, by.name, f"broker/{spec.name}", {"url": spec.url, "enabled": spec.enabled})
    return spec


def _takes_a_strange_secret(spec: BrokerSpec, before: BrokerSpec | None) -> bool:
    """Whether a secret that was not made for this broker is to be sent somewhere new."""
    own = ("", f"secret:{secret_name(spec.name)}")
    same = before is not None and (before.url, before.password) == (spec.url, spec.password)
    return spec.password not in own and not same


def secret_name(broker: str) -> str:
    """The secret that keeps a password typed for a broker."""
    return f"broker-{broker}"


def switch_broker(name: str, enabled: bool, by: Principal, now: datetime) -> None:
    """Connect to it, or leave it. Raises BrokerUnknown, NotAllowed."""
    by.require(Ability.MANAGE_BROKERS)
    save_broker(replace(find_broker(name), enabled=enabled), by, now)


def forget_broker(name: str, by: Principal) -> None:
    """Remove its row and its last values. The door for people is `tasks.brokers.remove`, which asks the tasks."""
    by.require(Ability.MANAGE_BROKERS)
    refuse_changes(by)
    with transaction.atomic():
        if not Broker.objects.filter(name=name).delete()[0]:
            raise unknown(name, Broker.objects.values_list("name", flat=True))
        _forget_values(name)
        append_here("broker.removed", by.name, f"broker/{name}", {})


def known_prefixes() -> Mapping[str, str]:
    """The names of all brokers, each with its prefix: what a task file is checked against."""
    return dict(Broker.objects.values_list("name", "prefix"))


async def read_enabled(connection: AsyncConnection[Any]) -> list[WantedBroker]:
    """Those to be connected to."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(
        f"{_READ} WHERE b.enabled ORDER BY b.name"
    )
    return [_wanted(row) for row in await cursor.fetchall()]


async def read_one(connection: AsyncConnection[Any], name: str) -> WantedBroker:
    """One that may be used now. Raises BrokerUnknown, BrokerOff."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(f"{_READ} WHERE b.name = %s", (name,))
    row = await cursor.fetchone()
    if row is None:
        raise unknown(name, ())
    wanted = _wanted(row)
    if not wanted.spec.enabled:
        raise BrokerOff(f"the broker {name} is switched off here", hint="switch it on at Brokers")
    return wanted


async def password_of(connection: AsyncConnection[Any], spec: BrokerSpec) -> str | None:
    """The password in clear, for the moment of connecting. Raises SecretMissing, SecretUnreadable."""
    return await resolve_async(connection, spec.password) if spec.password else None


def _wanted(row: tuple[Any, ...]) -> WantedBroker:
    *columns, secret_at = row
    columns[7] = tuple(columns[7])
    return WantedBroker(BrokerSpec(*columns), secret_at)


def _spec(row: Broker) -> BrokerSpec:
    return BrokerSpec(
        row.name,
        row.url,
        row.username,
        row.password,
        row.ca,
        row.verify,
        row.client_id,
        tuple(row.filters),
        row.prefix,
        row.enabled,
    )


def _forget_values(name: str) -> None:
    with django_connection.cursor() as cursor:
        cursor.execute(_FORGET_VALUES, [f"{name}#"])
