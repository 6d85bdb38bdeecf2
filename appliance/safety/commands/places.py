"""Paths that matter: what belongs to the system, what is a device, and what is a secret."""

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache

from appliance.safety.commands.domain import CommandClass, Word

_LONGEST_KEPT = 256
_STREAMS = re.compile(r"/dev/(?:null|stdin|stdout|stderr|fd/\d|zero|full)")
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/sbin", "/sys",
    "/usr", "/run/systemd", "/run/docker", "/run/containerd", "/var/lib/dpkg", "/var/lib/docker", "/var/lib/systemd",
    "/var/spool/cron", "/nix",
)  # fmt: skip
_SECRET = (
    "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/security/opasswd", "/etc/ssl/private",
    "/etc/ssh/ssh_host", "/etc/wireguard", "/etc/openvpn", "/etc/krb5.keytab", "/etc/letsencrypt", "/root",
    "/run/secrets", "/var/run/secrets", "/etc/kubernetes", "/etc/rancher", "/var/lib/kubelet", "/proc/kcore",
    "/dev/mem", "/dev/kmem", "/dev/kcore", "/var/backups", "/var/lib/docker", "/etc/docker/key.json",
)  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?:^|/)(?:\.ssh(?:/|$)|\.gnupg(?:/|$)|\.aws(?:/|$)|\.kube(?:/|$)|\.azure(?:/|$)|\.docker/config\.json|"
    r"\.netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.npmrc|\.pypirc|\.vault-token|\.env(?:\.\w+)?$|id_(?:rsa|dsa|ecdsa|ed25519)$|"
    r"shadow-?$|credentials(?:\.\w+)?$|secrets?\.(?:ya?ml|json|env|txt)$|\.\w*history$|[^/]*\.(?:key|p12|pfx|jks|keytab|kdbx)$)|"
    r"^/proc/(?:\d+|self|[^/]*)/(?:task/[^/]+/)?(?:environ|mem|maps|root|cwd|fd)(?:/|$)"
)


def _in_any(folders: tuple[str, ...]) -> re.Pattern[str]:
    """Matches each of ``folders``, what lies in it, and its neighbours that only differ behind ``-`` or ``_``."""
    return re.compile(rf"(?:{'|'.join(map(re.escape, folders))})(?=$|[/_-])")


_IN_SYSTEM, _IN_SECRET = _in_any(_SYSTEM), _in_any(_SECRET)


def plain(path: str) -> str:
    """``path`` without ``.``, ``..`` and doubled slashes; links are not followed."""
    clean = posixpath.normpath(path) if path else path
    return clean[1:] if clean.startswith("//") else clean


def is_stream(path: str) -> bool:
    return _STREAMS.fullmatch(plain(path)) is not None


def is_device(word: Word) -> bool:
    """Whether it names a device, or may; the harmless ones (``/dev/null``) are none."""
    if "dev" not in word.text:
        return False
    path = plain(word.text)
    return path.startswith("/dev/") and not (word.known and is_stream(path))


def is_secret(word: Word, folders: tuple[str, ...] = ("",)) -> bool:
    """Whether it names, or its pattern may match, a file that holds keys, passwords or another's memory.

    ``folders``: where the command may stand, for a relative path; "" is the private working folder.
    """
    if word.globbed or folders != ("",) or len(word.text) > _LONGEST_KEPT:
        return any(_secret(piece, word) for text in _paths_in(word.text) for piece in _placed(text, folders))
    return _plain_secret(word.text)


@lru_cache(maxsize=4096)
def _plain_secret(text: str) -> bool:
    return any(_secret(piece, Word(piece)) for piece in _paths_in(text))


def _paths_in(text: str) -> Iterator[str]:
    """The word itself, and what may be a path in it: ``--file=PATH``, ``-fPATH``, ``@PATH``, ``host:PATH``."""
    yield text
    if text.startswith("-") and len(text) > 2:
        yield text[2:]
    for mark in ("=", "@", ":"):
        if mark in text:
            yield text.rpartition(mark)[2]


def _secret(path: str, word: Word) -> bool:
    clean = plain(path)
    if _IN_SECRET.match(clean) or _SECRET_NAME.search(clean):
        return True
    return word.globbed and path.startswith("/") and any(s.startswith(path) for s in _SECRET)


def _placed(path: str, folders: tuple[str, ...]) -> Iterator[str]:
    for folder in folders:
        yield posixpath.join(folder, path)


UNKNOWN_FOLDER = "?"


def moved(folders: tuple[str, ...], target: Word) -> tuple[str, ...]:
    """Where a command may stand after ``cd target``: there, or still here."""
    if not target.known:
        return (*folders, UNKNOWN_FOLDER)
    new = dict.fromkeys([*folders, *(plain(posixpath.join(folder, target.text)) for folder in folders)])
    return tuple(new) if len(new) <= 8 else (*folders[:8], UNKNOWN_FOLDER)


def written(word: Word, folders: tuple[str, ...] = ("",)) -> tuple[CommandClass, str]:
    """The strictest class of writing to what ``word`` names from any of ``folders``, and what to say of it."""
    if not word.known and not word.globbed:
        return CommandClass.UNKNOWN, "a file that is only known when it runs"
    path = plain(word.text)
    if word.known and is_stream(path):
        return CommandClass.READ, path
    placed = [plain(one) for one in _placed(word.text, folders)]
    if any(one.startswith((UNKNOWN_FOLDER, "..")) for one in placed):
        return CommandClass.UNKNOWN, f"{word.shown} in a folder that is only known when it runs"
    if any(_system(one, word) for one in placed):
        return CommandClass.DESTROY, f"{word.shown}, which is a device or belongs to the system"
    return CommandClass.CHANGE, word.shown


def _system(path: str, word: Word) -> bool:
    if path == "/" or _IN_SYSTEM.match(path):
        return True
    return word.globbed and _may_reach_system(path)


def _may_reach_system(start: str) -> bool:
    return ".." in start or (start.startswith("/") and any(one.startswith(start) for one in _SYSTEM))
