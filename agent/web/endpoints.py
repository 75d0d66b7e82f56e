"""What a request of the local API is: one `Endpoint` says its path, who may use it, what goes in and what comes out.

Every API class lists its own in `endpoints()`. `server.py` makes routes of them and checks role, query and audit;
`openapi.py` makes the document of them, so that it cannot differ from what is served. No handler lives here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import web

from agent.web.roles import Caller, Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST", "PUT", "DELETE"]
Schema = Mapping[str, Any]

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class AuditNote:
    """What a handler knows of its action, for the audit row; secrets do not belong here."""

    evse_id: int = 0
    detail: str = ""
    outcome: str = ""
    """Empty: "ok", or what the error answer says."""
    is_kept: bool = False
    """Its row is written however many rows the caller has caused."""


CALLER = web.RequestKey("caller", Caller)
NOTE = web.RequestKey("note", AuditNote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One request. `path` as aiohttp writes it: `/api/v1/evses/{evse_id}/stop`."""

    method: Method
    path: str
    handler: Handler
    role: Role
    """The least role that may ask; Role.NOBODY is open to everybody who reaches the port."""
    summary: str
    """One short line: title in the OpenAPI document, and what the audit row of an action says was done."""
    body: type[msgspec.Struct] | None = None
    """What `read_body` is given in the handler; None: a body is not looked at."""
    body_rules: Schema = field(default_factory=dict)
    """What the types of `body` cannot say, as a JSON schema: for the document, the handler holds it."""
    query: type[msgspec.Struct] | None = None
    """What `read_query` is given in the handler; None: any query parameter is refused."""
    path_schemas: Mapping[str, Schema] = field(default_factory=dict)
    """JSON schemas of path parameters; evse_id is known, others are texts unless said otherwise."""
    answer: Any = None
    """Of status 200: a Struct or other type for msgspec, or a JSON schema as a dict; None: anything."""
    content_type: str = JSON
    errors: Mapping[int, str] = field(default_factory=dict)
    """Further error answers: status and when. 400 (query, body), 401, 403 and 413 are added by themselves."""
    is_open_ended: bool = False
    """May answer without an end (server-sent events): counted against the streams of a client."""
    is_audited: bool | None = None
    """None: every method but GET leaves an audit row."""

    @property
    def is_action(self) -> bool:
        return self.method != "GET" if self.is_audited is None else self.is_audited


class Api(Protocol):
    """A part of the local API."""

    def endpoints(self) -> Sequence[Endpoint]: ...


def note(
    request: web.Request, detail: str = "", *, evse_id: int = 0, outcome: str = "", is_kept: bool = False
) -> None:
    """Say what the audit row of this action shall contain; call it before anything can fail, again if more is known."""
    request[NOTE] = AuditNote(evse_id, detail, outcome, is_kept)


def caller_of(request: web.Request) -> Caller:
    """Who asks; known in every handler."""
    return request[CALLER]
