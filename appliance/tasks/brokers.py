"""Removing a broker: not while a task that is switched on names it."""

from appliance.accounts.principal import Principal
from appliance.bus.brokers.services import forget_broker
from appliance.bus.errors import BrokerRefused
from appliance.tasks.broker_names import named_brokers
from appliance.tasks.models import Task
from appliance.tasks.services import definition_of


def tasks_of(broker: str) -> list[str]:
    """The tasks that are switched on and name the broker."""
    rows = Task.objects.filter(enabled=True, current__isnull=False).select_related("current").order_by("name")
    return [
        row.name
        for row in rows
        if row.current is not None
        and broker in {name for _, name in named_brokers(definition_of(row.current))}
    ]


def remove(broker: str, by: Principal) -> None:
    """Forget a broker with its last values. Raises BrokerUnknown, BrokerRefused while tasks name it, NotAllowed."""
    users = tasks_of(broker)
    if users:
        raise BrokerRefused(
            f"the broker {broker} is named by {', '.join(users[:5])}", hint="switch these tasks off first"
        )
    forget_broker(broker, by)
