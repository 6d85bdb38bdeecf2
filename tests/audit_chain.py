"""A small audit chain in memory, signed now and then, for tests that tamper with it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.chain import GENESIS, AuditEntry, Head, Record, body_of, link
from appliance.audit.heads import SignedHead, Signer
from appliance.audit.report import Report
from appliance.audit.verify import ChainCheck, check_heads

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Chain:
    """Records 1 to n, heads signed at ``signed``, and the key."""

    records: list[Record]
    heads: list[SignedHead]
    signer: Signer

    def report(self, head: Head | None = None) -> Report:
        report = Report()
        good = check_heads(self.heads, self.signer.public_key, report, "the test")
        ChainCheck(good, report).walk(self.records, head)
        return report

    def rechain(self, start: int) -> None:
        """What a careful forger does: make every hash from record ``start`` on fit again."""
        previous = self.records[start - 2].hash if start > 1 else GENESIS
        for n in range(start - 1, len(self.records)):
            old = self.records[n]
            own = link(previous, old.seq, old.body)
            self.records[n] = Record(
                old.seq, old.at, old.kind, old.principal, old.subject, old.body, previous, own
            )
            previous = own


def entry(n: int) -> AuditEntry:
    return AuditEntry("step.intent", "user:ana", f"run/{n}", {"n": n}, START + timedelta(seconds=n))


def make_chain(count: int = 10, signed: tuple[int, ...] = (4, 8)) -> Chain:
    signer = Signer(Ed25519PrivateKey.generate(), "0123456789ab")
    records: list[Record] = []
    heads: list[SignedHead] = []
    previous = GENESIS
    for n in range(1, count + 1):
        told = entry(n)
        body = body_of(told)
        own = link(previous, n, body)
        records.append(Record(n, told.at, told.kind, told.principal, told.subject, body, previous, own))
        previous = own
        if n in signed:
            heads.append(signer.sign(Head(n, own), heads[-1] if heads else None, told.at))
    return Chain(records, heads, signer)
