"""What stands in the place of ``requests`` and ``smtplib`` within apprise's services: they find the route of their
message behind it, and no other way out."""

import smtplib
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import python_socks.sync
from requests import Request as Prepared
from requests import RequestException, TooManyRedirects, codes
from requests import Response as Told

from appliance.bridges.apprise.route import ROUTE
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway

MAIL_TIMEOUT = 15.0
"""Seconds for each word of the talk with a mail server."""
MAIL_PATIENCE = 60.0
"""Seconds after which a mail server that puts a message off is asked again."""


class HttpDoor:
    """The part of ``requests`` that apprise's services call. Their wishes for time limits, redirects, certificates and
    proxies are left out: the route has its own."""

    RequestException = RequestException
    TooManyRedirects = TooManyRedirects
    codes = codes

    @staticmethod
    def request(method: str, url: str, **wishes: Any) -> Told:
        meant = {
            key: wishes[key]
            for key in ("params", "data", "json", "headers", "files", "auth")
            if key in wishes
        }
        prepared = Prepared(method.upper(), url, **meant).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        headers = {
            name: value for name, value in prepared.headers.items() if name.lower() != "content-length"
        }
        answer = ROUTE.get().request(str(prepared.method), str(prepared.url), body, headers)  # type: ignore[arg-type]
        told = Told()
        told.status_code, told.url, told.encoding = answer.status, str(prepared.url), "utf-8"
        told.headers.update(answer.headers)
        told._content = answer.text.encode()
        told._content_consumed = True
        return told

    @classmethod
    def get(cls, url: str, **wishes: Any) -> Told:
        return cls.request("GET", url, **wishes)

    @classmethod
    def post(cls, url: str, **wishes: Any) -> Told:
        return cls.request("POST", url, **wishes)

    @classmethod
    def put(cls, url: str, **wishes: Any) -> Told:
        return cls.request("PUT", url, **wishes)

    @classmethod
    def delete(cls, url: str, **wishes: Any) -> Told:
        return cls.request("DELETE", url, **wishes)


# --- e-mail -----------------------------------------------------------------------------------------


class _Routed(smtplib.SMTP):
    """Connects through the route's proxy."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        proxy = ROUTE.get().proxy
        if not proxy:
            return super()._get_socket(host, port, timeout)  # type: ignore[misc,no-any-return]
        meant = proxy.replace("socks5h://", "socks5://", 1)
        through = python_socks.sync.Proxy.from_url(meant, rdns=proxy.startswith("socks5h://"))
        try:
            return through.connect(host, port, timeout=timeout)
        except python_socks.ProxyError as error:
            raise OSError("the proxy did not get through") from error
        except python_socks.ProxyTimeoutError as error:
            raise TimeoutError("the proxy did not answer") from error


class _Judged(smtplib.SMTP):
    """Every refusal becomes an error of the outbox, which apprise does not catch."""

    said_data = False
    delivered = False

    def starttls(self, *arguments: Any, **named: Any) -> Any:
        return self._judged(super().starttls, *arguments, **named)

    def login(self, *arguments: Any, **named: Any) -> Any:
        return self._judged(super().login, *arguments, **named)

    def sendmail(self, *arguments: Any, **named: Any) -> Any:
        """A recipient that is refused beside others that are not is a note, and no reason to send it again."""
        self.said_data = self.delivered
        refused = self._judged(super().sendmail, *arguments, **named)
        self.delivered = True
        if refused:
            statuses = ", ".join(sorted({str(code) for code, _ in refused.values()}))
            ROUTE.get().notes.append(f"{len(refused)} of the recipients refused (status {statuses})")
        return {}

    def data(self, message: Any) -> Any:
        self.said_data = True
        return super().data(message)

    def _judged(self, act: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return act(*arguments, **named)
        except OSError as error:
            self.close()
            raise _told(error, self.said_data) from None


class PlainServer(_Judged, _Routed):
    pass


class TlsServer(_Judged, smtplib.SMTP_SSL, _Routed):
    pass


Server = TypeVar("Server", PlainServer, TlsServer)


class MailDoor:
    """The part of ``smtplib`` that apprise's e-mail calls."""

    SMTPException = smtplib.SMTPException

    @staticmethod
    def SMTP(host: str, port: int, local: str | None = None, **_: Any) -> PlainServer:  # noqa: N802 - smtplib's name
        return _opened(lambda: PlainServer(host, port, local, timeout=MAIL_TIMEOUT))

    @staticmethod
    def SMTP_SSL(host: str, port: int, local: str | None = None, **named: Any) -> TlsServer:  # noqa: N802
        trust: ssl.SSLContext | None = named.get("context")
        return _opened(lambda: TlsServer(host, port, local, timeout=MAIL_TIMEOUT, context=trust))


def _opened(connect: Callable[[], Server]) -> Server:
    try:
        server = connect()
    except OSError as error:
        raise _told(error, False) from None
    ROUTE.get().attend(server)
    return server


def _told(error: OSError, maybe_sent: bool) -> DeliveryError:
    """What a mail server's refusal means (RFC 5321: 4xx may pass, 5xx will not). Its words are left out: they repeat
    names and addresses."""
    route = ROUTE.get()
    return route.fail(_meaning(error, maybe_sent, "the mail server"))


def _meaning(error: OSError, maybe_sent: bool, who: str) -> DeliveryError:
    match error:
        case smtplib.SMTPRecipientsRefused():
            codes_given = sorted({code for code, _ in error.recipients.values()})
            status = codes_given[0] if codes_given else 550
            if status < 500:
                return _put_off(who, status)
            return NotReady(f"{who} refuses the recipient (status {status})", hint="look at the address")
        case smtplib.SMTPResponseException() if 400 <= error.smtp_code < 500:
            return _put_off(who, error.smtp_code)
        case smtplib.SMTPResponseException() if error.smtp_code < 400:
            return PlatformAway(f"{who} answers with nonsense", maybe_sent=maybe_sent)
        case smtplib.SMTPAuthenticationError():
            return NotReady(
                f"{who} refuses the user name or the password (status {error.smtp_code})",
                hint="many providers want a password made for programs",
            )
        case smtplib.SMTPSenderRefused():
            return NotReady(
                f"{who} refuses the sender (status {error.smtp_code})", hint="from= in the address"
            )
        case smtplib.SMTPDataError():
            return DeliveryRefused(f"{who} does not take the message (status {error.smtp_code})")
        case smtplib.SMTPNotSupportedError():
            return NotReady(f"{who} offers no TLS, or no log-in", hint="mode= and port in the address")
        case ssl.SSLCertVerificationError():
            return NotReady(f"{who} shows a certificate that proves nothing", hint="is it the right host?")
        case smtplib.SMTPResponseException():
            return PlatformAway(f"{who} answers with status {error.smtp_code}", maybe_sent=maybe_sent)
        case TimeoutError():
            return PlatformAway(f"{who} does not answer in time", maybe_sent=maybe_sent)
        case _:
            what = "ends the connection" if maybe_sent else "cannot be reached"
            return PlatformAway(f"{who} {what}", maybe_sent=maybe_sent)


def _put_off(who: str, status: int) -> DeliveryError:
    return DeliveryDeferred(f"{who} asks for patience (status {status})", retry_after=MAIL_PATIENCE)
