"""A port that cannot be had gives a sentence that says which, why, and what to set."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lib.config import Config, read_config
from appliance.processes.startup import PortTaken, check_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def configured(tmp_path: Path, **more: str) -> Config:
    return read_config({"MILLWRIGHT_HOME": str(tmp_path), "MILLWRIGHT_ENV_FILE": "/dev/null", **more})


def test_free_ports_are_fine(tmp_path: Path) -> None:
    check_ports(configured(tmp_path))


@pytest.mark.parametrize("variable", ["MILLWRIGHT_LISTEN", "MILLWRIGHT_MQTT_LISTEN"])
def test_a_taken_port_is_named_with_a_free_one_and_how_to_set_it(
    tmp_path: Path, taken: int, variable: str
) -> None:
    with pytest.raises(PortTaken) as error:
        check_ports(configured(tmp_path, **{variable: f"127.0.0.1:{taken}"}))
    assert f"port {taken} on 127.0.0.1" in str(error.value)
    set_to = str(error.value).partition(f"set {variable}=127.0.0.1:")[2].rstrip(")")
    with socket.create_server(("127.0.0.1", int(set_to))):
        pass


def test_the_brokers_port_does_not_matter_where_the_broker_is_elsewhere(tmp_path: Path, taken: int) -> None:
    check_ports(
        configured(tmp_path, MILLWRIGHT_MQTT_LISTEN=f"127.0.0.1:{taken}", MQTT_URL="mqtt://elsewhere")
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(PortTaken, match=f"cannot listen on {host}:8000.*MILLWRIGHT_LISTEN") as error:
        check_ports(configured(tmp_path, MILLWRIGHT_LISTEN=f"{host}:8000"))
    assert "taken" not in str(error.value)
    assert errno.errorcode[errno.EADDRNOTAVAIL]
