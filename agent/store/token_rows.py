"""What is known of a token, as columns of a row: the authorization cache and the local list keep the same.

Pure; used by `tokens.py` and `local_list.py`. Columns: status, expires_at, group_value, group_type, evse_ids. The key
of a row is `IdToken.typed_key`.
"""

from typing import TypeAlias

from agent.charging.ids import TYPE_MARK, AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.store.timestamps import parse_time, time_text

COLUMNS = "status, expires_at, group_value, group_type, evse_ids"
Columns: TypeAlias = tuple[str, str | None, str | None, str | None, str | None]


VALUE = f"substr(key, 1, instr(key || '{TYPE_MARK}', '{TYPE_MARK}') - 1)"
"""SQL: the value of the token in a key."""


def keys_for(id_token: IdToken) -> tuple[str, str, str, str]:
    """For a look-up by `MATCHING`: an entry without a type fits every type, a token without one every entry."""
    is_untyped = id_token.type is IdTokenType.UNTYPED
    typed = f"{id_token.key}{TYPE_MARK}" if is_untyped else ""
    return id_token.typed_key, id_token.key, typed, f"{typed}\U0010ffff" if typed else ""


MATCHING = "key IN (?, ?) OR (key > ? AND key < ?)"
BEST_FIRST = "ORDER BY length(key) DESC LIMIT 1"
"""An entry with the type that was asked for beats one without."""


def columns_of(known: IdTokenInfo) -> Columns:
    group = known.group
    return (
        known.status,
        None if known.expires_at is None else time_text(known.expires_at),
        None if group is None else group.value,
        None if group is None else group.type,
        ",".join(map(str, sorted(known.evse_ids))) or None,
    )


def known_of(columns: Columns) -> IdTokenInfo:
    """Raises ValueError for what no version of the agent has written."""
    status, expires_at, group_value, group_type, evse_ids = columns
    return IdTokenInfo(
        AuthorizationStatus(status),
        None if expires_at is None else parse_time(expires_at),
        None if group_value is None or group_type is None else IdToken(group_value, IdTokenType(group_type)),
        frozenset(map(int, evse_ids.split(","))) if evse_ids else frozenset(),
    )
