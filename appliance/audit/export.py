"""The audit record as one file that proves itself: JSON lines of signed heads and records, a signed end.

A segment is a stretch of the record in the same form: it names the record that it begins after.
"""

import contextlib
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from appliance.audit.chain import BEGINNING, Head, Record
from appliance.audit.errors import ExportUnreadable
from appliance.audit.heads import SignedHead, Signer, signed_by
from appliance.audit.report import Finding, Report
from appliance.audit.verify import ChainCheck, check_heads
from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonObject

FORMAT = "millwright-audit/1"
_LONGEST_LINE = 1_000_000


def write_export(
    file: Path,
    records: Iterable[Record],
    heads: Iterable[SignedHead],
    signer: Signer,
    box: str,
    at: datetime,
    after: Head = BEGINNING,
) -> Head:
    """Write the export; it appears under its name only when it is whole. Returns the end of the chain.

    ``after`` is the record before the first one. A name that ends in ``.gz`` is compressed.
    """
    head, count, signed = after, 0, 0
    digest = hashlib.sha256()
    part = file.with_name(f".{file.name}.part")
    start: JsonObject = {"format": FORMAT, "box": box, "key": signer.public_key.hex(), "at": at.isoformat()}
    if after.seq:
        start["after"] = {"seq": after.seq, "hash": after.hash.hex()}
    part.unlink(missing_ok=True)  # of an export that did not end; a link put there is not followed
    with part.open("xb") as plain, _compressed(plain, file) as out:

        def put(value: Any) -> None:
            line = canonical_json(value) + b"\n"
            digest.update(line)
            out.write(line)

        put(start)
        for signed_head in heads:
            put({"head": signed_head.body, "signature": signed_head.signature.hex()})
            signed += 1
        for record in records:
            put({"record": shown(record)})
            head, count = Head(record.seq, record.hash), count + 1
        end = canonical_json({"records": count, "heads": signed, "sha256": digest.hexdigest()}).decode()
        out.write(canonical_json({"end": end, "signature": signer.sign_text(end).hex()}) + b"\n")
        if out is not plain:
            out.close()
        plain.flush()
        os.fsync(plain.fileno())
    part.replace(file)
    return head


def _compressed(plain: BinaryIO, file: Path) -> Any:
    return gzip.GzipFile("", "wb", 6, plain, 0) if file.suffix == ".gz" else contextlib.nullcontext(plain)


def verify_export(file: Path, public_key: bytes | None = None) -> Report:
    """Check an export with nothing but itself and, better, the public key one trusts.

    Without ``public_key`` the key in the file is used, which proves only that the file agrees with itself.
    Raises ExportUnreadable.
    """
    try:
        with (gzip.open if is_gzip(file) else open)(file, "rb") as lines:
            reader = _Reader(lines)
            key = public_key or reader.key
            report = Report(key=key.hex(), start=reader.start)
            if public_key is None:
                report.notes.append("checked with the key in the file itself; give --key to trust another")
            elif reader.key != public_key:
                report.notes.append("the file names another key than the one given")
            heads = list(reader.heads())
            good = check_heads(heads, key, report, "the export", whole=not reader.start.seq)
            ChainCheck(good, report).walk(reader.records(), None)
            reader.check_end(key, report)
    except (OSError, EOFError, zlib.error) as error:
        raise ExportUnreadable(f"{file} cannot be read: {error}") from error
    return report


def is_gzip(file: Path) -> bool:
    with file.open("rb") as begin:
        return begin.read(2) == b"\x1f\x8b"


class _Reader:
    """Reads an export once, front to back."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._digest = hashlib.sha256()
        self._lines = enumerate(lines, 1)
        self._first: dict[str, Any] | None = None
        self._end: dict[str, Any] | None = None
        number, start = self._next() or (1, {})
        if start.get("format") != FORMAT:
            raise ExportUnreadable(f"line {number}: this is not an export of an audit record")
        try:
            self.key = bytes.fromhex(start["key"])
            after = start.get("after")
            self.start = Head(int(after["seq"]), bytes.fromhex(after["hash"])) if after else BEGINNING
        except (KeyError, ValueError, TypeError) as error:
            raise ExportUnreadable("line 1: the export does not say its key and where it begins") from error

    def heads(self) -> Iterator[SignedHead]:
        while (found := self._next()) is not None:
            number, said = found
            if "head" not in said:
                self._first = said
                return
            try:
                yield SignedHead.of(said["head"], bytes.fromhex(said["signature"]))
            except (KeyError, ValueError, TypeError) as error:
                raise ExportUnreadable(f"line {number}: a signed head cannot be read") from error

    def records(self) -> Iterator[Record]:
        first = [(0, self._first)] if self._first is not None and "record" in self._first else []
        for number, said in chain(first, iter(self._next, None)):
            if "record" not in said:
                raise ExportUnreadable(f"line {number}: expected a record")
            try:
                yield record_of(said["record"])
            except (KeyError, ValueError, TypeError) as error:
                raise ExportUnreadable(f"line {number}: a record cannot be read") from error

    def check_end(self, key: bytes, report: Report) -> None:
        if self._end is None:
            report.add(
                Finding.TRUNCATED,
                report.head.seq + 1,
                "the export has no end: it was cut off or is not whole",
            )
            return
        text, digest = str(self._end.get("end")), self._digest.hexdigest()
        try:
            signature = bytes.fromhex(str(self._end.get("signature")))
        except ValueError:
            signature = b""
        if not signed_by(key, text, signature):
            report.add(Finding.EXPORT_CHANGED, report.head.seq, "the end of the export has a false signature")
        elif json.loads(text).get("sha256") != digest:
            report.add(Finding.EXPORT_CHANGED, report.head.seq, "the export is not the one that was signed")
        if next(self._lines, None) is not None:
            report.add(
                Finding.EXPORT_CHANGED, report.head.seq, "something was added after the end of the export"
            )

    def _next(self) -> tuple[int, dict[str, Any]] | None:
        found = next(self._lines, None)
        if found is None:
            return None
        number, line = found
        if len(line) > _LONGEST_LINE:
            raise ExportUnreadable(f"line {number} is too long")
        try:
            said = json.loads(line)
        except ValueError as error:
            raise ExportUnreadable(f"line {number} is not JSON") from error
        if not isinstance(said, dict):
            raise ExportUnreadable(f"line {number}: expected an object")
        if "end" in said:
            self._end = said
            return None
        self._digest.update(line)
        return number, said


def shown(record: Record) -> JsonObject:
    """A record as JSON; ``record_of`` reads it back."""
    return {
        "seq": record.seq,
        "at": record.at.isoformat(),
        "kind": record.kind,
        "principal": record.principal,
        "subject": record.subject,
        "body": record.body,
        "prev_hash": record.prev_hash.hex(),
        "hash": record.hash.hex(),
    }


def record_of(said: Any) -> Record:
    """Raises KeyError, ValueError or TypeError where it is none."""
    return Record(
        seq=int(said["seq"]),
        at=datetime.fromisoformat(said["at"]),
        kind=said["kind"],
        principal=said["principal"],
        subject=said["subject"],
        body=said["body"],
        prev_hash=bytes.fromhex(said["prev_hash"]),
        hash=bytes.fromhex(said["hash"]),
    )
