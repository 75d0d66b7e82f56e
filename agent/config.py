"""The configuration file: TOML in, one frozen `Config` out, or every problem at once with key and line.

The dataclasses below *are* the list of keys: a field is a key, its default the key's default, its metadata
the allowed values. Unknown keys are errors. Opens no hardware and imports nothing of the agent but its
errors: the names in [settings] are judged by `charging/settings.py`, when `app.py` or `check-config` has
both. Keys: docs/configuration.md.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from agent.config_hal import BAUD_RATES, EVSES_MAX, GpioConfig, MeterConfig, ReaderConfig
from agent.config_mqtt import MqttConfig, check_mqtt
from agent.config_web import WebConfig, check_web
from agent.errors import ConfigError, Problem
from agent.toml_lines import KeyLines, KeyPath, scan


def _key(default: Any = MISSING, **limits: Any) -> Any:
    """A field with limits: `least`, `most`, `choices`, `longest`, `pattern`."""
    return field(metadata=limits) if default is MISSING else field(default=default, metadata=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConfig:
    """Who the station says it is. Lengths: OCPP 1.6 6.5 (BootNotification.req)."""

    identity: str = _key(pattern=r"[^\x00-\x20\x7f]{1,48}", shape="1 to 48 characters without spaces")
    vendor: str = _key(longest=20, pattern=".+", shape="at least one character")
    model: str = _key(longest=20, pattern=".+", shape="at least one character")
    serial_number: str = _key("", longest=25)
    firmware_version: str = _key("", longest=50)
    """Empty: the version of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsmsConfig:
    """The connection to the CSMS."""

    url: str
    subprotocols: tuple[str, ...] = _key(("ocpp1.6",), choices=("ocpp1.6", "ocpp2.0.1"))
    """The OCPP versions that are offered, best first."""
    security_profile: int = _key(0, least=0, most=3)
    password: str = field(default="", repr=False, metadata={"longest": 40})
    password_hex: str = field(
        default="",
        repr=False,
        metadata={"pattern": "([0-9A-Fa-f]{2}){0,20}", "shape": "up to 20 bytes in hex"},
    )
    password_file: str = ""
    secure_url: str = ""
    """Used in security profiles 2 and 3; empty: `url` with wss."""
    ca_file: str = ""
    certificate_file: str = ""
    """The station's certificate for profile 3, as long as the CSMS has not had one signed."""
    certificate_key_file: str = ""
    """Its key; empty: in the same file."""
    accept_missing_subprotocol: bool = False
    """Speak the first subprotocol with a server that selects none."""
    compression: bool = False
    json_in_data_transfer: bool = False
    """Take any JSON value as `data` of a DataTransfer of OCPP 1.6, not only a string."""
    max_frame_bytes: int = _key(1_048_576, least=4096, most=67_108_864)
    connect_timeout_s: float = _key(30.0, least=1, most=300)
    backoff_first_s: float = _key(4.0, least=0.1, most=600)
    backoff_max_s: float = _key(300.0, least=1, most=86_400)

    def read_password(self) -> bytes | None:
        """The bytes after the colon of HTTP Basic, or None when no password is set. Raises OSError."""
        if self.password_file:
            return Path(self.password_file).read_bytes().rstrip(b"\r\n")
        if self.password_hex:
            return bytes.fromhex(self.password_hex)
        return self.password.encode() or None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The agent as a program."""

    state_dir: str = "/var/lib/evse-agent"
    on_reset: str = _key("exit", choices=("exit", "restart"))
    log_level: str = _key("info", choices=("debug", "info", "warning", "error"))
    log_format: str = _key("text", choices=("text", "json"))
    message_journal: int = _key(500, least=10, most=10_000)
    """How many OCPP messages `evse-agent messages` can show."""
    message_journal_bytes: int = _key(2_097_152, least=65_536, most=67_108_864)
    """Of them all together; the oldest go first."""
    log_file_bytes: int = _key(1_048_576, least=0, most=67_108_864)
    """Of one file of the log in the state directory; 0 = no log on disk."""
    log_files: int = _key(4, least=1, most=50)
    sessions_kept: int = _key(1000, least=1, most=10_000)
    """Of how many sessions the curve of power and current is kept."""
    session_days: int = _key(365, least=0, most=36_500)
    """For how long, and for how long it is known who charged; 0 = as long as there are not too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """The simulated world."""

    evses: int = _key(1, least=1, most=EVSES_MAX)
    connectors_per_evse: int = _key(1, least=1, most=4)
    has_lock: bool = True
    """False: a fixed cable."""
    meter_start_wh: int = _key(0, least=0)
    meter_resets_on_plug_in: bool = False
    phases: int = _key(3, choices=(1, 3))
    max_current_a: float = _key(32.0, least=6, most=80)
    can_switch_phases: bool = False
    """There is a relay between one and three phases."""
    outputs: tuple[str, ...] = ("fan",)
    """Names of the simulated auxiliary relays."""
    signs_readings: bool = False
    """The meters sign their readings, as certified ones do."""
    has_screen: bool = True
    """Each EVSE has a display for its driver."""
    memory_file: str = ""
    """Where cars and meters are remembered over a restart; empty: a new world each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfig:
    """The I/O board. What it can do it says itself; the file may only restrict."""

    port: str = ""
    baud_rate: int = _key(115_200, choices=BAUD_RATES)
    evses: int = _key(1, least=1, most=EVSES_MAX)
    connectors_per_evse: int = _key(1, least=1, most=4)
    has_lock: bool = True
    """False: the lock is not used, even if the board has one."""
    max_current_a: float = _key(80.0, least=6, most=80)
    pcb: str = _key("reference", pattern="[a-z][a-z0-9_]{0,29}", shape="the name of a file in board/pins")
    """Which circuit it is: `deploy.sh` writes the name to the board with the firmware."""
    sensors: tuple[str, ...] = ()
    """Names of the board's sensors that the agent shall know."""
    has_screen: bool = False
    """Each EVSE has a display, driven by another program that asks the local API."""
    outputs: Mapping[str, int] = field(default_factory=dict)
    """Name -> number of the board's auxiliary relay (0..7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalSection:
    """The [hal] table; `agent/app.py` turns it into `hal.factory`'s own configuration."""

    driver: str = _key("sim", choices=("sim", "board"))
    sim: SimConfig = SimConfig()
    board: BoardConfig = BoardConfig()
    meters: tuple[MeterConfig, ...] = ()
    readers: tuple[ReaderConfig, ...] = ()
    gpio: tuple[GpioConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCommandConfig:
    """One vendor command that needs no code: docs/vendor-commands.md."""

    vendor_id: str = _key(pattern=".{1,255}", shape="1 to 255 characters")
    action: str
    message_id: str = _key("", longest=50)
    """Empty: the answer to this vendor's messages without messageId."""
    sources: tuple[str, ...] = _key(("csms", "local"), choices=("csms", "local"))
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Action parameter -> value that the caller cannot change."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Action parameter -> dotted path in the message's data ("" or "$": the whole data)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRoles:
    """Who may use actions of which role."""

    csms: tuple[str, ...] = _key(("operator",), choices=("operator", "service"))
    local: tuple[str, ...] = _key(("operator", "service"), choices=("operator", "service"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorConfig:
    enabled: tuple[str, ...] = ()
    """Entry-point names (group evse_agent.vendors) whose code is loaded."""
    disabled: tuple[str, ...] = ()
    """Vendor ids that answer as if they were unknown."""
    max_text_bytes: int = _key(16_384, least=64, most=1_048_576)
    max_depth: int = _key(8, least=1, most=64)
    timeout_s: float = _key(10.0, least=0.1, most=15)
    actions_per_minute: int = _key(10, least=1, most=600)
    safe_while_charging: tuple[str, ...] = ()
    """Outputs that may be switched while a transaction runs."""
    roles: VendorRoles = VendorRoles()
    commands: tuple[VendorCommandConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    """Firmware updates by the CSMS: docs/firmware.md."""

    root: str = ""
    """Where `evse-agent firmware prepare` laid out the releases; empty: no updates are taken."""
    require_signature: bool | None = None
    """None: in security profiles 1 to 3."""
    allow_downgrade: bool = False
    max_bytes: int = _key(268_435_456, least=65_536, most=4_294_967_296)
    confirm_within_s: float = _key(600.0, least=30, most=86_400)
    """How long new firmware may take to be accepted by the CSMS."""
    known_hosts: str = ""
    """Host keys for SFTP, as ssh keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file. `settings` maps 1.6 keys or Component.Variable to text, lists joined with commas."""

    station: StationConfig
    csms: CsmsConfig
    agent: AgentConfig = AgentConfig()
    web: WebConfig = field(default_factory=WebConfig)
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    hal: HalSection = HalSection()
    settings: Mapping[str, str] = field(default_factory=dict)
    vendor: VendorConfig = VendorConfig()
    update: UpdateConfig = UpdateConfig()
    lines: KeyLines = field(default_factory=lambda: KeyLines({}), compare=False, repr=False)
    """For problems that are found later, e.g. `setting_line(config.lines, "HeartbeatInterval")`."""

    @property
    def state_dir(self) -> Path:
        return Path(self.agent.state_dir)

    @property
    def socket_path(self) -> Path:
        return socket_path(self.state_dir)

    @property
    def known_hosts(self) -> Path:
        """Host keys of SFTP servers, for updates and for diagnostics."""
        named = self.update.known_hosts
        return Path(named) if named else self.state_dir / "known_hosts"


def socket_path(state_dir: Path) -> Path:
    """Where the local API of the agent with this state directory listens."""
    return state_dir / "api.sock"


def setting_line(lines: KeyLines, name: str) -> int | None:
    """Where [settings] names it; `Component.Variable` may stand there with or without quotes."""
    return lines.line_of(("settings", *name.split("."))) or lines.line_of(("settings", name))


def load(path: Path) -> Config:
    """Read the file. Raises ConfigError with all problems."""
    return parse(read_text(path))


def read_text(path: Path) -> str:
    """The text of the file. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(str(path), error.strerror or "cannot be read")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), "is not UTF-8 text")]) from error


def read_settings(text: str) -> tuple[Mapping[str, str], KeyLines]:
    """The [settings] table alone, to be judged although other tables are wrong; empty if this is no TOML."""
    lines = scan(text)
    try:
        table = tomllib.loads(text).get("settings", {})
    except tomllib.TOMLDecodeError:
        return {}, lines
    return _flatten_settings(table, _Reader(lines)), lines


def parse(text: str) -> Config:
    """Turn the text of a configuration file into a Config. Raises ConfigError with all problems."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+)", str(error))
        raise ConfigError([Problem("TOML", str(error), int(at.group(1)) if at else None)]) from error
    lines = scan(text)
    reader = _Reader(lines)
    settings = _flatten_settings(document.pop("settings", {}), reader)
    config: Config | None = reader.read_table(Config, document, ())
    for section, check in _CHECKS.items():
        if section in reader.sections:
            for path, message in check(reader.sections[section]):
                reader.complain((section, *path), message)
    if _has_colon_in_user_name(reader.sections):
        reader.complain(
            ("station", "identity"), "cannot be a user name with its colon: profiles 1 and 2 need one"
        )
    if _has_fixed_version(reader.sections):
        reader.complain(
            ("station", "firmware_version"), "must be empty where update.root is set: it would never change"
        )
    if reader.problems or config is None:
        raise ConfigError(sorted(reader.problems, key=lambda problem: problem.line or 0))
    return replace(config, settings=MappingProxyType(settings), lines=lines)


def all_keys() -> list[str]:
    """Every key of the file in dotted form, arrays of tables as "hal.meters[].port"."""
    return list(_keys_of(Config, ""))


def _keys_of(cls: type, prefix: str) -> Iterator[str]:
    hints = get_type_hints(cls)
    for entry in fields(cls):
        name, hint = f"{prefix}{entry.name}", hints[entry.name]
        if entry.name == "lines":
            continue
        if is_dataclass(hint):
            yield from _keys_of(hint, f"{name}.")  # type: ignore[arg-type]
        elif get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
            yield from _keys_of(get_args(hint)[0], f"{name}[].")
        else:
            yield name


class _Reader:
    """Builds dataclasses from TOML tables and collects what is wrong instead of stopping at it."""

    def __init__(self, lines: KeyLines) -> None:
        self._lines = lines
        self.problems: list[Problem] = []
        self.sections: dict[str, Any] = {}
        """The sections that were read without a problem: the only ones that can be checked as a whole."""

    def complain(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(_dotted(path), message, self._lines.line_of(path)))

    def read_table(self, cls: type[Any], table: object, path: KeyPath) -> Any:
        """An instance of `cls`, or None when a value is missing or wrong (then there is a problem for it)."""
        if not isinstance(table, dict):
            self.complain(path, f"must be a table, not {_kind(table)}")
            return None
        hints = get_type_hints(cls)
        known = {entry.name: entry for entry in fields(cls) if entry.name != "lines"}
        for name in table:
            if name not in known:
                self.complain((*path, name), f"unknown key{_suggestion(name, known)}")
        values: dict[str, Any] = {}
        failed = False
        for name, entry in known.items():
            has_default = entry.default is not MISSING or entry.default_factory is not MISSING
            is_section = path == () and is_dataclass(hints[name])
            if name not in table and has_default:
                continue
            if name not in table and not is_section:
                self.complain((*path, name), "is missing")
                failed = True
                continue
            value = self._read(hints[name], table.get(name, {}), (*path, name), entry.metadata)
            failed = failed or value is None
            if path == () and value is not None:
                self.sections[name] = value
            values[name] = value
        return None if failed else cls(**values)

    def _read(self, hint: Any, value: object, path: KeyPath, limits: Mapping[str, Any]) -> Any:
        if is_dataclass(hint):
            return self.read_table(hint, value, path)  # type: ignore[arg-type]
        origin = get_origin(hint)
        if origin is UnionType:  # "T | None": None is what a key has that is not in the file
            return self._read_scalar(get_args(hint)[0], value, path, limits)
        if origin is tuple:
            return self._read_list(get_args(hint)[0], value, path, limits)
        if origin is not None:
            return self._read_mapping(get_args(hint)[1], value, path)
        return self._read_scalar(hint, value, path, limits)

    def _read_list(self, item: Any, value: object, path: KeyPath, limits: Mapping[str, Any]) -> Any:
        if not isinstance(value, list):
            self.complain(path, f"must be a list, not {_kind(value)}")
            return None
        items = tuple(self._read(item, entry, (*path, number), limits) for number, entry in enumerate(value))
        return None if any(entry is None for entry in items) else items

    def _read_mapping(self, item: Any, value: object, path: KeyPath) -> Any:
        if not isinstance(value, dict):
            self.complain(path, f"must be a table, not {_kind(value)}")
            return None
        if item is Any:
            return MappingProxyType(dict(value))
        found = {name: self._read_scalar(item, entry, (*path, name), {}) for name, entry in value.items()}
        return None if any(entry is None for entry in found.values()) else MappingProxyType(found)

    def _read_scalar(self, hint: type, value: object, path: KeyPath, limits: Mapping[str, Any]) -> Any:
        if hint is float and type(value) is int:
            value = float(value)
        if type(value) is not hint:
            self.complain(path, f"must be {_KINDS[hint]}, not {_kind(value)}")
            return None
        problem = _limit_problem(value, limits)
        if problem:
            self.complain(path, problem)
            return None
        return value


_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


def _limit_problem(value: Any, limits: Mapping[str, Any]) -> str:
    choices = limits.get("choices")
    if choices is not None and value not in choices:
        close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"is {value!r}, but must be one of {', '.join(str(choice) for choice in choices)}{hint}"
    if "least" in limits and value < limits["least"]:
        return f"is {value}, but must be at least {limits['least']}"
    if "most" in limits and value > limits["most"]:
        return f"is {value}, but must be at most {limits['most']}"
    if "longest" in limits and len(value) > limits["longest"]:
        return f"has {len(value)} characters, but at most {limits['longest']} are allowed"
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        return f"must have {limits['shape']}"
    return ""


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f" (known here: {', '.join(known)})"


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _flatten_settings(table: object, reader: _Reader) -> dict[str, str]:
    """Setting name -> text. `Component.Variable = 1` without quotes arrives as a nested table."""
    found: dict[str, str] = {}
    if not isinstance(table, dict):
        reader.complain(("settings",), f"must be a table, not {_kind(table)}")
        return found

    def walk(level: Mapping[str, object], path: tuple[str, ...]) -> None:
        for name, value in level.items():
            here = (*path, name)
            match value:
                case bool():
                    found[".".join(here)] = "true" if value else "false"
                case int() | float() | str():
                    found[".".join(here)] = str(value)
                case list() if all(type(item) in (str, int, float) for item in value):
                    found[".".join(here)] = ",".join(str(item) for item in value)
                case dict():
                    walk(value, here)
                case _:
                    reader.complain(
                        ("settings", *here), "must be a text, a number, true or false, or a list of these"
                    )

    walk(table, ())
    return found


def _check_csms(csms: CsmsConfig) -> Iterator[tuple[KeyPath, str]]:
    try:
        parts = urlsplit(csms.url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        yield ("url",), f"is not a URL: {error}"
        return
    if parts.scheme not in ("ws", "wss") or not parts.hostname or not has_port:
        yield ("url",), "must look like ws://host/path or wss://host/path"
    elif csms.security_profile >= 2 and parts.scheme != "wss" and not csms.secure_url:
        yield ("url",), f"must begin with wss:// in security profile {csms.security_profile}"
    elif csms.security_profile == 1 and parts.scheme == "wss":
        yield ("url",), "must begin with ws:// in security profile 1, which is without TLS: or use profile 2"
    if parts.username or parts.password:
        yield ("url",), "must not hold a password: use csms.password or csms.password_file"
    if not csms.subprotocols:
        yield ("subprotocols",), "must name at least one subprotocol"
    if len(set(csms.subprotocols)) < len(csms.subprotocols):
        yield ("subprotocols",), "names one twice"
    if csms.secure_url and not re.match(r"wss://[^/@]+(/[^@]*)?$", csms.secure_url):
        yield ("secure_url",), "must look like wss://host/path"
    if csms.certificate_key_file and not csms.certificate_file:
        yield ("certificate_key_file",), "is the key of no certificate: set certificate_file, too"
    given = [name for name in ("password", "password_hex", "password_file") if getattr(csms, name)]
    if len(given) > 1:
        yield (given[1],), f"is set beside {given[0]}: only one of them can be the password"
    if csms.security_profile in (1, 2) and not given:
        yield ("password",), f"is needed in security profile {csms.security_profile}"
    for name in ("password_file", "ca_file", "certificate_file", "certificate_key_file"):
        path = getattr(csms, name)
        if path and not os.access(path, os.R_OK):
            yield (name,), f"cannot be read: {path}"
    if csms.backoff_first_s > csms.backoff_max_s:
        yield ("backoff_first_s",), "is longer than backoff_max_s"


def _check_hal(hal: HalSection) -> Iterator[tuple[KeyPath, str]]:
    if hal.driver == "board" and not hal.board.port:
        yield ("board", "port"), "is needed with the board driver"
    owners: dict[int, int] = {}
    for number, meter in enumerate(hal.meters):
        if meter.evse in owners:
            yield (
                ("meters", number, "evse"),
                f"EVSE {meter.evse} has meter {owners[meter.evse] + 1} already",
            )
        owners.setdefault(meter.evse, number)
    for name, relay in hal.board.outputs.items():
        if not 0 <= relay <= 7:
            yield ("board", "outputs", name), f"is {relay}, but the board has relays 0 to 7"


def _check_vendor(vendor: VendorConfig) -> Iterator[tuple[KeyPath, str]]:
    seen: dict[tuple[str, str], int] = {}
    for number, command in enumerate(vendor.commands):
        name = (command.vendor_id.casefold(), command.message_id.casefold())
        if name in seen:
            place: KeyPath = ("commands", number, "message_id")
            yield place, f"command {seen[name] + 1} has the same vendor_id and message_id"
        seen.setdefault(name, number)
        for parameter in command.parameters:
            if parameter in command.fixed:
                yield ("commands", number, "parameters", parameter), "is fixed as well"


def _check_update(update: UpdateConfig) -> Iterator[tuple[KeyPath, str]]:
    if update.root and not Path(update.root, "current").is_dir():
        yield ("root",), f"holds no release: prepare {update.root} with `evse-agent firmware prepare`"
    if update.known_hosts and not os.access(update.known_hosts, os.R_OK):
        yield ("known_hosts",), f"cannot be read: {update.known_hosts}"


def _has_fixed_version(sections: Mapping[str, Any]) -> bool:
    """What BootNotification says has to change with the firmware."""
    station, update = sections.get("station"), sections.get("update")
    return bool(station and update and update.root and station.firmware_version)


def _has_colon_in_user_name(sections: Mapping[str, Any]) -> bool:
    """HTTP Basic ends the user name at the first colon (RFC 7617)."""
    station, csms = sections.get("station"), sections.get("csms")
    return bool(station and csms and csms.security_profile in (1, 2) and ":" in station.identity)


_CHECKS: Mapping[str, Callable[[Any], Iterator[tuple[KeyPath, str]]]] = {
    "csms": _check_csms,
    "web": check_web,
    "mqtt": check_mqtt,
    "hal": _check_hal,
    "vendor": _check_vendor,
    "update": _check_update,
}
"""What no single key shows, by section."""
