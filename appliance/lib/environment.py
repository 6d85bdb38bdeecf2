"""Settings from outside: the environment, ``NAME_FILE``, and an ``.env`` file, in this order of strength."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from appliance.lib.errors import MillwrightError
from appliance.lib.topic_filters import filter_fault

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")


class ConfigInvalid(MillwrightError):
    code = "config.invalid"


def read_env_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; ``#`` begins a comment line; one pair of quotes around a value is taken off."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read: {error}") from error
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().removeprefix("export ")
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            # Not the line itself: it may hold a password.
            raise ConfigInvalid(f"{path}, line {number}: expected NAME=value")
        value = value.strip()
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
        found[name.strip()] = value[1:-1] if quoted else value
    return found


class Settings:
    """Variables, looked up in each source in turn and parsed. Every method raises ConfigInvalid."""

    def __init__(self, *sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find(self, name: str) -> str | None:
        """The value of the strongest source that has it, directly or by ``NAME_FILE``. Empty is not set."""
        for source in self._sources:
            value, file = source.get(name, ""), source.get(f"{name}_FILE", "")
            if value and file:
                raise ConfigInvalid(f"{name} and {name}_FILE are both set", hint="keep one of them")
            if file:
                return _content(name, Path(file))
            if value:
                return value
        return None

    def text(self, name: str, default: str) -> str:
        return self.find(name) or default

    def path(self, name: str) -> Path | None:
        found = self.find(name)
        return Path(found).expanduser().absolute() if found else None

    def file_of(self, name: str) -> Path | None:
        """The file that holds the value of ``name``, where it is read only when it is needed."""
        for source in self._sources:
            if source.get(f"{name}_FILE"):
                return Path(source[f"{name}_FILE"]).expanduser().absolute()
        return None

    def items(self, name: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.text(name, "").split(",") if item.strip())

    def topic_filters(self, name: str) -> frozenset[str]:
        """MQTT topic filters, by comma."""
        found = self.items(name)
        for filter_ in found:
            fault = filter_fault(filter_)
            if fault is not None:
                raise ConfigInvalid(f"{name}: {fault[0]}", hint=fault[1])
        return frozenset(found)

    def folders(self, name: str) -> tuple[Path, ...]:
        """Absolute paths, by comma; never the whole file system."""
        found = tuple(Path(item) for item in self.items(name))
        for path in found:
            if not path.is_absolute() or path == Path("/"):
                raise ConfigInvalid(f"{name} has {str(path)!r}; expected absolute paths, by comma")
        return found

    def some(self, name: str, known: tuple[str, ...]) -> frozenset[str]:
        """Any of ``known``, by comma."""
        found = frozenset(item.lower() for item in self.items(name))
        if found - set(known):
            wrong = ", ".join(sorted(found - set(known)))
            raise ConfigInvalid(f"{name} names {wrong}; expected some of {', '.join(known)}")
        return found

    def flag(self, name: str, default: bool) -> bool:
        found = self.choice(name, "yes" if default else "no", (*_YES, *_NO), "yes or no")
        return found in _YES

    def choice(self, name: str, default: str, known: tuple[str, ...], expected: str) -> str:
        value = self.text(name, default).lower()
        if value not in known:
            raise ConfigInvalid(f"{name} is {value!r}; expected {expected}")
        return value

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) >= least):
            raise ConfigInvalid(f"{name} is {value!r}; expected a whole number of at least {least}")
        return int(value)

    def address(self, name: str, default: tuple[str, int]) -> tuple[str, int]:
        """``host:port``, ``[v6]:port``, or ``:port`` for loopback."""
        value = self.find(name)
        if value is None:
            return default
        found = _address(value)
        if found is None:
            raise ConfigInvalid(f"{name} is {value!r}; expected host:port, such as 0.0.0.0:{default[1]}")
        return found[0] or default[0], found[1]

    def named_addresses(self, name: str) -> tuple[tuple[str, str, int], ...]:
        """``erp=10.0.0.5:443, logs=logs.example:8080`` as (name, host, port)."""
        found = {}
        for item in self.items(name):
            label, equals, value = (part.strip() for part in item.partition("="))
            address = _address(value) if equals and _LABEL.fullmatch(label) else None
            if address is None or not address[0] or label in found:
                raise ConfigInvalid(
                    f"{name} has {item!r}; expected name=host:port, each name once",
                    hint="such as erp=10.0.0.5:443, logs=logs.example:8080",
                )
            found[label] = (label, *address)
        return tuple(found.values())

    def networks(self, name: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Addresses and networks, by comma; never everybody."""
        found = []
        for item in self.items(name):
            try:
                network = ipaddress.ip_network(item, strict=False)
            except ValueError:
                network = None
            if network is None or network.prefixlen == 0:
                raise ConfigInvalid(
                    f"{name} has {item!r}; expected addresses or networks, by comma",
                    hint="such as 127.0.0.1, 10.0.0.0/24",
                )
            found.append(network)
        return tuple(found)

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        """A URL of one of ``schemes``. The message never shows it: it may hold a password."""
        found = self.find(name)
        if found is not None and found.partition("://")[0] not in schemes:
            raise ConfigInvalid(
                f"{name} has an unknown scheme; expected {', '.join(f'{s}://' for s in schemes)}"
            )
        return found


def _address(value: str) -> tuple[str, int] | None:
    """Host (may be empty) and port; None where it is not an address."""
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    wrong = not colon or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536
    if wrong or any(c.isspace() or c in "[]/@\"'" for c in bare) or (":" in bare and bare == host):
        return None
    return bare, int(port)


def _content(name: str, file: Path) -> str:
    try:
        found = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{name}_FILE: {file} cannot be read: {error}") from error
    if not found:
        raise ConfigInvalid(f"{name}_FILE: {file} is empty")
    return found
