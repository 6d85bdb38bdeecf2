"""The certificate of what listens on the LAN: the box's own, or one that the operator brings."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.lib.atomic import write_atomically
from appliance.lib.config import Config
from appliance.lib.listening import names_of
from appliance.processes.engines import EngineRefused
from appliance.processes.layout import service_folder
from appliance.processes.privilege import Privilege

VALID = timedelta(days=3650)


def make_certificate(certificate: Path, key: Path, names: list[str]) -> None:
    """Write a self-signed P-256 certificate for ``names`` and its key (0600)."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Millwright box")])
    now = datetime.now(UTC)
    alternatives = x509.SubjectAlternativeName([_name(name) for name in dict.fromkeys(names)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(key, pem)
    write_atomically(certificate, built.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate_for(config: Config, privilege: Privilege) -> tuple[Path, Path]:
    """Certificate and key that the services can read: the box's own, made once, or a copy of the operator's.

    Raises EngineRefused when the operator's cannot be read.
    """
    folder = config.home.path / "tls"
    if not (config.http_tls or config.mqtt_tls):
        return config.tls_certificate, config.tls_key
    service_folder(folder, privilege)
    if config.tls_own:
        certificate, key = config.tls_certificate, config.tls_key
        if not (certificate.exists() and key.exists()):
            names = names_of(config.http_listen[0]) + names_of(config.mqtt_listen[0])
            make_certificate(certificate, key, [*names, "localhost", "127.0.0.1"])
    else:
        certificate, key = folder / "operator.crt", folder / "operator.key"
        try:
            write_atomically(certificate, config.tls_certificate.read_bytes())
            write_atomically(key, config.tls_key.read_bytes())
        except OSError as error:
            raise EngineRefused(
                f"the certificate cannot be read: {error}",
                hint="see MILLWRIGHT_TLS_CERTIFICATE and MILLWRIGHT_TLS_KEY",
            ) from error
    privilege.hand_over(folder)
    return certificate, key
