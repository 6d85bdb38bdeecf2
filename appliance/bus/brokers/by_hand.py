"""What a person does at a further broker: test it, publish one message."""

import secrets

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.bus.address import BusAddress
from appliance.bus.brokers.domain import BrokerSpec, check_publishable
from appliance.bus.brokers.probe import round_trip
from appliance.bus.brokers.services import find_broker
from appliance.bus.filters import check_not_own
from appliance.bus.places import place_of
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


def publish_by_hand(
    topic: str, payload: bytes, by: Principal, *, broker: str = "", retain: bool = False
) -> str:
    """Publish to the topic that the box writes as ``topic``, return at the PUBACK, and put it on record.

    Gives where it went. Without ``broker`` to the box's own. Raises NotAllowed, BrokerUnknown, TopicRefused,
    PayloadTooLarge, BusAway.
    """
    by.require(Ability.PUBLISH, topic=topic)
    if broker:
        spec = find_broker(broker)
        publish_once(_address(spec), check_publishable(spec, topic), payload, retain=retain)
    else:
        config = get_config()
        publish_once(config.mqtt_url, check_not_own(topic, config.home.id), payload, retain=retain)
    place = place_of(broker, topic)
    append_here("bus.publish", by.name, place, {"bytes": len(payload), "retain": retain})
    return place


def _address(spec: BrokerSpec) -> BusAddress:
    return spec.address(resolve(spec.password) if spec.password else None)
