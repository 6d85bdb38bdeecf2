"""The broker's URL: ``mqtt://user:password@host:port`` or ``mqtts://…?ca=/path&verify=no``."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.bus.errors import BadBusAddress

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_OPTIONS = frozenset({"ca", "verify", "cert", "key"})
_NO = frozenset({"no", "0", "false", "none", "off"})
_YES = frozenset({"", "yes", "1", "true", "on"})


class _TidySocket(ssl.SSLSocket):
    """paho drops a socket whose handshake failed without closing it."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the broker is and how to log in. ``ca``, ``cert`` and ``key`` are paths of PEM files."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, url: str) -> "BusAddress":
        """The address in ``url``. Raises BadBusAddress; its message never carries the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadBusAddress(f"the broker's URL cannot be read: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise BadBusAddress(
                "the broker's URL has no host or an unknown scheme",
                hint="write mqtt://user:password@host:1883 or mqtts://host:8883?ca=/path/ca.pem",
            )
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        unknown = sorted(query.keys() - _OPTIONS)
        verify = query.get("verify", "").lower()
        if unknown or verify not in _NO | _YES:
            raise BadBusAddress(
                f"the broker's URL has an unknown option {', '.join(unknown) or 'verify=' + verify}",
                hint="known: ca, cert, key (paths of PEM files), verify=yes|no",
            )
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "mqtts",
            verify=verify in _YES,
            ca=query.get("ca"),
            cert=query.get("cert"),
            key=query.get("key"),
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS settings, or None for a plain connection. Raises BadBusAddress for unreadable files."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            raise BadBusAddress(f"a certificate of the broker's URL cannot be read: {error}") from error
        context.sslsocket_class = _TidySocket
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
