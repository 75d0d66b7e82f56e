"""The room of the state directory: may the agent write there, is there space, is the database whole, what waits?"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.commissioning.agent_word import AgentWord
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.commissioning.machine import Machine, User
from agent.config import Config
from agent.errors import StoreCorrupt, StoreError
from agent.store.inspection import StoreSight, holder, inspect

SUBJECT = "state"
DATABASE = "agent.db"
MIB = 1024 * 1024
LEAST_BYTES = 16 * MIB
"""With less the agent reports MemoryExhaustion (docs/security.md)."""
LOW_BYTES = 100 * MIB
"""What deploy.sh demands of a new station."""
DISK = "check the disk: sudo dmesg | tail"
SUDO = "run this command again with sudo"
LONG_WAIT = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class StoreCheck:
    findings: list[Finding]
    sight: StoreSight | None = None
    """What the database holds, if it was looked into."""
    is_held: bool = False
    """A process that does not answer has the database open: an agent that starts, ends or hangs."""


def check_store(
    config: Config, machine: Machine, user: User, word: AgentWord | None, *, is_running: bool
) -> StoreCheck:
    """With a running agent its own word counts: the database is not opened a second time."""
    folder = config.state_dir
    if not os.path.exists(folder):
        return StoreCheck([_not_there(folder, user)])
    if not os.path.isdir(folder):
        advice = "move it away, or name another directory: agent.state_dir in the configuration"
        return StoreCheck([failure(SUBJECT, f"{folder} is no directory", advice)])
    findings = list(_folder(folder, machine, user))
    if word is not None:
        findings.append(_told(word))
        return StoreCheck(findings)
    database = folder / DATABASE
    process = holder(database)
    if is_running or process is not None:
        advice = "see its log: journalctl -u evse-agent; or restart it: sudo systemctl restart evse-agent"
        if not is_running:
            findings.append(
                failure(SUBJECT, f"process {process} uses {database} and does not answer", advice)
            )
        return StoreCheck(findings, is_held=process is not None)
    try:
        sight = inspect(database)
    except PermissionError:
        return StoreCheck([*findings, failure(SUBJECT, f"you may not read {database}", SUDO)])
    except FileNotFoundError:
        return StoreCheck([*findings, ok(SUBJECT, f"no database in {folder} yet: the first start makes it")])
    except StoreCorrupt as error:
        away = f"sudo mv {database} {folder}/damaged.db"
        advice = f"keep a copy, then move it away: {away}; what it held is lost to the CSMS"
        return StoreCheck([*findings, failure(SUBJECT, str(error), advice)])
    except StoreError as error:
        return StoreCheck(
            [*findings, failure(SUBJECT, str(error), f"{DISK}, and who owns it: ls -l {folder}")]
        )
    return StoreCheck([*findings, *_seen(sight, database, machine.now())], sight)


def _not_there(folder: Path, user: User) -> Finding:
    parent = next(each for each in folder.absolute().parents if os.path.exists(each))
    if user.may(parent, os.W_OK | os.X_OK):
        return ok(SUBJECT, f"{folder} is not there yet: the first start makes it")
    advice = f"sudo install -d -m 750 -o {user.name} {folder}"
    return failure(SUBJECT, f"{folder} is not there, and {user.name} may not make it in {parent}", advice)


def _folder(folder: Path, machine: Machine, user: User) -> Iterator[Finding]:
    try:
        disk = machine.disk_of(folder)
    except OSError as error:
        yield failure(SUBJECT, f"{folder}: {error.strerror}", DISK)
        return
    if disk.is_read_only:
        advice = "the SD card or disk is failing, or its file system is damaged: look at `dmesg`, then replace the card"
        yield failure(SUBJECT, f"the file system of {folder} is mounted read-only", advice)
    elif not user.may(folder, os.R_OK | os.W_OK | os.X_OK):
        advice = f"sudo chown -R {user.name} {folder}"
        yield failure(SUBJECT, f"the agent's user {user.name} may not write in {folder}", advice)
    free = f"{disk.free_bytes // MIB} MB free"
    if disk.free_bytes < LEAST_BYTES:
        advice = "make room: sudo journalctl --vacuum-size=50M; sudo apt clean; then look with `df -h`"
        yield failure(SUBJECT, f"the disk of {folder} is full ({free}): transactions cannot be kept", advice)
    elif disk.free_bytes < LOW_BYTES:
        yield warning(SUBJECT, f"little space for {folder}: {free}", "make room: see `df -h`, sudo apt clean")
    else:
        yield ok(SUBJECT, f"{folder}: {free}")


def _told(word: AgentWord) -> Finding:
    problem = word.report["store_problem"]
    if problem:
        return failure(SUBJECT, problem, "make room, or replace the SD card; then restart the agent")
    return ok(SUBJECT, f"the database answers; {_waiting(word.status['outbox_depth'])}")


def _seen(sight: StoreSight, database: Path, now: datetime) -> Iterator[Finding]:
    if sight.schema > sight.known_schema:
        advice = "install the newer release again, or move the database away to begin anew"
        found = (
            f"{database} is of a newer release (schema {sight.schema}, this one knows {sight.known_schema})"
        )
        yield failure(SUBJECT, found, advice)
        return
    older = "" if sight.schema == sight.known_schema else ", brought up to date at the next start"
    age = now - sight.oldest_at if sight.oldest_at is not None else timedelta(0)
    waiting = _waiting(sight.outbox_depth)
    if age > LONG_WAIT:
        since = f"{waiting}, the oldest since {sight.oldest_at:%Y-%m-%d %H:%M} UTC"
        yield warning(
            SUBJECT,
            f"database whole, schema {sight.schema}{older}; {since}",
            "see below why the CSMS is not reached",
        )
    else:
        yield ok(SUBJECT, f"database whole, schema {sight.schema}{older}; {waiting}")


def _waiting(depth: int) -> str:
    return (
        "nothing waits to be sent"
        if depth == 0
        else "1 message waits to be sent"
        if depth == 1
        else f"{depth} messages wait to be sent"
    )
