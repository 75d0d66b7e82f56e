"""The configuration file of `evse-agent init`: its text with comments, its check, and the way to the disk.

The text is judged by the agent's own loader and by what `check-config` asks before it is written; it is written aside
and renamed, so that a power cut or Ctrl-C leaves the old file or the new one. Keys: docs/configuration.md.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from agent.commissioning.answers import Answers, MeterAnswer
from agent.config import parse
from agent.errors import ConfigError, Problem
from agent.version import VERSION

MODE = 0o640
"""A password may be inside."""
DEFAULT_STATE_DIR = "/var/lib/evse-agent"

COMMENTS: Mapping[str, str] = {
    "station.identity": "name of the station at the CSMS; the agent appends it to csms.url",
    "station.vendor": "as the CSMS is told in BootNotification, up to 20 characters",
    "station.model": "the same, up to 20 characters",
    "station.serial_number": "the same, up to 25 characters; what stands on the label",
    "csms.url": "without the identity: it is appended",
    "csms.security_profile": "0 none, 1 password, 2 password over TLS, 3 own certificate; it can only be raised",
    "csms.password": "of profiles 1 and 2, as text; one that the CSMS sets later beats it",
    "csms.password_hex": "of profiles 1 and 2, the bytes in hex, as OCPP 1.6 writes a key",
    "csms.password_file": "the password of profiles 1 and 2 is in this file",
    "csms.ca_file": "root certificate of the CSMS, PEM",
    "csms.certificate_file": "certificate of this station for profile 3, PEM with its chain",
    "csms.certificate_key_file": "its private key",
    "agent.state_dir": "database, certificates, local socket",
    "hal.driver": '"board": an I/O board; "sim": simulated hardware',
    "hal.sim.evses": "number of EVSEs",
    "hal.sim.max_current_a": "most current per phase",
    "hal.board.port": "the I/O board",
    "hal.board.evses": "EVSEs that it serves",
    "hal.board.max_current_a": "never offer more per phase: the weakest of wire, breaker and fuse",
    "hal.meters[].evse": "whose energy it counts; 0: the whole station",
    "hal.meters[].model": "a profile of docs/hardware.md",
    "hal.meters[].port": "several meters may share a line",
    "hal.meters[].unit": "its Modbus address",
    "hal.meters[].baud_rate": "not as from the factory",
    "hal.meters[].parity": "not as from the factory",
    "hal.meters[].stop_bits": "not as from the factory",
    "hal.readers[].model": "rdm6300 (125 kHz) or pn532 (ISO 14443)",
    "hal.readers[].port": "of its own",
}
"""What stands behind each value; a test sees that every key exists."""


def toml_text(answers: Answers, today: date) -> str:
    """The whole file."""
    return "\n".join(_lines(answers, today)) + "\n"


def _lines(answers: Answers, today: date) -> Iterator[str]:
    yield f"# Written by `evse-agent init` {VERSION} on {today:%Y-%m-%d}. Change it as you like, then:"
    yield "#   evse-agent check-config FILE    lists what is wrong in it"
    yield "#   evse-agent doctor --config FILE looks at everything around it"
    yield "# All keys, also those that are not here: docs/configuration.md."
    yield from _table("station", _station(answers), "who the station says it is")
    yield from _table("csms", _csms(answers), "the connection (docs/security.md)")
    if answers.state_dir != DEFAULT_STATE_DIR:
        yield from _table("agent", {"state_dir": answers.state_dir}, "the program")
    driver = "sim" if answers.board_port is None else "board"
    yield from _table("hal", {"driver": driver}, "the hardware (docs/hardware.md)")
    yield from _table(f"hal.{driver}", _hardware(answers), "")
    for meter in answers.meters:
        yield from _table("hal.meters", _meter(meter), "", is_array=True)
    for reader in answers.readers:
        values = {"model": reader.model, "port": reader.port}
        yield from _table("hal.readers", values, "", is_array=True)


def _station(answers: Answers) -> dict[str, object]:
    return {
        "identity": answers.identity,
        "vendor": answers.vendor,
        "model": answers.model,
        "serial_number": answers.serial_number or None,
    }


def _csms(answers: Answers) -> dict[str, object]:
    return {
        "url": answers.csms_url,
        "security_profile": answers.security_profile,
        "password": answers.password or None,
        "password_hex": answers.password_hex or None,
        "password_file": answers.password_file or None,
        "ca_file": answers.ca_file or None,
        "certificate_file": answers.certificate_file or None,
        "certificate_key_file": answers.certificate_key_file or None,
    }


def _hardware(answers: Answers) -> dict[str, object]:
    return {"port": answers.board_port, "evses": answers.evses, "max_current_a": answers.max_current_a}


def _meter(meter: MeterAnswer) -> dict[str, object]:
    return {
        "evse": meter.evse,
        "model": meter.model,
        "port": meter.port,
        "unit": meter.unit,
        "baud_rate": meter.baud_rate,
        "parity": meter.parity,
        "stop_bits": meter.stop_bits,
    }


def _table(name: str, values: Mapping[str, object], about: str, *, is_array: bool = False) -> Iterator[str]:
    """A table whose comments stand in one column; None is left out."""
    yield ""
    header = f"[[{name}]]" if is_array else f"[{name}]"
    yield f"{header}  # {about}" if about else header
    given = {key: _value(value) for key, value in values.items() if value is not None}
    width = min(48, max(len(f"{key} = {text}") for key, text in given.items()))
    for key, text in given.items():
        comment = COMMENTS[f"{name}{'[]' * is_array}.{key}"]
        yield f"{f'{key} = {text}'.ljust(width)}  # {comment}"


def _value(value: object) -> str:
    # A TOML basic string takes the escapes of JSON; DEL is the one character that JSON lets stand.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- judging ----------------------------------------------------------------------------------------------


def problems_of(text: str) -> list[Problem]:
    """What the agent's own loader and `check-config` have to say."""
    from agent.app import hardware_problems
    from agent.config_check import find_problems

    try:
        text.encode()
    except UnicodeEncodeError as error:
        return [Problem("options", f"{error.object[error.start : error.end]!r} is no UTF-8 text")]
    try:
        config = parse(text)
    except ConfigError as error:
        return error.problems
    return [*find_problems(config), *hardware_problems(config)]


def problem_of(key: str, answers: Answers) -> str:
    """Why the loader does not take the value of one key; "" if it does. Other keys may still be missing."""
    try:
        parse(toml_text(answers, date(2000, 1, 1)))
    except ConfigError as error:
        for problem in error.problems:
            if problem.key == key:
                return problem.message
    return ""


BLANK = Answers(csms_url="ws://localhost/", identity="x", vendor="x", model="x")
"""Answers in which nothing is wrong, to judge one value in."""


def judged(key: str, field: str, value: str) -> str:
    """`value`, if the loader takes it as `key`. Raises ValueError with the loader's words."""
    changed: dict[str, Any] = {field: value}
    problem = problem_of(key, replace(BLANK, **changed))
    if problem:
        raise ValueError(problem)
    return value


# --- the way to the disk ----------------------------------------------------------------------------------


def write_file(path: Path, text: str, *, force: bool) -> Path | None:
    """Put `text` there with mode 0640, in one step; the path of the copy of what was there before, if anything was.

    Raises FileExistsError without `force` if the file is there by now, and OSError."""
    path = Path(os.path.realpath(path))  # behind a link the file is changed, not the link
    folder = path.parent
    draft = folder / f".{path.name}.new"
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, MODE)  # whatever the umask says
            _hand_to_agent(descriptor, path if path.exists() else folder)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        kept = _put(draft, path, force)
        _sync_folder(folder)
    finally:
        draft.unlink(missing_ok=True)
    return kept


def _hand_to_agent(descriptor: int, like: Path) -> None:
    """deploy.sh makes /etc/evse-agent the agent's group's: what root writes there has to be, too."""
    with suppress(OSError):
        os.fchown(descriptor, -1, like.stat().st_gid)


def _put(draft: Path, path: Path, force: bool) -> Path | None:
    if not force:
        os.link(draft, path)  # unlike a rename it never replaces a file
        return None
    if not path.exists():
        draft.replace(path)
        return None
    kept = path.with_name(path.name + ".bak")
    kept.unlink(missing_ok=True)
    os.link(path, kept)  # the same file: at no time may more people read the old password than before
    draft.replace(path)
    return kept


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
