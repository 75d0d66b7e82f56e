"""What a row of the settings table is, and short ways to write one. Pure data.

Used by `settings_table.py` (the rows of the core) and `settings_features.py` (the rows of the other profiles).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.charging.measurands import canonical_entry


class Kind(StrEnum):
    INTEGER = "integer"
    FLAG = "boolean"
    TEXT = "text"
    LIST = "list"
    HEX = "hex"
    DECIMAL = "decimal"
    MOMENT = "date and time"
    """ISO 8601 with its zone; empty: none."""


class Mutability(StrEnum):
    READ_ONLY = "R"
    READ_WRITE = "RW"
    WRITE_ONLY = "W"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row. `least` and `most` bound a number, or the number of hex digits or characters of a text."""

    name: str
    """Our own name, with the unit as suffix; what is stored."""
    kind: Kind
    default: str
    doc: str
    unit: str = ""
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    """Allowed items of a list or texts, in the standard spelling; empty = no such bound."""
    canonical: Callable[[str], str] | None = None
    """Standard spelling of one item. Raises ValueError for one that is not allowed."""
    max_items: int = 1
    mutability: Mutability = Mutability.READ_WRITE
    needs_reboot: bool = False
    key16: str | None = None
    """The 1.6 configuration key; None: not visible in 1.6."""
    most16: int | None = None
    """`most` of 1.6, where it is less."""
    component: str | None = None
    variable: str | None = None
    instance: str | None = None
    mutability2: Mutability | None = None
    """Mutability in 2.x, where it is another one."""
    words2: tuple[tuple[str, str], ...] = ()
    """(our word, that of 2.x) of the choices that 2.x spells differently."""
    is_ordered: bool = False
    """The order of a list means something (2.x SequenceList)."""
    limit_of: str | None = None
    """The 2.x variable whose highest value this is (its maxLimit), e.g. "LocalAuthListCtrlr.Entries"."""

    @property
    def path2(self) -> str | None:
        """ "Component.Variable" or "Component.Variable.Instance" of 2.x."""
        if self.component is None or self.variable is None:
            return None
        return ".".join(filter(None, (self.component, self.variable, self.instance)))


LIST_LIMIT = 20
"""Items that a measurand list may have."""
DAY_S = 86_400
YEAR_S = 366 * DAY_S


def max_length(of: str, key16: str, limit: int) -> Setting:
    return Setting(
        name=f"{of}_max_length",
        kind=Kind.INTEGER,
        default=str(limit),
        mutability=Mutability.READ_ONLY,
        key16=key16,
        doc=f"How many items the list `{of}` may have.",
    )


def measurands(name: str, key16: str, component: str, variable: str, default: str, doc: str) -> Setting:
    return Setting(
        name=name,
        kind=Kind.LIST,
        default=default,
        canonical=canonical_entry,
        max_items=LIST_LIMIT,
        key16=key16,
        component=component,
        variable=variable,
        doc=doc,
    )


def flag(
    name: str,
    default: bool,
    key16: str | None,
    path2: str | None,
    doc: str,
    *,
    mutability: Mutability = Mutability.READ_WRITE,
) -> Setting:
    component, variable, instance = [*(path2 or "").split(".", 2), "", "", ""][:3]
    return Setting(
        name=name,
        kind=Kind.FLAG,
        default="true" if default else "false",
        mutability=mutability,
        key16=key16,
        component=component or None,
        variable=variable or None,
        instance=instance or None,
        doc=doc,
    )


def integer(
    name: str,
    default: int,
    key16: str | None,
    path2: str | None,
    doc: str,
    *,
    unit: str = "",
    least: int = 0,
    most: int = 2**31 - 1,
    mutability: Mutability = Mutability.READ_WRITE,
) -> Setting:
    component, variable, instance = [*(path2 or "").split("."), "", "", ""][:3]
    return Setting(
        name=name,
        kind=Kind.INTEGER,
        default=str(default),
        unit=unit,
        least=least,
        most=most,
        mutability=mutability,
        key16=key16,
        component=component or None,
        variable=variable or None,
        instance=instance or None,
        doc=doc,
    )
