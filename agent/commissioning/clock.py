"""The room of the clock: bills and certificates need the right time."""

from collections.abc import Iterator

from agent.clock import PLAUSIBLE_SINCE
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.commissioning.machine import Machine

SUBJECT = "clock"
SET_IT = (
    "sudo timedatectl set-ntp true; the network must let NTP through (UDP 123): timedatectl timesync-status"
)


def check_clock(machine: Machine) -> Iterator[Finding]:
    now = machine.now()
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < PLAUSIBLE_SINCE:
        advice = f"set it: {SET_IT}; without a network: sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"
        yield failure(SUBJECT, f"it was never set: it shows {shown}; certificates cannot be checked", advice)
        return
    battery = "battery clock present" if machine.path("/sys/class/rtc/rtc0").exists() else "no battery clock"
    match machine.is_clock_synchronized():
        case True:
            yield ok(SUBJECT, f"{shown}, synchronised; {battery}")
        case False:
            yield warning(
                SUBJECT, f"{shown}, not synchronised with a time server; {battery}", f"set it up: {SET_IT}"
            )
        case None:
            yield ok(SUBJECT, f"{shown}; whether it is synchronised cannot be told here; {battery}")
