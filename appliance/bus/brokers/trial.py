"""The test of one further broker, as the page, the command and the API offer it."""

import secrets

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.bus.brokers.probe import round_trip
from appliance.bus.brokers.services import find_broker
from appliance.lib.config import get_config
from appliance.safety.secrets import resolve


def try_broker(name: str, by: Principal, *, timeout: float = 5.0) -> float:
    """Seconds of a round trip over ``millwright/<box>/test/<random>`` on that broker.

    Under a client id of its own: the connection that works is not put out by its test.
    Raises BrokerUnknown, BusAway with what went wrong, SecretMissing, NotAllowed.
    """
    by.require(Ability.MANAGE_BROKERS)
    spec = find_broker(name)
    box, token = get_config().home.id, secrets.token_hex(4)
    address = spec.address(resolve(spec.password) if spec.password else None)
    return round_trip(address, f"millwright/{box}/test/{token}", f"{box}-test-{token}", timeout=timeout)
