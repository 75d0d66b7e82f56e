"""The values of the settings: typed getters, checks, and changes that are on disk before anyone hears of them.

It knows no message: 1.6 configuration keys and 2.x variables are two views of `settings_table.py`. Built by
`agent/app.py` with `Settings.open`, read by everyone, changed through `Station.execute(ChangeSetting)` or, for what the
CSMS sets by other messages, with `change`. OCPP 1.6 5.3 and 5.8 (R16-199 to R16-211).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from agent.charging.ports import SettingStore
from agent.charging.requests import Answer, Verdict
from agent.charging.settings_table import SETTINGS, Kind, Mutability, Setting
from agent.errors import ConfigError, Problem, StoreError

__all__ = ["SETTINGS", "Kind", "Mutability", "Setting", "Settings", "by_name_in_file", "initial", "parse"]

_BY_KEY16 = {row.key16.lower(): row for row in SETTINGS.values() if row.key16 is not None}
_BY_PATH2 = {row.path2.lower(): row for row in SETTINGS.values() if row.path2 is not None}

_FORMER = " before"
"""Ending of the rows that hold the value before a change on trial: "=" and the value, or nothing."""
_INITIALIZED = "settings_initialized"
"""Row in the store that says: the configuration file has had its say."""


def parse(setting: Setting, text: str) -> str:
    """The value as it is stored, in the standard spelling. Raises ValueError that says what is wrong."""
    match setting.kind:
        case Kind.INTEGER:
            return _parse_integer(setting, text)
        case Kind.FLAG:
            if text.strip().lower() not in ("true", "false"):
                raise ValueError("must be true or false")
            return text.strip().lower()
        case Kind.LIST:
            return _parse_list(setting, text)
        case Kind.HEX:
            return _parse_hex(setting, text)
        case Kind.DECIMAL:
            return _parse_decimal(setting, text)
        case Kind.MOMENT:
            return _parse_moment(text)
        case Kind.TEXT:
            if setting.choices and text not in setting.choices:
                raise ValueError(f"must be one of {', '.join(setting.choices)}")
            if setting.most is not None and len(text) > setting.most:
                raise ValueError(f"has more than {setting.most} characters")
            return text


def _parse_integer(setting: Setting, text: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,15}", text.strip()):
        raise ValueError("must be a whole number in plain decimal")
    number = int(text)
    _check_bounds(setting, number)
    return str(number)


def _parse_decimal(setting: Setting, text: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?", text.strip()):
        raise ValueError("must be a number in plain decimal")
    _check_bounds(setting, float(text))
    return text.strip()


def _check_bounds(setting: Setting, number: float) -> None:
    if setting.least is not None and number < setting.least:
        raise ValueError(f"must be at least {setting.least}")
    if setting.most is not None and number > setting.most:
        raise ValueError(f"must be at most {setting.most}")


def _parse_moment(text: str) -> str:
    if text:
        at = datetime.fromisoformat(text)
        if len(text) < 11 or at.tzinfo is None:
            raise ValueError("must be a date and time with its zone")
    return text


def _parse_list(setting: Setting, text: str) -> str:
    if not text.strip():
        return ""
    spelling = {choice.lower(): choice for choice in setting.choices}
    items: list[str] = []
    for part in text.split(","):
        item = part.strip()
        if not item:
            raise ValueError("has an empty item")
        if spelling:
            if item.lower() not in spelling:
                raise ValueError(f"{item} is not one of {', '.join(setting.choices)}")
            item = spelling[item.lower()]
        elif setting.canonical is not None:
            item = setting.canonical(item)
        if item not in items:
            items.append(item)
    if len(items) > setting.max_items:
        raise ValueError(f"has more than {setting.max_items} items")
    return ",".join(items)


def _parse_hex(setting: Setting, text: str) -> str:
    digits = text.strip()
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", digits):
        raise ValueError("must be pairs of hex digits")
    if not (setting.least or 0) <= len(digits) <= (setting.most or len(digits)):
        raise ValueError(f"must have {setting.least} to {setting.most} hex digits")
    return digits


def by_name_in_file(name: str) -> Setting | None:
    """The row that `[settings]` of the configuration file means: a 1.6 key or Component.Variable, in any case."""
    return _BY_KEY16.get(name.lower()) or _BY_PATH2.get(name.lower())


def initial(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Values by our names, and what is wrong by the name as given. Read-only settings may be given too."""
    values: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, text in given.items():
        setting = by_name_in_file(name)
        if setting is None:
            problems[name] = "is no setting of this station"
            continue
        try:
            values[setting.name] = parse(setting, text)
        except ValueError as error:
            problems[name] = str(error)
    return values, problems


Listener = Callable[[str, str], None]
Guard = Callable[[str], str | None]


class Settings:
    """The values in force, with typed getters; unknown names are a bug and raise KeyError."""

    def __init__(self, values: Mapping[str, str], store: SettingStore) -> None:
        """`values` come from the store; names of former versions in it are ignored."""
        self._rows = dict(SETTINGS)
        self._by_key16 = dict(_BY_KEY16)
        self._stored = dict(values)
        self._values = {name: values.get(name, row.default) for name, row in SETTINGS.items()}
        self._store = store
        self._fixed: dict[str, str] = {}
        self._absent: set[str] = set()
        self._guards: dict[str, Guard] = {}
        self._on_trial: set[str] = set()
        self._listeners: list[Listener] = []
        self._preferred: Mapping[str, str] = {}

    @classmethod
    async def open(cls, store: SettingStore, given: Mapping[str, str]) -> "Settings":
        """From the store; at the very first start with `given`, the [settings] table of the configuration file.

        Raises ConfigError when `given` has errors, also when it is not applied any more."""
        values, problems = initial(given)
        if problems:
            raise ConfigError([Problem(f"settings.{name}", text) for name, text in problems.items()])
        stored = await store.load()
        if _INITIALIZED not in stored:
            await store.save({**values, _INITIALIZED: "true"})
            stored = {**stored, **values}
        return cls(stored, store)

    def add(self, row: Setting) -> None:
        """A setting that only this station has: a key for each connector or each language. Its stored value holds."""
        self._rows[row.name] = row
        self._values[row.name] = self._stored.get(row.name, row.default)
        if row.key16 is not None:
            self._by_key16[row.key16.lower()] = row

    # --- reading ---------------------------------------------------------------------------------------

    def raw(self, name: str) -> str | None:
        """The text as stored; None when this station does not have the setting."""
        if name not in self._rows or name in self._absent:
            return None
        return self._fixed.get(name, self._values[name])

    def has(self, name: str) -> bool:
        return name in self._rows and name not in self._absent

    def integer(self, name: str) -> int:
        return int(self._text(name, Kind.INTEGER))

    def decimal(self, name: str) -> float:
        return float(self._text(name, Kind.DECIMAL))

    def flag(self, name: str) -> bool:
        return self._text(name, Kind.FLAG) == "true"

    def text(self, name: str) -> str:
        """The text of a setting of any kind."""
        return self._text(name, None)

    def listed(self, name: str) -> tuple[str, ...]:
        text = self._text(name, Kind.LIST)
        return tuple(text.split(",")) if text else ()

    def _text(self, name: str, kind: Kind | None) -> str:
        row = self._rows[name]
        if row.kind is not kind and kind is not None:
            raise TypeError(f"{name} is {row.kind}, not {kind}")
        return self._fixed[name] if name in self._fixed else self._values[name]

    def rows(self) -> Iterable[Setting]:
        """What this station has, in the order of the table, its own ones last."""
        absent = self._absent
        return [row for name, row in self._rows.items() if name not in absent]

    def mutability(self, name: str) -> Mutability:
        """As in the table, unless the hardware leaves no choice."""
        return Mutability.READ_ONLY if name in self._fixed else self._rows[name].mutability

    def by_key16(self, key: str) -> Setting | None:
        """The setting that a 1.6 key means, in any case (R16-201); None when this station does not have it."""
        row = self._by_key16.get(key.lower())
        return row if row is not None and self.has(row.name) else None

    def by_variable(self, component: str, variable: str, instance: str | None = None) -> Setting | None:
        """The setting that a 2.x variable means, in any case; None when this station does not have it."""
        row = _BY_PATH2.get(".".join(filter(None, (component, variable, instance))).lower())
        return row if row is not None and self.has(row.name) else None

    def refusal(self, name: str, value: str) -> str | None:
        """What only this station says against a value that its row allows; None: nothing."""
        return self._refusal(self._rows[name], value)

    # --- what the hardware decides ---------------------------------------------------------------------

    def fix(self, name: str, value: str) -> None:
        """The hardware leaves no choice: `value` holds from now on, read-only and not stored."""
        self._fixed[name] = parse(SETTINGS[name], value)

    def release(self, name: str) -> None:
        """There is a choice again: what is stored holds."""
        self._fixed.pop(name, None)

    def drop(self, name: str) -> None:
        """This station does not have the setting; its getters still give the default."""
        self._absent.add(name)

    def guard(self, name: str, check: Guard) -> None:
        """Ask `check(value)` before a change; a text it returns is the reason to refuse."""
        self._guards[name] = check

    def prefer(self, defaults: Mapping[str, str]) -> None:
        """What holds from now on for settings that nobody ever set; all others of them have the table's default."""
        for name in {*self._preferred, *defaults}:
            if name not in self._stored:
                self._values[name] = defaults.get(name, self._rows[name].default)
        self._preferred = defaults

    # --- changing --------------------------------------------------------------------------------------

    async def change(self, name: str, value: str) -> Answer:
        """Check, commit, then tell. Accepted: on disk and in force. RebootRequired: on disk, in force later."""
        if not self.has(name):
            return Answer(Verdict.UNKNOWN, "no such setting")
        row = self._rows[name]
        if self.mutability(name) is Mutability.READ_ONLY:
            return Answer(Verdict.REJECTED, "read-only")
        try:
            wanted = parse(row, value)
        except ValueError as error:
            return Answer(Verdict.REJECTED, str(error))
        if refusal := self._refusal(row, wanted):
            return Answer(Verdict.REJECTED, refusal)
        is_mere_default = name in self._preferred and name not in self._stored
        if wanted != self._values[name] or is_mere_default:
            saved = {name: wanted}
            if name in self._on_trial and self.former(name) is None:
                saved[name + _FORMER] = "=" + self._values[name]
            try:
                await self._store.save(saved)
            except StoreError as error:
                return Answer(Verdict.REJECTED, f"not stored: {error}")
            self._put_in_force(name, saved)
        return Answer(Verdict.REBOOT_REQUIRED if row.needs_reboot else Verdict.ACCEPTED)

    async def note(self, name: str, value: str) -> None:
        """What the station itself has to remember in a setting that nobody else may write. Raises StoreError."""
        await self._store.save({name: parse(SETTINGS[name], value)})
        self._values[name] = value

    def _put_in_force(self, name: str, saved: Mapping[str, str]) -> None:
        self._stored.update(saved)
        self._values[name] = saved[name]
        for listener in tuple(self._listeners):
            listener(name, saved[name])

    # --- changes on trial ------------------------------------------------------------------------------

    def try_out(self, *names: str) -> None:
        """From now on changes of these settings are on trial until `settle`, also over a restart."""
        self._on_trial.update(names)

    def former(self, name: str) -> str | None:
        """The value before the changes that are on trial; None: there are none."""
        kept = self._stored.get(name + _FORMER, "")
        return kept[1:] if kept else None

    async def settle(self, *names: str) -> None:
        """The changes hold: their former values are forgotten, in one commit. Raises StoreError."""
        kept = {name + _FORMER: "" for name in names if self.former(name) is not None}
        if kept:
            await self._store.save(kept)
            self._stored.update(kept)

    async def undo(self, *names: str) -> None:
        """Back to the former values, in one commit, whatever may be said against such a change. Raises StoreError."""
        former = {name: value for name in names if (value := self.former(name)) is not None}
        if former:
            await self._store.save({**former, **{name + _FORMER: "" for name in former}})
            for name, value in former.items():
                self._put_in_force(name, {name: value, name + _FORMER: ""})

    def _refusal(self, row: Setting, wanted: str) -> str | None:
        if row.name == "security_profile" and int(wanted) <= self.integer("security_profile"):
            return "a security profile can only be raised"
        check = self._guards.get(row.name)
        return check(wanted) if check is not None else None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(name, value)` after each change that is on disk; returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
