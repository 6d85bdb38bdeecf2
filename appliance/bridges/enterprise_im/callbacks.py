"""The platform calls the box: signature first, then the decrypted event (open.feishu.cn: receive events)."""

import base64
import binascii
import hashlib
import json

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.bridges.enterprise_im.config import EnterpriseImConfig
from appliance.bridges.enterprise_im.events import Addressee, raw_event
from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.bridges.secrets import Secret
from appliance.bridges.signing import is_recent, same
from appliance.lib.jsontypes import JsonObject, JsonValue

TIME_HEADER, NONCE_HEADER = "x-lark-request-timestamp", "x-lark-request-nonce"
SIGNATURE_HEADER = "x-lark-signature"
JSON = "application/json"
_BLOCK = 16


def from_webhook(request: WebhookRequest) -> WebhookAnswer:
    """The event in a call, or the answer to the check of the address. Raises WebhookRefused.

    The check of the address has no signature: what proves it is that it is encrypted with the app's key, or, in plain,
    that it has the verification token.
    """
    if request.method != "POST":
        raise WebhookRefused(405)
    config: EnterpriseImConfig = request.config
    key = _secret(request, config.encrypt_key) or ""
    signed = SIGNATURE_HEADER in request.headers
    if signed and not _is_signed(request, key):
        raise WebhookRefused(403)
    try:
        body = _object(request.body)
        told = _object(decrypt(str(body["encrypt"]), key)) if "encrypt" in body else body
    except ValueError as error:
        # Who has not signed learns nothing of what could be decrypted.
        raise WebhookRefused(400 if signed else 403) from error
    addressee = Addressee(
        request.secrets[config.auth.app_id.root].strip(),
        config.tenant_key,
        _secret(request, config.verification_token),
    )
    if told.get("type") == "url_verification":
        return _challenge(told, addressee, encrypted="encrypt" in body)
    if not signed:
        raise WebhookRefused(403)
    if "encrypt" not in body:
        raise WebhookRefused(400)  # with an Encrypt Key everything is encrypted
    return _event(told, addressee)


def signature(timestamp: str, nonce: str, key: str, body: bytes) -> str:
    """Plain SHA-256 over all four one after the other, in hexadecimal."""
    return hashlib.sha256((timestamp + nonce + key).encode() + body).hexdigest()


def decrypt(encrypted: str, key: str) -> bytes:
    """AES-256-CBC; the key is the SHA-256 of the Encrypt Key, the first 16 bytes are the IV. Raises ValueError."""
    try:
        data = base64.b64decode(encrypted, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(data) < 2 * _BLOCK or len(data) % _BLOCK:
        raise ValueError("not whole blocks")
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(data[:_BLOCK]))
    decryptor = cipher.decryptor()
    padded = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
    unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _is_signed(request: WebhookRequest, key: str) -> bool:
    stamp, nonce = request.headers.get(TIME_HEADER, ""), request.headers.get(NONCE_HEADER, "")
    made = signature(stamp, nonce, key, request.body)
    return bool(key) and is_recent(stamp, request.now) and same(request.headers[SIGNATURE_HEADER], made)


def _challenge(told: JsonObject, addressee: Addressee, *, encrypted: bool) -> WebhookAnswer:
    challenge, token = told.get("challenge"), str(told.get("token") or "")
    proved = same(token, addressee.token) if addressee.token else encrypted
    if not proved:
        raise WebhookRefused(403)
    if not isinstance(challenge, str) or not 0 < len(challenge) <= 1000:
        raise WebhookRefused(400)
    return WebhookAnswer((), json.dumps({"challenge": challenge}).encode(), JSON)


def _event(told: JsonObject, addressee: Addressee) -> WebhookAnswer:
    header = told.get("header")
    if told.get("schema") == "2.0" and isinstance(header, dict) and not addressee.is_meant(header):
        raise WebhookRefused(403)
    event = raw_event(told, addressee)
    # One of an older version is heard and forgotten: refused, it would come again four times.
    return WebhookAnswer([event] if event else [], b"{}", JSON)


def _object(body: bytes) -> JsonObject:
    """Raises ValueError."""
    try:
        found: JsonValue = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what was sent, not a type
    return found


def _secret(request: WebhookRequest, secret: Secret | None) -> str | None:
    return request.secrets[secret.root].strip() if secret else None
