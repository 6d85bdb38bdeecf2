"""A mail server on loopback: real SMTP (RFC 5321) with log-in (RFC 4954), over a socket. It takes mail from who knows
the password, and refuses as such servers do."""

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.standins.server import LOOKS_EVERY

USER, PASSWORD = "box", "n0b0dy-sh0uld-s33-th1s"


class MailStandin:
    """``mails`` has every mail that was taken. ``plan`` maps a word of the talk (``RCPT``, ``DATA`` its beginning,
    ``END`` its end) to the answers of the next times; an empty one ends the connection, ``as usual`` is none."""

    def __init__(self, tls: tuple[Path, Path] | None = None, *, from_the_start: bool = False) -> None:
        """``tls``: a certificate and its key, for who says STARTTLS, or ``from_the_start``."""
        self.password = PASSWORD
        self.from_the_start = from_the_start
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
        if self.tls and tls:
            self.tls.load_cert_chain(*tls)
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.plan: dict[str, list[str]] = {}
        self.log_ins = 0
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.standin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOKS_EVERY,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        """Subject and text, where the subject is more than the beginning of the text."""
        found = []
        for _, mail in self.mails:
            body = mail.get_body(("plain",))
            text = body.get_content().replace("\r\n", "\n").removesuffix("\n") if body else ""
            subject = str(mail["Subject"])
            found.append(text if text.startswith(subject.removesuffix("…")) else f"{subject}\n{text}")
        return found

    @property
    def files(self) -> list[tuple[str, bytes]]:
        return [
            (str(part.get_filename()), part.get_payload(decode=True))  # type: ignore[misc]
            for _, mail in self.mails
            for part in mail.iter_attachments()
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    standin: MailStandin


class _Talk(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            if self.server.standin.from_the_start:
                self._secure()
            self._talk()
        except (OSError, ValueError):
            return  # whoever called does not trust the certificate
        finally:
            self.request.close()

    def _secure(self) -> None:
        assert self.server.standin.tls
        self.rfile.close()
        self.request = self.server.standin.tls.wrap_socket(self.request, server_side=True)
        self.connection = self.request
        self.setup()

    def _talk(self) -> None:
        self._proven, self._to = False, list[str]()
        self._say("220 mail.plant.example ESMTP")
        while line := self.rfile.readline(4096).decode().strip():
            word, _, rest = line.partition(" ")
            planned = self._planned(word.upper())
            if planned == "" or word.upper() == "QUIT":
                return
            said = planned if planned not in (None, "as usual") else self._answer(word.upper(), rest)
            if not said:
                return
            self._say(said)
            if word.upper() == "STARTTLS" and said.startswith("220"):
                self._secure()

    def _planned(self, word: str) -> str | None:
        answers = self.server.standin.plan.get(word)
        return answers.pop(0) if answers else None

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _answer(self, word: str, rest: str) -> str:
        match word:
            case "EHLO":
                offered = "250-STARTTLS\r\n" if self.server.standin.tls else ""
                return f"250-mail.plant.example\r\n{offered}250-AUTH PLAIN\r\n250 SIZE 20000000"
            case "STARTTLS" if self.server.standin.tls:
                return "220 2.0.0 Ready to start TLS"
            case "AUTH":
                return self._log_in(rest)
            case "MAIL" if not self._proven:
                return "530 5.7.0 Authentication required"
            case "MAIL" | "RSET" | "NOOP":
                self._to = []
                return "250 2.1.0 Ok"
            case "RCPT":
                self._to.append(rest.partition("<")[2].rstrip(">"))
                return "250 2.1.5 Ok"
            case "DATA" if self._to:
                return self._take()
            case _:
                return "503 5.5.1 Bad sequence of commands"

    def _log_in(self, rest: str) -> str:
        kind, _, proof = rest.partition(" ")
        said = base64.b64decode(proof).decode().split("\0")[1:] if kind == "PLAIN" else []
        if said != [USER, self.server.standin.password]:
            return f"535 5.7.8 {USER}: authentication failed"
        self._proven = True
        self.server.standin.log_ins += 1
        return "235 2.7.0 Authentication successful"

    def _take(self) -> str:
        self._say("354 End data with <CR><LF>.<CR><LF>")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        planned = self._planned("END")
        if planned is not None:
            return planned
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.server.standin.mails.append((self._to, mail))
        return "250 2.0.0 Ok: queued as 1"
