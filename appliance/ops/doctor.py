"""The doctor: asks every check that the areas of the box keep, and says what to do about what it finds."""

import importlib
import logging
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import appliance
from appliance.lib.doctor import Check, Field, Found, Outcome, Patient, Severity
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check with its answer."""

    check: Check
    found: Found

    @property
    def bad(self) -> bool:
        """Whether somebody must do something: then the doctor's exit status is 1."""
        return self.found.outcome is Outcome.PROBLEM and self.check.severity is not Severity.LOW

    def to_json(self) -> JsonObject:
        return {
            "id": self.check.id,
            "field": self.check.field.value,
            "title": self.check.title,
            "severity": self.check.severity.value,
            "outcome": self.found.outcome.value,
            "found": self.found.said,
            "fix": self.check.fix if self.found.outcome is Outcome.PROBLEM else "",
        }


@cache
def checks() -> tuple[Check, ...]:
    """Every check there is, by name: one file or folder ``checks`` in an area adds its own."""
    found: list[Check] = []
    for module in pkgutil.walk_packages(appliance.__path__, "appliance."):
        if "checks" in module.name.split(".")[2:] and not module.ispkg:
            found.extend(importlib.import_module(module.name).CHECKS)
    return tuple(sorted(found, key=lambda check: check.id))


def examine(patient: Patient, field: Field | None = None) -> list[Finding]:
    """Ask all checks, or those of a field. Never raises: a check that fails is an answer as well."""
    return [Finding(check, _look(check, patient)) for check in checks() if field in (None, check.field)]


def _look(check: Check, patient: Patient) -> Found:
    try:
        return check.look(patient)
    except MillwrightError as error:
        return Found(Outcome.UNKNOWN, str(error)[:300])
    except PermissionError as error:
        # Somebody else's, such as root's: who may read it asks the doctor at the machine.
        return Found(Outcome.UNKNOWN, f"this process may not read {error.filename or 'it'}")
    except Exception as error:
        # The database is away: said, and the others go on.
        log.debug("check %s", check.id, exc_info=True)
        return Found(Outcome.UNKNOWN, f"could not be looked at: {type(error).__name__}")


def reference(found: Iterable[Check] | None = None) -> str:
    """The page of all checks, for the manual."""
    lines = [
        "# Checks of the doctor",
        "",
        "Written by `manage.py doctor --write`; do not edit. `manage.py doctor` asks the general ones,",
        "`manage.py doctor --security` those about security. The names stay what they are.",
    ]
    known = list(checks() if found is None else found)
    for field in Field:
        lines += [
            "",
            f"## {field.value.capitalize()}",
            "",
            "| check | weighs | is so where all is well | else |",
        ]
        lines.append("|---|---|---|---|")
        lines += [
            f"| `{check.id}` | {check.severity} | {check.title} | {check.fix} |"
            for check in known
            if check.field is field
        ]
    return "\n".join(lines) + "\n"
