"""The local authorization list as rules: which update is good, and what it makes of the list.

Pure: it sees the update, what stands (version and length) and which of the update's tokens the list holds, and gives
the whole change or the reason why there is none; an update is never applied in part. Whether a listed token may charge
is decided in `authorization.py`. Used by `listing.py`.
OCPP 1.6 3.5.2, 5.10, 5.15, 6.41, errata 3.52 (R16-213, R16-215 to R16-223, R16-086); 2.0.1 D01, D02.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from agent.charging import reasons
from agent.charging.authorization import VALID, status_at
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo
from agent.charging.requests import ListAnswer, ListVerdict, UpdateLocalList

NOT_VALID = frozenset(
    {
        AuthorizationStatus.BLOCKED,
        AuthorizationStatus.EXPIRED,
        AuthorizationStatus.INVALID,
        AuthorizationStatus.UNKNOWN,
    }
)
"""The token itself is no good. Other refusals (no credit, not at this time or place) are of the moment: a list cannot
know them, and they contradict nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the list is now. `version` is 0 before the first update, and while it is empty where that is the custom
    (R16-215, `Conventions.keeps_list_version`)."""

    version: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many entries the list and one update may have."""

    list_entries: int
    update_entries: int


@dataclass(frozen=True, slots=True)
class ListChange:
    """What is written, all of it or nothing."""

    standing: Standing
    """Afterwards."""
    is_full: bool
    """Whatever is in the list goes first."""
    puts: tuple[tuple[IdToken, IdTokenInfo], ...]
    removals: tuple[IdToken, ...]


def refusal(
    update: UpdateLocalList, standing: Standing, limits: Limits, *, zero_is_behind: bool = False
) -> ListAnswer | None:
    """Why the update cannot be applied, as far as it can be told without looking into the list; None: nothing yet.

    `zero_is_behind`: a differential update of version 0 or less is behind any list (2.0.1 D01.FR.19); in 1.6 that is no
    version at all (R16-222)."""
    is_version = update.version > 0 or zero_is_behind
    if not update.is_full and is_version and update.version <= standing.version:
        mismatch = f"version {update.version} is not above {standing.version}"
        return ListAnswer(
            ListVerdict.VERSION_MISMATCH, mismatch
        )  # R16-220, D01.FR.19: whatever else is wrong with it
    if len(update.entries) > limits.update_entries:
        return _failed(
            f"{reasons.TOO_MANY}: {len(update.entries)}; one update may have {limits.update_entries}"
        )  # R16-223
    if update.version < 1 and not _is_clearing(update):
        return _failed(f"version {update.version} has a meaning of its own")  # R16-222
    keys = {entry.id_token.typed_key for entry in update.entries}
    if len(keys) < len(update.entries):
        return _failed(reasons.TOKEN_TWICE)  # R16-221
    if update.is_full and any(entry.known is None for entry in update.entries):
        return _failed("a full list has an entry without a status")  # R16-216
    return None


def _is_clearing(update: UpdateLocalList) -> bool:
    """A full update to an empty list of version 0 says what GetLocalListVersion says of an empty list: central systems
    send it to clear (field notes 75), and nothing else can be meant."""
    return update.is_full and not update.entries and update.version == 0


def change_by(
    update: UpdateLocalList,
    standing: Standing,
    held: Collection[str],
    limits: Limits,
    *,
    keeps_version: bool = False,
) -> ListChange | ListAnswer:
    """The change that an update without `refusal` makes. `held`: typed keys of its tokens that the list holds already.

    `keeps_version`: also of a list that is empty now (2.0.1 D01.FR.04, D02.FR.02)."""
    puts = tuple((entry.id_token, entry.known) for entry in update.entries if entry.known is not None)
    removals = tuple(entry.id_token for entry in update.entries if entry.known is None)
    if update.is_full:
        length = len(puts)
    else:
        added = sum(id_token.typed_key not in held for id_token, _known in puts)
        removed = sum(id_token.typed_key in held for id_token in removals)
        length = standing.length + added - removed
    if length > limits.list_entries:
        return _failed(
            f"{reasons.TOO_MANY}: the list would have {length}; it may have {limits.list_entries}"
        )  # R16-223
    after = Standing(update.version if length or keeps_version else 0, length)  # R16-217
    return ListChange(after, update.is_full, puts, removals)


def _failed(reason: str) -> ListAnswer:
    return ListAnswer(ListVerdict.FAILED, reason)


def contradicts(listed: IdTokenInfo, answer: IdTokenInfo, now: datetime) -> bool:
    """One says that the token is valid, the other that it is not (R16-086)."""
    here, there = status_at(listed, now), status_at(answer, now)
    return (here in VALID and there in NOT_VALID) or (here in NOT_VALID and there in VALID)
