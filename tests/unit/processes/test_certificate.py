"""The certificate of what listens on the LAN."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from appliance.lib.config import Config, read_config
from appliance.processes.certificate import certificate_for
from appliance.processes.engines import EngineRefused
from appliance.processes.privilege import Privilege

AS_USER = Privilege(root=False)


def configured(tmp_path: Path, **more: str) -> Config:
    given = {"MILLWRIGHT_HOME": str(tmp_path / "home"), "MILLWRIGHT_ENV_FILE": "/dev/null"}
    return read_config({**given, **more})


def test_on_loopback_none_is_made(tmp_path: Path) -> None:
    config = configured(tmp_path)
    certificate_for(config, AS_USER)
    assert not (config.home.path / "tls").exists()


def test_it_names_how_others_and_the_box_itself_reach_it_and_is_made_once(tmp_path: Path) -> None:
    config = configured(tmp_path, MILLWRIGHT_LISTEN="box.lan:8443")
    certificate, key = certificate_for(config, AS_USER)
    first = certificate.read_bytes()
    names = (
        x509.load_pem_x509_certificate(first)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert {"box.lan", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert "127.0.0.1" in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert certificate_for(config, AS_USER)[0].read_bytes() == first
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


def test_the_operators_own_is_copied_for_the_services(tmp_path: Path) -> None:
    certificate, key = certificate_for(configured(tmp_path, MILLWRIGHT_LISTEN="box.lan:8443"), AS_USER)
    own = {"MILLWRIGHT_TLS_CERTIFICATE": str(certificate), "MILLWRIGHT_TLS_KEY": str(key)}
    config = configured(tmp_path / "other", MILLWRIGHT_LISTEN="box.lan:8443", **own)
    copied, copied_key = certificate_for(config, AS_USER)
    assert copied != certificate
    assert copied.read_bytes() == certificate.read_bytes()
    assert stat.S_IMODE(copied_key.stat().st_mode) == 0o600


def test_an_operators_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    own = {"MILLWRIGHT_TLS_CERTIFICATE": "/nowhere.crt", "MILLWRIGHT_TLS_KEY": "/nowhere.key"}
    config = configured(tmp_path, MILLWRIGHT_LISTEN="box.lan:8443", **own)
    with pytest.raises(EngineRefused, match="nowhere"):
        certificate_for(config, AS_USER)
