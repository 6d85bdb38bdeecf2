"""The broker's URL."""

import ssl

import pytest

from appliance.bus.address import BusAddress
from appliance.bus.errors import BadBusAddress


def test_a_plain_url_gives_host_port_and_login() -> None:
    address = BusAddress.parse("mqtt://us%40er:p%3Aw@10.0.0.5")
    assert (address.host, address.port, address.username, address.password) == (
        "10.0.0.5",
        1883,
        "us@er",
        "p:w",
    )
    assert address.tls_context() is None


def test_the_password_is_not_in_the_representation() -> None:
    assert "geheim" not in repr(BusAddress.parse("mqtt://u:geheim@h"))


def test_tls_verifies_unless_told_not_to() -> None:
    strict = BusAddress.parse("mqtts://h").tls_context()
    lax = BusAddress.parse("mqtts://h?verify=no").tls_context()
    assert strict
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    assert lax
    assert lax.verify_mode is ssl.CERT_NONE
    assert BusAddress.parse("mqtts://h").port == 8883


@pytest.mark.parametrize(
    "url",
    ["http://h", "mqtt://", "h:1883", "mqtt://h:99999", "mqtt://h?colour=red", "mqtts://h?verify=perhaps"],
)
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(BadBusAddress):
        BusAddress.parse(url)


def test_a_missing_ca_file_is_named(tmp_path: object) -> None:
    with pytest.raises(BadBusAddress, match="certificate"):
        BusAddress.parse(f"mqtts://h?ca={tmp_path}/none.pem").tls_context()
