"""Whether what the box stands on answers."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from appliance.lib.config import Durability
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, problem
from appliance.processes.encoding import HINT, fault
from appliance.processes.guard.presence import guard_states
from appliance.processes.models import PartBeat
from appliance.processes.part_checks import (
    SIGNING,
    broker_state,
    redis_state,
    silence,
    spawner_state,
    web_state,
)

START = "start the box (`make up`); `manage.py status` and the logs in the home say more"


def _postgres(patient: Patient) -> Found:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            row = cursor.fetchone()
    except Exception as error:
        return problem((str(error).splitlines() or ["no answer"])[0][:200])
    return good(f"version {row[0]}" if row else "")


def _encoding(patient: Patient) -> Found:
    with connection.cursor() as cursor:
        said = fault(cursor)
    return either(not said, said)


def _redis(patient: Patient) -> Found:
    state = redis_state(patient.config)
    return either(state.healthy, state.message)


def _broker(patient: Patient) -> Found:
    state = broker_state(patient.config)
    return either(state.healthy, state.message)


def _web(patient: Patient) -> Found:
    state = web_state(patient.config)
    return either(state.healthy, state.message or patient.config.public_url)


def _spawner(patient: Patient) -> Found:
    state = spawner_state(patient.config)
    return either(state.healthy, state.message)


def _processes(patient: Patient) -> Found:
    beats = {row.part: row for row in PartBeat.objects.filter(part__in=SIGNING)}
    wrong = []
    for part in SIGNING:
        beat = beats.get(part)
        if beat is None:
            wrong.append(f"{part} has not started yet")
        elif quiet := silence(beat.at, patient.now):
            wrong.append(f"{part}: {quiet}")
        elif not beat.healthy:
            wrong.append(f"{part}: {beat.detail.get('message', 'not healthy')}")
    return either(not wrong, "; ".join(wrong))


def _migrations(patient: Patient) -> Found:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in waiting[:5])
    return either(not waiting, f"{len(waiting)} are missing: {names}" if waiting else "")


def _guard(patient: Patient) -> Found:
    state = guard_states(patient.config)["guard"]
    if state.healthy and state.message.startswith("absent"):
        return absent(state.message)
    return either(state.healthy, state.message)


def _rules(patient: Patient) -> Found:
    state = guard_states(patient.config)["rules"]
    if state.healthy and state.message.startswith("off"):
        return absent(state.message)
    return either(state.healthy, state.message)


def _durability(patient: Patient) -> Found:
    found = patient.config.durability
    return either(found is not Durability.CRASH_SAFE, found.value)


CHECKS = (
    Check("MW-G001", "PostgreSQL answers", Severity.HIGH, _postgres, START),
    Check("MW-G002", "Redis answers", Severity.HIGH, _redis, START),
    Check("MW-G003", "The MQTT broker answers a log-in", Severity.HIGH, _broker, START),
    Check("MW-G004", "The web admin listens", Severity.HIGH, _web, START),
    Check("MW-G005", "Worker, reactor, beat and keeper give signs of life", Severity.HIGH, _processes, START),
    Check("MW-G006", "Commands can be started", Severity.HIGH, _spawner, START),
    Check(
        "MW-G007", "The database has the tables of this version", Severity.HIGH, _migrations,
        "stop the box and start it again: `up` brings them up to date",
    ),
    Check("MW-G017", "The database keeps text as UTF-8", Severity.HIGH, _encoding, HINT),
    Check(
        "MW-G008", "Containers can be started, where there is an engine", Severity.MEDIUM, _guard,
        "the log of guard says why; `docker info` as the same user shows whether the engine answers",
    ),
    Check(
        "MW-G009", "An acknowledged message survives a power cut", Severity.LOW, _durability,
        "leave `MILLWRIGHT_POWER_SAFE` at yes, unless speed matters more than the last second",
    ),
    Check(
        "MW-G016", "The kernel holds commands to what they declare", Severity.MEDIUM, _rules,
        "docs/how-to/what-commands-reach.md says what it needs; the message says what is missing",
    ),
)  # fmt: skip
