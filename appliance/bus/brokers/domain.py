"""What is known of a further broker, and how its topics are written in the box. No Django, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from appliance.bus.address import BusAddress
from appliance.bus.errors import BrokerRefused, TopicRefused
from appliance.bus.filters import check_filter, check_topic
from appliance.bus.places import check_broker_name

MAX_CLIENT_ID = 100
MAX_FILTERS = 30


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """One further broker. ``password`` is a reference ``secret:NAME``; ``ca`` is the path of a PEM file.

    ``filters`` are listened to beside what the triggers ask for, as the broker writes them. Under ``prefix`` the
    box sees its topics: ``line1/temp`` there is ``<prefix>/line1/temp`` here.
    """

    name: str
    url: str
    username: str = ""
    password: str = ""
    ca: str = ""
    verify: bool = True
    client_id: str = ""
    filters: tuple[str, ...] = ()
    prefix: str = ""
    enabled: bool = True

    def checked(self) -> "BrokerSpec":
        """Itself, tidied. Raises BrokerRefused, TopicRefused, BadBusAddress."""
        check_broker_name(self.name)
        address = BusAddress.parse(self.url)
        if address.username or address.password:
            raise BrokerRefused(
                "the URL of a broker carries no user and no password",
                hint="give them apart; the password becomes a secret",
            )
        if self.ca and not address.tls:
            raise BrokerRefused("a CA file belongs to mqtts://", hint="change the URL, or leave it out")
        if self.password and not self.password.startswith("secret:"):
            raise BrokerRefused("the password is named, not told", hint="as in secret:plant-broker")
        if self.password and not self.username:
            raise BrokerRefused("MQTT knows no password without a user", hint="name the user")
        for text in (self.username, self.client_id, self.ca):
            if len(text) > 300 or not text.isprintable():
                raise BrokerRefused(
                    "user, client id and CA file are printable text of at most 300 characters"
                )
        if len(self.client_id) > MAX_CLIENT_ID:
            raise BrokerRefused(f"a client id has at most {MAX_CLIENT_ID} characters")
        if len(self.filters) > MAX_FILTERS:
            raise BrokerRefused(f"at most {MAX_FILTERS} filters", hint="use wider ones, as plant/#")
        prefix = self.prefix.strip().rstrip("/")
        if prefix:
            check_topic(prefix)
        return replace(self, filters=tuple(dict.fromkeys(map(check_filter, self.filters))), prefix=prefix)

    def address(self, password: str | None) -> BusAddress:
        """Where to connect, with the password in clear. Raises BadBusAddress."""
        parsed = BusAddress.parse(self.url)
        return replace(
            parsed,
            username=self.username or None,
            password=password or None,
            ca=self.ca or parsed.ca,
            verify=self.verify and parsed.verify,
        )

    def to_box(self, topic: str) -> str:
        """How the box writes a topic of this broker."""
        return f"{self.prefix}/{topic}" if self.prefix else topic

    def to_wire(self, topic: str) -> str:
        """How the broker writes a topic that the box names. Raises TopicRefused outside the prefix."""
        if not self.prefix:
            return topic
        head, _, rest = topic.partition(f"{self.prefix}/")
        if head or not rest:
            raise TopicRefused(
                f"the topics of the broker {self.name} begin with {self.prefix}/, and {topic!r} does not"
            )
        return rest


def wire_filter(filter_: str, prefix: str) -> str | None:
    """The filter to subscribe for a filter of the box; None where nothing under the prefix can match it."""
    levels = filter_.split("/")
    for wanted in prefix.split("/") if prefix else []:
        if levels and levels[0] == "#":
            return "#"
        if not levels or levels[0] not in ("+", wanted):
            return None
        del levels[0]
    return "/".join(levels) or None


def wire_filters(filters: Iterable[str], spec: BrokerSpec) -> frozenset[str]:
    """Everything to subscribe at a broker: what triggers look for, and what its row listens to."""
    found = {wire for one in filters if (wire := wire_filter(one, spec.prefix)) is not None}
    return frozenset(found | set(spec.filters))


def check_publishable(spec: BrokerSpec, topic: str) -> str:
    """The topic on the wire. Raises TopicRefused."""
    return check_topic(spec.to_wire(topic))
