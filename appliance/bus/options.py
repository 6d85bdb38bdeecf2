"""The limits of a bus client, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BusOptions:
    """The limits of a client. Times are in seconds."""

    keepalive: int = 30
    connect_timeout: float = 5.0
    max_payload: int = 1024 * 1024
    max_batch: int = 512
    max_queue: int = 10_000
    max_queue_bytes: int = 64 * 1024 * 1024
    max_publishing: int = 1000
    """Publishes that wait for their PUBACK at one time; the next ones wait for a place."""
    max_filters: int = 30
    ping_every: float = 10.0
    ping_patience: float = 5.0
    tick: float = 1.0
    catch_up: float = 5.0
    """After a log-in to a session of before: what comes so soon may be what the broker kept while we were away."""
    retry_base: float = 0.2
    retry_cap: float = 15.0
