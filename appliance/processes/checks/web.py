"""What others on the network meet: TLS, cookies, names, proxies."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from django.conf import settings

from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, problem, unknown
from appliance.lib.listening import is_loopback

SOON = timedelta(days=30)
_WIDE = {4: 16, 6: 48}


def _exposed(patient: Patient) -> bool:
    """Whether somebody else than this machine gets to the pages: directly, or by a proxy in front."""
    config = patient.config
    host = urlsplit(config.public_url).hostname or ""
    return not is_loopback(config.http_listen[0]) or not is_loopback(host)


def _https(patient: Patient) -> Found:
    if not _exposed(patient):
        return absent("it listens on loopback only")
    return either(patient.config.public_url.startswith("https://"), patient.config.public_url)


def _mqtts(patient: Patient) -> Found:
    host, _ = patient.config.mqtt_listen
    if "nats" not in patient.config.embedded:
        return either(patient.config.mqtt_url.startswith("mqtts://"), "your own broker")
    if is_loopback(host):
        return absent("it listens on loopback only")
    return either(patient.config.mqtt_tls, f"listens on {host}")


def _certificate(patient: Patient) -> x509.Certificate | None:
    if not (patient.config.http_tls or patient.config.mqtt_tls):
        return None
    return x509.load_pem_x509_certificate(Path(patient.config.tls_certificate).read_bytes())


def _expiry(patient: Patient) -> Found:
    certificate = _certificate(patient)
    if certificate is None:
        return absent("no TLS here")
    ends = certificate.not_valid_after_utc
    return either(ends - patient.now > SOON, f"until {ends:%Y-%m-%d}")


def _signed(patient: Patient) -> Found:
    certificate = _certificate(patient)
    if certificate is None:
        return absent("no TLS here")
    if not patient.config.tls_own:
        return good(f"by {certificate.issuer.rfc4514_string()[:100]}")
    mark = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return problem(f"the box signed it itself; SHA-256 {mark}")


def _debug(patient: Patient) -> Found:
    return either(not patient.config.debug, "on" if patient.config.debug else "off")


def _cookies(patient: Patient) -> Found:
    if not patient.config.public_url.startswith("https://"):
        return either(not _exposed(patient), "sent in clear" if _exposed(patient) else "loopback only")
    safe = settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE and settings.SESSION_COOKIE_HTTPONLY
    return either(safe, "Secure, HttpOnly, SameSite=Lax" if safe else "not all of them")


def _hsts(patient: Patient) -> Found:
    if not patient.config.public_url.startswith("https://"):
        return absent("no TLS here")
    if not patient.config.hsts_seconds and patient.config.http_tls and patient.config.tls_own:
        return absent("the box signed its own certificate: browsers would let nobody in")
    return either(patient.config.hsts_seconds > 0, f"{patient.config.hsts_seconds} s")


def _policy(patient: Patient) -> Found:
    policy: dict[str, Any] = dict(settings.CONTENT_SECURITY_POLICY)
    weak = [
        f"{name} {value}"
        for name, values in policy["DIRECTIVES"].items()
        for value in values
        if "unsafe" in str(value) or str(value) in ("*", "http:", "https:")
    ]
    outside = set(policy.get("EXCLUDE_URL_PREFIXES", ())) - {"/admin/"}
    return either(
        not weak and not outside, "; ".join([*weak, *sorted(outside)]) or "none but /admin/ is outside"
    )


def _hosts(patient: Patient) -> Found:
    wide = [host for host in patient.config.allowed_hosts if host == "*" or host.startswith(".")]
    return either(not wide, ", ".join(wide))


def _proxies(patient: Patient) -> Found:
    named = patient.config.trusted_proxies
    wide = [str(one) for one in named if one.prefixlen < _WIDE[one.version]]
    if wide:
        return problem(f"whole networks are believed: {', '.join(wide)}")
    behind = patient.config.public_url.startswith("https://") and not patient.config.http_tls
    if behind and not named:
        return problem("a proxy speaks TLS in front of the box, and none is named")
    return good(", ".join(map(str, named)) or "none")


def _key(patient: Patient) -> Found:
    length = len(patient.config.secret_key)
    return either(length >= 32, "" if length >= 32 else f"{length} characters")


def _reads(patient: Patient) -> Found:
    path = Path(patient.config.container_engine.removeprefix("unix://"))
    if not path.exists():
        return absent("no Docker engine")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return unknown(str(error.strerror))
    return either(not mode & 0o006, f"mode {mode & 0o777:o}")


CHECKS = (
    Check(
        "MW-S001", "Pages are reached by TLS from beyond this machine", Severity.HIGH, _https,
        "leave `MILLWRIGHT_TLS` at auto, or put a proxy with TLS in front and set `MILLWRIGHT_PUBLIC_URL`",
    ),
    Check(
        "MW-S002", "The broker speaks TLS beyond this machine", Severity.HIGH, _mqtts,
        "leave `MILLWRIGHT_TLS` at auto; use mqtts:// for your own broker",
    ),
    Check(
        "MW-S003", "The certificate is good for another month", Severity.HIGH, _expiry,
        "`manage.py tls renew` for the box's own; else put the new one where `MILLWRIGHT_TLS_CERTIFICATE` says",
    ),
    Check(
        "MW-S004", "The certificate is signed by somebody whom browsers know", Severity.LOW, _signed,
        "compare this fingerprint at the first visit, or bring a certificate of your plant's own authority",
    ),
    Check("MW-S005", "Debug pages are off", Severity.HIGH, _debug, "take `MILLWRIGHT_DEBUG` away"),
    Check(
        "MW-S006", "Cookies are kept from others", Severity.HIGH, _cookies,
        "see MW-S001: cookies are Secure as soon as the public address is https",
    ),
    Check(
        "MW-S007", "Browsers insist on TLS (HSTS)", Severity.MEDIUM, _hsts,
        "leave `MILLWRIGHT_HSTS_SECONDS` at auto",
    ),
    Check(
        "MW-S008", "Pages run no script but the box's own", Severity.HIGH, _policy,
        "take the change of `CONTENT_SECURITY_POLICY` back",
    ),
    Check(
        "MW-S009", "The box answers under its own names only", Severity.MEDIUM, _hosts,
        "name the hosts in `MILLWRIGHT_ALLOWED_HOSTS` one by one",
    ),
    Check(
        "MW-S010", "Only named proxies are believed", Severity.MEDIUM, _proxies,
        "put the proxies' own addresses into `MILLWRIGHT_TRUSTED_PROXIES`",
    ),
    Check(
        "MW-S011", "The key of sessions cannot be guessed", Severity.HIGH, _key,
        "take `MILLWRIGHT_SECRET_KEY` away: the box makes one of 256 bits",
    ),
    Check(
        "MW-S012", "The container engine's socket is not everybody's", Severity.HIGH, _reads,
        "chmod 660 on the socket: who may write to it is root on this machine",
    ),
)  # fmt: skip
