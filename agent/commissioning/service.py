"""The room of the service: does systemd keep the agent alive, how did it end last, is a new release on trial?"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.commissioning.findings import Finding, failure, ok, warning
from agent.commissioning.machine import Machine
from agent.config import Config
from agent.exit_codes import ExitCode

SUBJECT = "service"
DEPLOYED = "/opt/evse-agent"
"""Where deploy.sh lays out the releases."""
MANY_RESTARTS = 3
LOG = "look into its log: journalctl -u evse-agent -n 50"


def check_service(config: Config | None, machine: Machine, *, is_running: bool | None) -> Iterator[Finding]:
    """`is_running` None: that cannot be seen."""
    yield from _releases(config, machine)
    unit = machine.unit()
    if not unit:
        state = {True: "; an agent runs, started by hand", False: "; no agent runs", None: ""}[is_running]
        yield ok(SUBJECT, f"not installed as a service{state}")
        return
    state = f"{unit.get('ActiveState', '?')} ({unit.get('SubState', '?')})"
    restarts = int(unit.get("NRestarts", "0") or "0")
    if unit.get("ActiveState") == "active":
        yield from _active(state, restarts, is_running)
    else:
        yield from _not_active(state, unit)
    if unit.get("UnitFileState") not in ("enabled", "static", None):
        yield warning(SUBJECT, "it would not start after a power cut", "sudo systemctl enable evse-agent")


def _active(state: str, restarts: int, is_running: bool | None) -> Iterator[Finding]:
    if is_running is False:
        yield warning(SUBJECT, f"{state}, but no agent answers on the socket of this configuration", LOG)
    elif restarts >= MANY_RESTARTS:
        yield warning(SUBJECT, f"{state}, restarted {restarts} times since it was started", LOG)
    else:
        yield ok(SUBJECT, f"{state}, {restarts} restarts")


def _not_active(state: str, unit: Mapping[str, str]) -> Iterator[Finding]:
    result, code = unit.get("Result", ""), unit.get("ExecMainStatus", "")
    if result == "watchdog":
        yield failure(SUBJECT, f"{state}: the watchdog ended it, because it hung", LOG)
    elif code == str(int(ExitCode.BAD_CONFIG)):
        advice = "correct it (see above), then: sudo systemctl start evse-agent"
        yield failure(SUBJECT, f"{state}: it ended because of its configuration", advice)
    elif code == str(int(ExitCode.BAD_STORE)):
        yield failure(
            SUBJECT, f"{state}: it ended because of its database or a full disk", "see 'state' above"
        )
    elif result in ("success", ""):
        yield warning(SUBJECT, f"{state}: it is stopped", "start it: sudo systemctl start evse-agent")
    else:
        yield failure(SUBJECT, f"{state}: it ended with {result}, code {code}", LOG)


def _releases(config: Config | None, machine: Machine) -> Iterator[Finding]:
    root = machine.path(config.update.root if config is not None and config.update.root else DEPLOYED)
    trial = _lines(root / "trial")
    if trial:
        found = f"release {trial[0]} is on trial: it goes back to {trial[1] if len(trial) > 1 else 'the one before'}"
        advice = "wait until the CSMS has accepted the station (or finish the deploy); then it stays"
        yield warning(SUBJECT, f"{found} if it does not reach the CSMS", advice)
    failed = _lines(root / "failed")
    if failed:
        reason = failed[1] if len(failed) > 1 else "no reason noted"
        advice = "mend the cause, then deploy or order the update again"
        yield warning(SUBJECT, f"release {failed[0]} was rolled back: {reason}", advice)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
