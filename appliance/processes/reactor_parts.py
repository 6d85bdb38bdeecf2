"""What the reactor is made of, wired: the composition that only its process may do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from appliance.agent.router.voices import Voices
from appliance.alerts.follower import AlertFollower
from appliance.bridges.hub import BridgeHub
from appliance.bus.aside import Aside
from appliance.bus.client import BusClient
from appliance.bus.ports import BatchHandler
from appliance.devices.charts.illustrating import ChartIllustrator
from appliance.devices.charts.studio import Studio
from appliance.devices.connections import BrokerConnections, no_connections
from appliance.devices.readings.recorder import Recorder
from appliance.devices.watch import DeviceWatch
from appliance.escalations.escalating import Escalator
from appliance.events.hints import Hinter
from appliance.inference.client import KeeperClient
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.outbox.network.domain import Edge
from appliance.outbox.network.monitor import NetworkMonitor
from appliance.outbox.sender import Sender
from appliance.processes.backlog import Backlog
from appliance.processes.box_topics import BoxTopics
from appliance.processes.brokers import InboundBrokers
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_results import ChatResults
from appliance.processes.chat_routing import ChatRouting, warm_router
from appliance.processes.days import PARTITIONED
from appliance.processes.events_out import EventsOut
from appliance.processes.follow import JournalFollower
from appliance.processes.guard_refusals import GuardRefusals
from appliance.processes.head_out import HeadOut
from appliance.processes.housekeeping import Housekeeping
from appliance.processes.network import network_monitor
from appliance.processes.notices import Notices
from appliance.processes.outgoing import OutgoingBrokers
from appliance.processes.own_topics import OwnTopics
from appliance.processes.part_watch import PartWatch, checks_of
from appliance.processes.parts import BoxServices, DefinitionCache
from appliance.processes.sharing import Sharing
from appliance.runs.away import Lines
from appliance.runs.clock_steps import ClockSteps
from appliance.runs.intake import Intake
from appliance.runs.receipts import Receipts
from appliance.runs.reconciler import Reconciler
from appliance.runs.reflex.lane import ReflexLane
from appliance.runs.shards.keeper import ShardKeeper
from appliance.runs.turns import Turns
from appliance.safety.gate import Gate
from appliance.sandbox.docker.client import GuardClient
from appliance.sandbox.process.client import ProcessSandbox

VERSION = "0.1.0"
REFLEX_PATIENCE = 2.0
"""Seconds that the reactor waits for a further broker; then the run goes to the worker, which waits longer."""
LEASE_PATIENCE = 6.0
"""Seconds in which a worker that lives renews its leases twice."""

Hint = Callable[[Sequence[UUID]], None]


@dataclass(frozen=True)
class Calls:
    """What the parts call in the reactor."""

    hint: Hint
    deliver: BatchHandler
    announce: Callable[[], Awaitable[None]]
    network_changed: Callable[[Sequence[Edge]], None]
    end: Callable[[], None]


@dataclass(frozen=True)
class Messaging:
    """What talks MQTT."""

    topics: BoxTopics
    inbound: BusClient
    outbound: BusClient
    own: OwnTopics
    events: EventsOut
    head: HeadOut
    brokers: InboundBrokers
    others: OutgoingBrokers


@dataclass(frozen=True)
class Engine:
    """What makes runs of events, and keeps them going."""

    intake: Intake
    gate: Gate
    reflex: ReflexLane
    follower: JournalFollower
    reconciler: Reconciler
    turns: Turns
    away: Lines
    shards: ShardKeeper
    backlog: Backlog
    clock_steps: ClockSteps


@dataclass(frozen=True)
class Surroundings:
    """What delivers, and what looks after the box and its devices."""

    hub: BridgeHub
    sender: Sender
    network: NetworkMonitor
    recorder: Recorder
    devices: DeviceWatch
    parts: PartWatch
    housekeeping: Housekeeping
    alerts: AlertFollower
    sharing: Sharing
    notices: Notices
    results: ChatResults
    escalator: Escalator
    refusals: GuardRefusals
    routing: ChatRouting


class Builder:
    """Makes the parts for one configuration and one pool; nothing of them runs yet."""

    def __init__(
        self, config: Config, pool: AsyncConnectionPool[Any], clock: SystemClock, hinter: Hinter, calls: Calls
    ) -> None:
        self._config = config
        self._pool = pool
        self._clock = clock
        self._hinter = hinter
        self._calls = calls
        self._recorder = Recorder(pool, clock, day_bytes=config.keep_bytes // len(PARTITIONED))

    def engine(self, outbound: BusClient, others: OutgoingBrokers) -> Engine:
        config, pool, clock, hint = self._config, self._pool, self._clock, self._calls.hint
        intake = Intake(pool, clock, hint)
        intake.recorder = self._recorder
        gate = Gate(config.home.path)
        intake.reflex = reflex = ReflexLane(
            pool,
            clock,
            gate,
            BoxServices(config.home.id, outbound, ProcessSandbox(config.home.spawner_socket), others),
            intake.last,
            hint,
            DefinitionCache().get,
            self._calls.end,
            acts_after_disk=config.power_safe,
        )
        return Engine(
            intake=intake,
            gate=gate,
            reflex=reflex,
            follower=JournalFollower(pool, intake, hint, self._hinter),
            reconciler=Reconciler(pool, clock, patience=LEASE_PATIENCE),
            turns=Turns(pool),
            away=Lines(pool),
            shards=ShardKeeper(pool),
            backlog=Backlog(clock.monotonic()),
            clock_steps=ClockSteps(pool, clock),
        )

    def outgoing(self) -> tuple[BusClient, OutgoingBrokers]:
        """Commands have a connection of their own, so that they never wait for what comes in."""
        outbound = BusClient(
            self._config.mqtt_url, self._client_id("reflex"), clean=True, box=self._config.home.id
        )
        return outbound, OutgoingBrokers(self._pool, self._config, "reactor", patience=REFLEX_PATIENCE)

    def messaging(self, outbound: BusClient, others: OutgoingBrokers, intake: Intake) -> Messaging:
        config = self._config
        topics = BoxTopics(config.home.id)
        return Messaging(
            topics=topics,
            outbound=outbound,
            others=others,
            inbound=BusClient(
                config.mqtt_url,
                self._client_id("reactor"),
                clean=False,
                box=config.home.id,
                will=topics.will,
                on_batch=self._calls.deliver,
                on_poison=Aside(self._pool).keep,
                on_connected=self._calls.announce,
                session_file=config.home.data / "bus" / "reactor.json",
            ),
            own=OwnTopics(config.home.id, outbound, self._clock, self._calls.hint, VERSION),
            events=EventsOut(self._pool, outbound, config.home.id, self._clock),
            head=HeadOut(outbound, config.home.id, self._clock),
            brokers=InboundBrokers(self._pool, config, intake.deliver),
        )

    def surroundings(self) -> Surroundings:
        config, pool, clock = self._config, self._pool, self._clock
        voices = Voices(
            KeeperClient(config.home.keeper_socket),
            model=config.chat_model,
            patience=config.chat_model_seconds,
        )
        routing = ChatRouting(warm_router(config.home.data), voices=voices)
        hub = BridgeHub(
            pool,
            ChatCommands(routing),
            clock,
            settings={"telegram_api": config.telegram_api},
            illustrator=ChartIllustrator(pool, self._recorder.flush, Studio()),
        )
        network = network_monitor(pool, clock, config, self._calls.network_changed)
        alerts = AlertFollower(pool, clock, self._hinter.poke)
        ours = "nats" in config.embedded
        connections = BrokerConnections(config.home.path / "nats") if ours else no_connections
        return Surroundings(
            hub=hub,
            sender=Sender(pool, hub, Receipts(pool, self._calls.hint), clock, away=network.away),
            network=network,
            recorder=self._recorder,
            devices=DeviceWatch(pool, clock, connections, self._hinter.poke),
            parts=PartWatch(pool, clock, checks_of(config), self._hinter.poke),
            housekeeping=Housekeeping(pool, clock, config, alerts),
            alerts=alerts,
            sharing=Sharing(pool, clock),
            notices=Notices(pool),
            results=ChatResults(pool, clock),
            escalator=Escalator(pool, clock, self._hinter.poke),
            refusals=GuardRefusals(pool, GuardClient(config.home.guard_socket)),
            routing=routing,
        )

    def _client_id(self, role: str) -> str:
        home = self._config.home
        return f"{home.id}-{role}-{home.secret('mqtt_client')[:12]}"
