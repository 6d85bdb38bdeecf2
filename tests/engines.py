"""The real engines of the product, started once for the tests that need them."""

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.lib.config import Config
from appliance.processes.startup import Startup


@contextmanager
def running_engines(config: Config) -> Iterator[Config]:
    """PostgreSQL, Redis and NATS of this home, by the product's own start-up; nothing is synced to the
    disk."""
    startup = Startup(config, print)
    try:
        startup.prepare(services=False, durable=False)
        startup.start_manager()
        startup.start_engines()
        startup.await_engines(may_create_databases=True)
        yield config
    finally:
        startup.stop()
