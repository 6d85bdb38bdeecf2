"""What can go wrong on the bus."""

from appliance.lib.errors import MillwrightError


class BusError(MillwrightError):
    """The root of the bus's errors."""

    code = "bus.error"


class BusAway(BusError):
    """The broker is not reachable, or did not confirm in time. It may still have received the message."""

    code = "bus.away"
    permanent = False


class ConnectionLost(BusAway):
    """The connection ended before the broker answered."""

    code = "bus.connection_lost"


class TopicRefused(BusError):
    """A topic or filter that MQTT or one of our brokers cannot carry; it never reached the wire."""

    code = "bus.topic_refused"


class PayloadTooLarge(BusError):
    """A payload over the limit; it never reached the wire."""

    code = "bus.payload_too_large"


class SubscriptionRefused(BusError):
    """The broker answered a subscription with a failure code."""

    code = "bus.subscription_refused"


class BadBusAddress(BusError):
    """The broker's URL cannot be used."""

    code = "bus.bad_address"


class BrokerRefused(BusError):
    """What was said about a further broker cannot be kept."""

    code = "bus.broker_refused"


class BrokerUnknown(BusError):
    """No further broker has that name."""

    code = "bus.broker.not_found"


class BrokerOff(BusError):
    """The broker is switched off here."""

    code = "bus.broker_off"
