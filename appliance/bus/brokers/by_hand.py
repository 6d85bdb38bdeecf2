"""What a person does at a further broker: test it, publish one message."""

import secrets

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.bus.address import BusAddress
from appliance.bus.brokers.domain import BrokerSpec, check_publishable
from appliance.bus.brokers.probe import round_trip
from appliance.bus.brokers.services import find_broker
from appliance.bus.publish_once import publish_once
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
    topic, client_id = f"millwright/{box}/test/{token}", f"{box}-test-{token}"
    return round_trip(_address(spec), topic, client_id, timeout=timeout)


def publish_by_hand(name: str, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Publish to the topic that the box writes as ``topic``, and return at the PUBACK.

    The caller asks for the right to publish. Raises BrokerUnknown, TopicRefused, PayloadTooLarge, BusAway.
    """
    spec = find_broker(name)
    publish_once(_address(spec), check_publishable(spec, topic), payload, retain=retain)


def _address(spec: BrokerSpec) -> BusAddress:
    return spec.address(resolve(spec.password) if spec.password else None)
