"""How much of a token a reader is shown: who charged is personal data, and a whole token can be copied to a card.

A viewer gets the end of it, an operator all of it, and nobody a key code. Pure; whoever answers with a token asks here
(status, events, sessions).
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from msgspec import Struct

from agent.charging.ids import IdToken, IdTokenType
from agent.web.roles import Role

SHOWN_END = 4
"""Characters of a token that a viewer sees, of one at least twice as long."""


def sees_tokens(role: Role) -> bool:
    """Whole ones."""
    return role >= Role.OPERATOR


def shown_token(token: IdToken, role: Role) -> str:
    """A viewer can tell two drivers apart and knows neither card."""
    if sees_tokens(role) or token.type is IdTokenType.KEY_CODE:
        return token.shown
    return "…" + (token.value[-SHOWN_END:] if len(token.value) >= 2 * SHOWN_END else "")


def shown_or_none(token: IdToken | None, role: Role) -> str | None:
    return None if token is None else shown_token(token, role)


def with_shown_tokens(value: Any, role: Role) -> Any:
    """A fact, or a part of one, for JSON: each token in it as `role` may see it, however deep it lies."""
    match value:
        case IdToken():
            return {"value": shown_token(value, role), "type": value.type}
        case Struct():
            return {name: with_shown_tokens(getattr(value, name), role) for name in value.__struct_fields__}
        case tuple() | list() | set() | frozenset():
            return [with_shown_tokens(each, role) for each in value]
        case Mapping():
            return {name: with_shown_tokens(each, role) for name, each in value.items()}
        case _ if is_dataclass(value):
            return {each.name: with_shown_tokens(getattr(value, each.name), role) for each in fields(value)}
        case _:
            return value
