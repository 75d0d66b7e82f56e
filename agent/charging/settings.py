"""The values of the settings: typed getters, checks, and changes that are on disk before anyone hears of them.

It knows no message: 1.6 configuration keys and 2.x variables are two views of `settings_table.py`. Built by
`agent/app.py` with `Settings.open`, read by everyone, changed through `Station.execute(ChangeSetting)` or, for what the
CSMS sets by other messages, with `change`. OCPP 1.6 5.3 and 5.8 (R16-199 to R16-211).
"""

import re
from collections.abc import Callable, Mapping

from agent.charging.ports import SettingStore
from agent.charging.requests import Answer, Verdict
from agent.charging.settings_table import SETTINGS, Kind, Mutability, Setting
from agent.errors import ConfigError, Problem, StoreError

__all__ = ["SETTINGS", "Kind", "Mutability", "Setting", "Settings", "by_name_in_file", "initial", "parse"]

_BY_KEY16 = {row.key16.lower(): row for row in SETTINGS.values() if row.key16 is not None}
_BY_PATH2 = {row.path2.lower(): row for row in SETTINGS.values() if row.path2 is not None}

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
    if setting.least is not None and number < setting.least:
        raise ValueError(f"must be at least {setting.least}")
    if setting.most is not None and number > setting.most:
        raise ValueError(f"must be at most {setting.most}")
    return str(number)


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
        self._values = {name: row.default for name, row in SETTINGS.items()}
        self._values.update({name: value for name, value in values.items() if name in SETTINGS})
        self._store = store
        self._fixed: dict[str, str] = {}
        self._absent: set[str] = set()
        self._guards: dict[str, Guard] = {}
        self._listeners: list[Listener] = []

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

    # --- reading ---------------------------------------------------------------------------------------

    def raw(self, name: str) -> str | None:
        """The text as stored; None when this station does not have the setting."""
        if name not in SETTINGS or name in self._absent:
            return None
        return self._fixed.get(name, self._values[name])

    def has(self, name: str) -> bool:
        return self.raw(name) is not None

    def integer(self, name: str) -> int:
        return int(self._text(name, Kind.INTEGER))

    def flag(self, name: str) -> bool:
        return self._text(name, Kind.FLAG) == "true"

    def text(self, name: str) -> str:
        """The text of a setting of any kind."""
        return self._text(name, None)

    def listed(self, name: str) -> tuple[str, ...]:
        text = self._text(name, Kind.LIST)
        return tuple(text.split(",")) if text else ()

    def _text(self, name: str, kind: Kind | None) -> str:
        row = SETTINGS[name]
        if kind is not None and row.kind is not kind:
            raise TypeError(f"{name} is {row.kind}, not {kind}")
        return self._fixed.get(name, self._values[name])

    def mutability(self, name: str) -> Mutability:
        """As in the table, unless the hardware leaves no choice."""
        return Mutability.READ_ONLY if name in self._fixed else SETTINGS[name].mutability

    def by_key16(self, key: str) -> Setting | None:
        """The setting that a 1.6 key means, in any case (R16-201); None when this station does not have it."""
        row = _BY_KEY16.get(key.lower())
        return row if row is not None and self.has(row.name) else None

    def by_variable(self, component: str, variable: str, instance: str | None = None) -> Setting | None:
        """The setting that a 2.x variable means, in any case; None when this station does not have it."""
        row = _BY_PATH2.get(".".join(filter(None, (component, variable, instance))).lower())
        return row if row is not None and self.has(row.name) else None

    # --- what the hardware decides ---------------------------------------------------------------------

    def fix(self, name: str, value: str) -> None:
        """The hardware leaves no choice: `value` holds from now on, read-only and not stored."""
        self._fixed[name] = parse(SETTINGS[name], value)

    def drop(self, name: str) -> None:
        """This station does not have the setting; its getters still give the default."""
        self._absent.add(name)

    def guard(self, name: str, check: Guard) -> None:
        """Ask `check(value)` before a change; a text it returns is the reason to refuse."""
        self._guards[name] = check

    # --- changing --------------------------------------------------------------------------------------

    async def change(self, name: str, value: str) -> Answer:
        """Check, commit, then tell. Accepted: on disk and in force. RebootRequired: on disk, in force later."""
        if not self.has(name):
            return Answer(Verdict.UNKNOWN, "no such setting")
        row = SETTINGS[name]
        if self.mutability(name) is Mutability.READ_ONLY:
            return Answer(Verdict.REJECTED, "read-only")
        try:
            wanted = parse(row, value)
        except ValueError as error:
            return Answer(Verdict.REJECTED, str(error))
        if refusal := self._refusal(row, wanted):
            return Answer(Verdict.REJECTED, refusal)
        if wanted != self._values[name]:
            try:
                await self._store.save({name: wanted})
            except StoreError as error:
                return Answer(Verdict.REJECTED, f"not stored: {error}")
            self._values[name] = wanted
            for listener in tuple(self._listeners):
                listener(name, wanted)
        return Answer(Verdict.REBOOT_REQUIRED if row.needs_reboot else Verdict.ACCEPTED)

    def _refusal(self, row: Setting, wanted: str) -> str | None:
        if row.name == "security_profile" and int(wanted) <= self.integer("security_profile"):
            return "a security profile can only be raised"
        check = self._guards.get(row.name)
        return check(wanted) if check is not None else None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(name, value)` after each change that is on disk; returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
