"""A bundle of evidence: files, their digests in the form of sha256sum, and one signature over those digests.

``SHA256SUMS.sig`` is the box's Ed25519 signature of ``SHA256SUMS``; ``sha256sum`` and ``openssl`` check both.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.audit.bundle.archive import MAGIC, pack, unpack
from appliance.audit.bundle.proofs import Proven, check_proofs
from appliance.audit.errors import ExportUnreadable
from appliance.audit.heads import SignedHead, Signer, fingerprint, pem_of, signed_by
from appliance.audit.report import Finding, Report
from appliance.lib.jsontypes import JsonObject

FORMAT = "millwright-evidence/1"
SUMS, SIGNATURE, MANIFEST = "SHA256SUMS", "SHA256SUMS.sig", "manifest.json"
KEY, PEM, RECORDS, HEADS = "audit_key.pub", "audit_key.pem", "audit.jsonl", "heads.jsonl"


def seal(
    files: Mapping[str, bytes],
    about: JsonObject,
    proven: Sequence[Proven],
    heads: Sequence[SignedHead],
    signer: Signer,
    at: datetime,
) -> bytes:
    """The archive of ``files`` and of the records that prove them. ``about`` goes into the manifest."""
    key = signer.public_key
    manifest = {
        **about,
        "format": FORMAT,
        "at": at.isoformat(),
        "key": key.hex(),
        "fingerprint": fingerprint(key),
    }
    whole = {
        **files,
        MANIFEST: pretty(manifest),
        KEY: key.hex().encode() + b"\n",
        PEM: pem_of(key),
        RECORDS: b"".join(one.line() for one in proven),
        HEADS: b"".join(head.line() for head in heads),
    }
    sums = "".join(f"{hashlib.sha256(whole[name]).hexdigest()}  {name}\n" for name in sorted(whole))
    return pack({**whole, SUMS: sums.encode(), SIGNATURE: signer.sign_text(sums)})


def pretty(value: Any) -> bytes:
    """JSON for people, always the same for the same value."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str).encode() + b"\n"


def is_bundle(file: Path) -> bool:
    """Raises ExportUnreadable where the file cannot be read at all."""
    try:
        with file.open("rb") as begin:
            return begin.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ExportUnreadable(f"{file} cannot be read: {error.strerror}") from error


def verify_bundle(file: Path, public_key: bytes | None = None) -> tuple[Report, JsonObject]:
    """Check a bundle with nothing but itself and, better, the public key one trusts; give the manifest too.

    Raises ExportUnreadable where it is no bundle at all.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ExportUnreadable(f"{file} cannot be read: {error.strerror}") from error
    files = unpack(data)
    if SUMS not in files or SIGNATURE not in files:
        raise ExportUnreadable(f"{file.name} is no bundle of evidence: {SUMS} or {SIGNATURE} is missing")
    own = _key_in(files)
    key = public_key or own
    if key is None:
        raise ExportUnreadable(f"{file.name} names no key, and none was given")
    report = Report(key=key.hex())
    if public_key is None:
        report.notes.append("checked with the key in the file itself; compare its fingerprint, or give --key")
    elif own != public_key:
        report.add(Finding.ANOTHER_KEY, 0, "the bundle was sealed with another key than the one given")
    _check_sums(files, key, report)
    if report.intact and pack(files) != data:
        said = "something was changed in the archive outside of its files"
        report.add(Finding.EXPORT_CHANGED, 0, said)
    manifest = _manifest(files, report)
    _check_records(files, key, report)
    return report, manifest


def _key_in(files: Mapping[str, bytes]) -> bytes | None:
    try:
        found = bytes.fromhex(files[KEY].decode().strip())
    except (KeyError, ValueError):
        return None
    return found if len(found) == 32 else None


def _check_sums(files: Mapping[str, bytes], key: bytes, report: Report) -> None:
    """The digests were signed, and are those of the files that are there: none other, none less, none more."""
    sums = files[SUMS].decode("utf-8", "replace")
    if not signed_by(key, sums, files[SIGNATURE]):
        report.add(
            Finding.EXPORT_CHANGED,
            0,
            f"{SUMS} has a false signature: it was changed, or signed by another key",
        )
    told: dict[str, str] = {}
    for line in sums.splitlines():
        digest, _, name = line.partition("  ")
        told[name] = digest
    present = set(files) - {SUMS, SIGNATURE}
    for name in sorted(told.keys() - present):
        report.add(Finding.FILE_MISSING, 0, f"the file {name} is missing")
    for name in sorted(present - told.keys()):
        report.add(Finding.FILE_ADDED, 0, f"the file {name} was not part of the bundle")
    for name in sorted(present & told.keys()):
        if hashlib.sha256(files[name]).hexdigest() != told[name]:
            report.add(Finding.FILE_CHANGED, 0, f"the file {name} was changed")


def _manifest(files: Mapping[str, bytes], report: Report) -> JsonObject:
    try:
        found = json.loads(files[MANIFEST])
        if found["format"] == FORMAT:
            return dict(found)
    except (KeyError, ValueError, TypeError):
        pass
    report.add(Finding.EXPORT_CHANGED, 0, f"{MANIFEST} is not one of {FORMAT}")
    return {}


def _check_records(files: Mapping[str, bytes], key: bytes, report: Report) -> None:
    try:
        lines = files.get(RECORDS, b"").splitlines()
        proven = [Proven.of_line(line, number) for number, line in enumerate(lines, 1)]
        heads = [SignedHead.of_line(line) for line in files.get(HEADS, b"").splitlines()]
    except ExportUnreadable as error:
        report.add(Finding.EXPORT_CHANGED, 0, str(error))
        return
    check_proofs(proven, heads, key, report)
