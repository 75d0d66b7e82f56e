"""The room of the serial ports: are they there, may the agent use them, does somebody else hold them?"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from agent.commissioning.findings import Finding, Verdict, failure, ok, warning
from agent.commissioning.machine import Machine, User, group_name
from agent.config import Config

SUBJECT = "port"
OUR_RULES = "/etc/udev/rules.d/60-evse-agent.rules"
MODEM_MANAGER = "ModemManager"
STABLE = ("/dev/evse/", "/dev/serial/by-id/", "/dev/serial/by-path/", "/dev/ttyAMA", "/dev/serial0")


def configured_ports(config: Config) -> dict[str, str]:
    """Device paths, and who uses each; network and simulated ports are not among them."""
    wanted: dict[str, str] = {}
    if config.hal.driver == "board":
        wanted[config.hal.board.port] = "the board"
    for meter in config.hal.meters:
        wanted.setdefault(meter.port, f"meter {meter.model}")
    for reader in config.hal.readers:
        wanted.setdefault(reader.port, f"reader {reader.model}")
    return {port: owner for port, owner in wanted.items() if port.startswith("/")}


def check_ports(
    config: Config, machine: Machine, user: User, *, is_running: bool
) -> tuple[list[Finding], frozenset[str]]:
    """What there is to say, and the ports that cannot be used: what hangs on them need not be tried."""
    found: list[Finding] = []
    unusable = set()
    wanted = configured_ports(config)
    for port, owner in wanted.items():
        about = list(_check_port(port, owner, machine, user, is_running))
        found += about
        if any(each.verdict is Verdict.FAILURE for each in about):
            unusable.add(port)
    if any(machine.path(port).resolve().name.startswith(("ttyUSB", "ttyACM")) for port in wanted):
        found += _modem_manager(machine)
    if config.hal.gpio:
        found += _gpio({line.chip for line in config.hal.gpio}, machine, user)
    return found, frozenset(unusable)


def _check_port(port: str, owner: str, machine: Machine, user: User, is_running: bool) -> Iterator[Finding]:
    from hal.commissioning import lasting_name, obstacle

    path = machine.path(port)
    if not path.exists():
        yield failure(SUBJECT, f"{port} ({owner}) is not there", _what_there_is(machine))
        return
    if not user.may(path, os.R_OK | os.W_OK):
        group = group_name(path.stat().st_gid)
        advice = f"sudo usermod -aG {group} {user.name}, then log in again or restart the agent"
        yield failure(SUBJECT, f"{user.name} may not use {port}; it belongs to group {group}", advice)
    found = None if is_running else obstacle(port, machine.root)
    match found.kind if found is not None else None:
        case "busy":
            assert found is not None
            yield failure(SUBJECT, f"{found.detail} uses {port}", "stop that program: a port has one owner")
        case "console":
            advice = (
                "sudo raspi-config, Interface Options, Serial Port: login shell no, hardware yes; then reboot"
            )
            yield failure(SUBJECT, f"the system's console is on {port} and talks to the device", advice)
        case "no_port":
            yield failure(SUBJECT, f"{port} ({owner}) is no serial port", _what_there_is(machine))
        case "missing":
            assert found is not None
            yield failure(SUBJECT, f"{port}: {found.detail}", f"plug in {owner} again; see `dmesg`")
        case None | "forbidden":
            yield from _name(port, owner, lasting_name(port, machine.root), is_running)


def _name(port: str, owner: str, better: str | None, is_running: bool) -> Iterator[Finding]:
    if better is not None and not port.startswith(STABLE):
        advice = f"write {better} into the configuration"
        found = f"{port} is there for {owner}, but its number changes when something else is plugged in"
        yield warning(SUBJECT, found, advice)
    else:
        yield ok(
            SUBJECT, f"{port} is there for {owner}, " + ("used by the agent" if is_running else "and free")
        )


def _what_there_is(machine: Machine) -> str:
    from hal.commissioning import serial_ports

    there = ", ".join(port.name for port in serial_ports(machine.root))
    return f"check cable and supply of the device, and the name in the configuration; there is: {there or 'none'}"


def _modem_manager(machine: Machine) -> Iterator[Finding]:
    if MODEM_MANAGER in machine.programs().values() and not machine.path(OUR_RULES).exists():
        advice = (
            "sudo systemctl disable --now ModemManager (deploy.sh installs a rule that keeps it away instead)"
        )
        yield warning(SUBJECT, "ModemManager runs here and talks to every new serial port", advice)


def _gpio(chips: set[str], machine: Machine, user: User) -> Iterator[Finding]:
    if importlib.util.find_spec("gpiod") is None:
        yield failure(
            "GPIO", "[[hal.gpio]] needs libgpiod, which is not installed", "pip install 'evse-agent[gpio]'"
        )
    for chip in sorted(chips):
        if not chip.startswith("/"):
            continue  # a label: which chip has it, only the agent can ask
        path = machine.path(chip)
        if not Path(path).exists():
            yield failure(
                "GPIO", f"there is no {chip}", "look with `gpiodetect`, and correct [[hal.gpio]] chip"
            )
        elif not user.may(path, os.R_OK | os.W_OK):
            group = group_name(path.stat().st_gid)
            advice = f"sudo usermod -aG {group} {user.name}, then restart the agent"
            yield failure("GPIO", f"{user.name} may not use {chip}; it belongs to group {group}", advice)
        else:
            yield ok("GPIO", f"{chip} is there")
