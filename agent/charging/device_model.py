"""What a device model is: components, variables, their characteristics, and how one is found.

Pure; it knows names, types and bounds, but no message. Which variables a station has is told by `device_variables.py`;
what they say is read from a `Present` when somebody asks. Every variable of ours has the attribute Actual and no other.
Used by the front ends of 2.x and by `monitoring.py`. OCPP 2.0.1 part 1 chapter 4, part 2 B05 to B08, appendix 3.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import TypeAlias

from agent.charging.ids import Component, Variable
from agent.charging.measurands import MEASURANDS, canonical_entry, split_entry
from agent.charging.setting import Kind, Mutability, Setting
from agent.charging.settings import Settings
from agent.charging.snapshot import StationSnapshot

__all__ = [
    "Component",
    "DataType",
    "DeviceModel",
    "Nameplate",
    "Present",
    "Read",
    "Row",
    "Unknown",
    "Variable",
    "data_type_of",
    "fits",
    "mutability_of",
    "of_setting",
    "path",
    "shown",
    "stored",
    "values_of",
    "word2",
]


class DataType(StrEnum):
    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"

    @property
    def is_numeric(self) -> bool:
        return self in (DataType.DECIMAL, DataType.INTEGER)

    @property
    def is_list(self) -> bool:
        """Its values are members of a list of allowed ones."""
        return self in (DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST)


@dataclass(frozen=True, slots=True)
class Nameplate:
    """Who made the station, and what runs on it. "" = not known."""

    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware_version: str = ""
    identity: str = ""
    """What the CSMS calls the station."""


@dataclass(frozen=True, slots=True)
class Present:
    """What values are read from."""

    settings: Settings
    station: StationSnapshot
    at: datetime


Read: TypeAlias = Callable[[Present], str]
"""The value as text, as 2.x writes it: true and false, plain decimals, RFC 3339. "" = there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One variable of one component."""

    component: Component
    variable: Variable
    data_type: DataType
    read: Read
    unit: str = ""
    least: float | None = None
    most: float | None = None
    """Of a number; of any text the length."""
    choices: tuple[str, ...] = ()
    setting: Setting | None = None
    """None: a fact, which nobody can write."""
    is_persistent: bool = False
    is_constant: bool = False
    supports_monitoring: bool = True
    is_measured: bool = False
    """Its value comes from a meter that has to be read for it."""


class Unknown(Enum):
    """Why a variable was not found."""

    COMPONENT = "component"
    VARIABLE = "variable"


Key: TypeAlias = tuple[str, str, int, int]


def _component_key(component: Component) -> Key:
    """Names are the same in any case (ComponentType)."""
    return (
        component.name.casefold(),
        (component.instance or "").casefold(),
        component.evse_id or 0,
        component.connector_id or 0,
    )


def _variable_key(variable: Variable) -> tuple[str, str]:
    return variable.name.casefold(), (variable.instance or "").casefold()


@dataclass(slots=True)
class DeviceModel:
    """The variables of one station, in the order in which they are reported."""

    rows: tuple[Row, ...]
    _components: dict[Key, dict[tuple[str, str], Row]] = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a variable that is there twice."""
        self._components = {}
        for row in self.rows:
            variables = self._components.setdefault(_component_key(row.component), {})
            if variables.setdefault(_variable_key(row.variable), row) is not row:
                raise ValueError(f"{path(row.component, row.variable)} is there twice")

    def find(self, component: Component, variable: Variable) -> Row | Unknown:
        """Exactly this one: an instance that is left out means the one without (B06.FR.14, .15)."""
        variables = self._components.get(_component_key(component))
        if variables is None:
            return Unknown.COMPONENT
        return variables.get(_variable_key(variable), Unknown.VARIABLE)

    def meant_by(self, component: Component, variable: Variable | None) -> Iterator[Row]:
        """Every variable that fits: what is left out of the names fits everything (B08.FR.20 to .25)."""
        for row in self.rows:
            if fits((component, variable), row.component, row.variable):
                yield row

    def of_component(self, component: Component) -> Iterable[Row]:
        """The variables of exactly this component; none if there is no such component."""
        return self._components.get(_component_key(component), {}).values()


def fits(wanted: tuple[Component, Variable | None], component: Component, variable: Variable) -> bool:
    """What is left out of the wanted names fits everything (B08.FR.20 to .25, N02.FR.16 to .21)."""
    return _fits_component(wanted[0], component) and _fits_variable(wanted[1], variable)


def _fits_component(wanted: Component, present: Component) -> bool:
    is_same = wanted.name.casefold() == present.name.casefold()
    is_same &= not wanted.instance or wanted.instance.casefold() == (present.instance or "").casefold()
    is_same &= wanted.evse_id is None or wanted.evse_id == present.evse_id
    return is_same and (wanted.connector_id is None or wanted.connector_id == present.connector_id)


def _fits_variable(wanted: Variable | None, present: Variable) -> bool:
    if wanted is None:
        return True
    is_same = wanted.name.casefold() == present.name.casefold()
    return is_same and (
        not wanted.instance or wanted.instance.casefold() == (present.instance or "").casefold()
    )


def path(component: Component, variable: Variable) -> str:
    """For people: "EVSE#1.Power", "DeviceDataCtrlr.ItemsPerMessage.GetReport"."""
    place = "" if component.evse_id is None else f"#{component.evse_id}"
    place += "" if component.connector_id is None else f".{component.connector_id}"
    names = (component.name + place, component.instance, variable.name, variable.instance)
    return ".".join(filter(None, names))


# --- the settings as variables -----------------------------------------------------------------------------

_MEASURABLE = tuple(name for name, row in MEASURANDS.items() if row.take is not None)
_UNITS: Mapping[str, str] = {"%": "Percent", "times": ""}
"""Units of the settings that the device model spells differently."""


def of_setting(setting: Setting) -> Row:
    """The variable that a setting with a 2.x name is."""
    assert setting.component is not None
    assert setting.variable is not None
    data_type = data_type_of(setting)
    choices = _choices(setting)
    least, most = _limits(setting, choices)
    return Row(
        component=Component(setting.component),
        variable=Variable(setting.variable, setting.instance),
        data_type=data_type,
        read=lambda present: shown(setting, present.settings),
        unit=_UNITS.get(setting.unit, setting.unit),
        least=least,
        most=most,
        choices=choices,
        setting=setting,
        is_persistent=True,
        is_constant=setting.mutability is Mutability.READ_ONLY,
    )


def data_type_of(setting: Setting) -> DataType:
    match setting.kind:
        case Kind.INTEGER:
            return DataType.INTEGER
        case Kind.DECIMAL:
            return DataType.DECIMAL
        case Kind.FLAG:
            return DataType.BOOLEAN
        case Kind.MOMENT:
            return DataType.DATE_TIME
        case Kind.HEX:
            return DataType.STRING
        case Kind.TEXT:
            return DataType.OPTION_LIST if setting.choices else DataType.STRING
        case Kind.LIST:
            if not _choices(setting):
                return DataType.STRING  # a list of allowed values would have to be told
            return DataType.SEQUENCE_LIST if setting.is_ordered else DataType.MEMBER_LIST


def _choices(setting: Setting) -> tuple[str, ...]:
    """The allowed values as 2.x spells them."""
    if setting.canonical is canonical_entry:
        return _MEASURABLE
    return tuple(word2(setting, choice) for choice in setting.choices)


def _limits(setting: Setting, choices: tuple[str, ...]) -> tuple[float | None, float | None]:
    """minLimit and maxLimit: of a text or a list the length."""
    match setting.kind:
        case Kind.INTEGER | Kind.DECIMAL:
            return setting.least, setting.most
        case Kind.HEX:
            return _characters(setting)
        case Kind.LIST:
            return None, len(",".join(choices)) if choices else None
        case Kind.TEXT:
            return None, setting.most
        case Kind.FLAG | Kind.MOMENT:
            return None, None


def _characters(setting: Setting) -> tuple[int, int]:
    """Of a text that is kept as hex digits: a character of UTF-8 is one to four bytes (A00.FR.205)."""
    return (setting.least or 0) // 2, (setting.most or 0) // 8


def word2(setting: Setting, word: str) -> str:
    """A choice as 2.x spells it."""
    return dict(setting.words2).get(word, word)


def shown(setting: Setting, settings: Settings) -> str:
    """The value in force, as 2.x shows it; "" when nobody may read it."""
    if setting.mutability is Mutability.WRITE_ONLY:
        return ""
    value = settings.raw(setting.name) or ""
    if setting.kind is not Kind.LIST:
        return word2(setting, value)
    words = value.split(",") if value else []
    if setting.canonical is canonical_entry:
        # 1.6 may ask for one phase of a measurand ("Voltage.L1-N"); 2.x names measurands only.
        words = [split_entry(word)[0] for word in words]
    return ",".join(dict.fromkeys(word2(setting, word) for word in words))


def stored(setting: Setting, text: str) -> str:
    """What 2.x writes, as the settings table has it. Raises ValueError for what is not written as its type demands.

    Bounds and members of lists are the table's to check (B05.FR.07, .08)."""
    match setting.kind:
        case Kind.FLAG:
            if text not in ("true", "false"):
                raise ValueError("must be true or false")
            return text
        case Kind.HEX:
            least, most = _characters(setting)
            if not least <= len(text) <= most:
                raise ValueError(f"must have {least} to {most} characters")
            return text.encode().hex()
        case Kind.LIST:
            return _stored_list(setting, text)
        case Kind.TEXT:
            return {theirs: ours for ours, theirs in setting.words2}.get(text, text)
        case Kind.INTEGER | Kind.DECIMAL | Kind.MOMENT:
            if text != text.strip():
                raise ValueError("has blanks around it")
            return text


def _stored_list(setting: Setting, text: str) -> str:
    back = {theirs.casefold(): ours for ours, theirs in setting.words2}
    allowed = {choice.casefold() for choice in _choices(setting)}
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    for word in words:
        if allowed and word.casefold() not in allowed:
            raise ValueError(f"{word[:50]} is none of the allowed values")
    return ",".join(back.get(word.casefold(), word) for word in words)


def mutability_of(row: Row, settings: Settings) -> Mutability:
    """What a CSMS that speaks 2.x may do with it; the hardware may leave no choice."""
    if row.setting is None or settings.mutability(row.setting.name) is Mutability.READ_ONLY:
        return Mutability.READ_ONLY
    return row.setting.mutability2 or row.setting.mutability


def values_of(row: Row, settings: Settings) -> tuple[str, ...]:
    """The allowed values of a list, without those that this station has something against."""
    setting = row.setting
    if setting is None or setting.canonical is not canonical_entry:
        return row.choices
    back = {theirs: ours for ours, theirs in setting.words2}
    return tuple(each for each in row.choices if settings.refusal(setting.name, back.get(each, each)) is None)
