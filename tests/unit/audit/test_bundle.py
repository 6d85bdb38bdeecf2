"""A bundle of evidence proves itself; whatever is changed in it is found, and named."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.audit.bundle.archive import pack, unpack
from appliance.audit.bundle.proofs import prove
from appliance.audit.bundle.sealed import seal, verify_bundle
from appliance.audit.chain import Head
from appliance.audit.errors import ExportUnreadable
from appliance.audit.heads import SignedHead, fingerprint
from appliance.audit.report import Finding
from appliance.audit.tree import root_of
from tests.audit_chain import START, Chain, make_chain

FILES = {"run.json": b'{"state": "succeeded"}\n', "steps.json": b"[]\n", "policy/box-v1.yaml": b"policy: 1\n"}


def rooted(chain: Chain) -> SignedHead:
    last = chain.records[-1]
    tree = (1, root_of(one.hash for one in chain.records))
    return chain.signer.sign(Head(last.seq, last.hash), None, START, tree)


def sealed(chain: Chain, *seqs: int) -> bytes:
    head = rooted(chain)
    hashes = [one.hash for one in chain.records]
    proven = list(prove((chain.records[seq - 1] for seq in seqs), head, hashes))
    return seal(FILES, {"run": "r"}, proven, [head], chain.signer, START)


@pytest.fixture
def chain() -> Chain:
    return make_chain(10, ())


@pytest.fixture
def bundle(chain: Chain, tmp_path: Path) -> Path:
    file = tmp_path / "evidence.zip"
    file.write_bytes(sealed(chain, 3, 7, 8))
    return file


def findings(file: Path, key: bytes | None = None) -> list[str]:
    return [f"{one.finding}: {one.message}" for one in verify_bundle(file, key)[0].problems]


def test_a_bundle_proves_itself_and_shows_nothing_of_other_records(bundle: Path, chain: Chain) -> None:
    report, manifest = verify_bundle(bundle, chain.signer.public_key)
    assert report.intact
    assert (report.records, report.last_signed, manifest["run"]) == (3, 10, "r")
    assert manifest["fingerprint"] == fingerprint(chain.signer.public_key)
    for seq in (2, 4, 9):
        assert chain.records[seq - 1].body.encode() not in bundle.read_bytes()


def test_the_same_evidence_is_the_same_file_byte_by_byte(bundle: Path, chain: Chain) -> None:
    assert sealed(chain, 3, 7, 8) == bundle.read_bytes()


def test_any_zip_tool_opens_it(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        assert archive.read("run.json") == FILES["run.json"]


@pytest.mark.parametrize(
    "name", [*FILES, "manifest.json", "audit.jsonl", "heads.jsonl", "audit_key.pub", "audit_key.pem"]
)
def test_a_changed_file_is_named(name: str, bundle: Path) -> None:
    files = unpack(bundle.read_bytes())
    files[name] = files[name].replace(b"1", b"2", 1) if b"1" in files[name] else files[name] + b" "
    bundle.write_bytes(pack(files))
    assert f"file_changed: the file {name} was changed" in findings(bundle, bytes.fromhex(_key(bundle)))


def _key(bundle: Path) -> str:
    return str(json.loads(unpack(bundle.read_bytes())["manifest.json"])["key"]) if bundle.exists() else ""


def edit(change: Callable[[dict[str, bytes]], object], bundle: Path) -> None:
    files = unpack(bundle.read_bytes())
    change(files)
    bundle.write_bytes(pack(files))


def test_a_missing_an_added_and_a_renamed_file_are_named(bundle: Path) -> None:
    edit(lambda files: files.pop("steps.json"), bundle)
    assert findings(bundle) == ["file_missing: the file steps.json is missing"]
    edit(lambda files: files.update({"note.txt": b"trust me"}), bundle)
    assert "file_added: the file note.txt was not part of the bundle" in findings(bundle)


def test_digests_that_were_made_to_fit_have_a_false_signature(bundle: Path) -> None:
    edit(lambda files: files.update({"SHA256SUMS": files["SHA256SUMS"].replace(b"a", b"b", 1)}), bundle)
    assert any(one.startswith("export_changed: SHA256SUMS has a false signature") for one in findings(bundle))
    edit(lambda files: files.update({"SHA256SUMS.sig": bytes(64)}), bundle)
    assert any("false signature" in one for one in findings(bundle))


def test_a_bundle_sealed_by_another_box_is_not_of_the_key_that_one_trusts(chain: Chain, bundle: Path) -> None:
    other = make_chain(10, ())
    bundle.write_bytes(sealed(other, 3))
    assert verify_bundle(bundle)[0].intact
    report, _ = verify_bundle(bundle, chain.signer.public_key)
    assert Finding.ANOTHER_KEY in {one.finding for one in report.problems}
    report, _ = verify_bundle(bundle)
    report.trust(fingerprint(chain.signer.public_key).replace(" ", ""))
    assert not report.intact


def test_records_that_were_changed_swapped_or_made_up_are_found(chain: Chain, bundle: Path) -> None:
    def with_lines(change: Callable[[list[bytes]], None]) -> list[str]:
        bundle.write_bytes(sealed(chain, 3, 7, 8))
        files = unpack(bundle.read_bytes())
        lines = files["audit.jsonl"].splitlines(keepends=True)
        change(lines)
        files["audit.jsonl"] = b"".join(lines)
        bundle.write_bytes(pack(files))
        return findings(bundle)

    def swap(lines: list[bytes]) -> None:
        lines[0], lines[1] = lines[1], lines[0]

    def change(lines: list[bytes]) -> None:
        lines[0] = lines[0].replace(b"user:ana", b"user:eve")

    def drop_head(lines: list[bytes]) -> None:
        lines[0] = lines[0].replace(b'"head":1', b'"head":2')

    assert any("record 3 stands after record 7" in one for one in with_lines(swap))
    assert any("edited: record 3 was changed" in one for one in with_lines(change))
    assert any("signed head 2 of record 3 is missing" in one for one in with_lines(drop_head))


def test_a_record_that_was_made_up_with_a_hash_that_fits_is_not_under_the_signed_root(
    chain: Chain, bundle: Path
) -> None:
    forged = make_chain(10, ())
    old = forged.records[2]
    forged.records[2] = replace(old, body=old.body.replace("run/3", "run/9"), subject="run/9")
    forged.rechain(3)
    head, hashes = rooted(chain), [one.hash for one in chain.records]
    proven = list(prove([forged.records[2]], head, hashes))
    bundle.write_bytes(seal(FILES, {}, proven, [head], chain.signer, START))
    assert findings(bundle) == [f"inserted: record 3 is none of those that were signed at {head.at}"]


def test_no_byte_can_be_changed_unseen(bundle: Path) -> None:
    whole = bundle.read_bytes()
    places = [*range(0, len(whole), 97), *range(len(whole) - 60, len(whole)), *range(40)]
    dice = random.Random(7)
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << dice.randrange(8)
        bundle.write_bytes(bytes(data))
        try:
            assert not verify_bundle(bundle)[0].intact, f"byte {place}"
        except ExportUnreadable:
            continue


def test_something_hidden_beside_the_files_is_found(bundle: Path) -> None:
    whole = bundle.read_bytes()
    bundle.write_bytes(b"#!/bin/sh\n" + whole)
    with pytest.raises(ExportUnreadable):
        raise_unless_intact(bundle)
    bundle.write_bytes(whole + b"more")
    with pytest.raises(ExportUnreadable):
        raise_unless_intact(bundle)


def raise_unless_intact(file: Path) -> None:
    if not verify_bundle(file)[0].intact:
        raise ExportUnreadable("found")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"not a zip at all" * 10])
def test_what_is_no_bundle_is_refused_in_words(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(data)
    with pytest.raises(ExportUnreadable):
        verify_bundle(file)
    with pytest.raises(ExportUnreadable):
        verify_bundle(tmp_path / "nothing.zip")


def test_a_hostile_archive_is_never_written_anywhere(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil", b"\x00" * 1_000_000)
    with pytest.raises(ExportUnreadable, match="packed by another program"):
        unpack(out.getvalue())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nintact", "ü.txt", "a b", ""])
def test_a_name_that_no_box_gives_a_file_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ExportUnreadable) as refusal:
        unpack(pack({name: b"x"}))
    assert str(refusal.value).isprintable()
