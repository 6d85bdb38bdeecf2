"""The page that lies in every bundle: what is in it, and how anybody checks it."""

README = """EVIDENCE OF ONE RUN

This archive holds what a Millwright box knows of one run, sealed with the key of the box.

  manifest.json      which run, of which box, when and for whom this was made
  run.json           the run; steps.json its steps with what went in and came out; task.yaml the exact task it ran
  occurrence.json    what set it off
  decisions.json     which rule let each step through; policy/ holds the text of that version of the policy
  approvals.json     who was asked, for which exact action (its digest), and who answered what
  outbox.json        messages and what became of them
  sandbox.json       what is known of the confined commands
  grown.json         what an agent did in it: its turns, with what was sent to the model, what came back and the digests
                     of both; its calls, and what people said to them
  audit.jsonl        the records of the audit chain about this run, each with its way to a signed head
  heads.jsonl        those signed heads
  audit_key.pub      the public key of the box (hex); audit_key.pem the same for other programs
  SHA256SUMS         digests of all files but itself and its signature
  SHA256SUMS.sig     the signature of SHA256SUMS (Ed25519)

Files that there was nothing for are missing. Values of secrets are replaced by three dots.

CHECK IT

With Millwright, on any machine (no box has to run):

  manage.py audit verify evidence-....zip --key FINGERPRINT

The fingerprint, or a file with the key, must come from the box by another way than this archive: its page Audit shows
it.

Without Millwright, in the folder with the unpacked files (OpenSSL 3):

  openssl pkeyutl -verify -pubin -inkey audit_key.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
  sha256sum --check SHA256SUMS
  openssl pkey -pubin -in audit_key.pem -outform DER | tail -c 32 | sha256sum

The first says "Signature Verified Successfully", the second OK for each file; the first 32 digits of the third are the
fingerprint. The proofs in audit.jsonl are Merkle paths as in RFC 6962, over the hashes of records: a record's hash is
SHA-256 of the hash before it, its number in 8 bytes (big-endian), and its body.
"""
