"""mqtts:// on every broker, with a certificate that nobody but the box knows."""

from pathlib import Path

import pytest

from appliance.bus.errors import BusAway
from appliance.processes.certificate import make_certificate
from tests.brokers import Broker
from tests.desk import Desk, Inbox
from tests.wait import wait_for_async


@pytest.fixture
def tls_broker(broker: Broker) -> Broker:
    broker.stop()
    make_certificate(broker.certificate, broker.key, ["localhost", "127.0.0.1"])
    broker.tls = True
    broker.start()
    return broker


async def test_messages_of_every_size_pass_through_tls(tls_broker: Broker) -> None:
    """TLS hands out records of 16 KiB: what is left of one must not wait for the next packet."""
    sizes = [1, 16_000, 16_384, 40_000, 1, 500_000, 3, 2]
    async with Desk(f"{tls_broker.url}?ca={tls_broker.certificate}") as desk:
        inbox = Inbox()
        await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        for size in sizes:
            await writer.publish("a/b", b"x" * size)
        await wait_for_async(lambda: len(inbox.deliveries) == len(sizes))
        assert [len(d.message.payload) for d in inbox.deliveries] == sizes


async def test_an_unknown_certificate_is_refused_unless_told_otherwise(tls_broker: Broker) -> None:
    async with Desk(tls_broker.url) as desk:
        strict = await desk.client("strict", clean=True, connected=False)
        with pytest.raises(BusAway, match="certificate"):
            await strict.wait_connected(2)
    async with Desk(f"{tls_broker.url}?verify=no") as desk:
        lax = await desk.client("lax", clean=True)
        await lax.publish("a", b"x")


async def test_a_ca_file_that_is_missing_is_said_and_does_not_end_the_client(
    tls_broker: Broker, tmp_path: Path
) -> None:
    async with Desk(f"{tls_broker.url}?ca={tmp_path}/ca.pem") as desk:
        client = await desk.client("any", clean=True, connected=False)
        with pytest.raises(BusAway, match="certificate"):
            await client.wait_connected(1)
        (tmp_path / "ca.pem").write_bytes(tls_broker.certificate.read_bytes())
        await client.wait_connected(5)
