"""The front end of 2.0.1 asked as a CSMS would, in JSON; and what it says, as JSON that the official schemas accept."""

import json
from typing import Any

from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, Notice, Refuse, Reply, Response
from agent.ocpp.v201 import FRONT_END
from tests.helpers.fake_station import FixedView
from tests.helpers.official_schemas import assert_official


def respond(action: str, payload: Any = None, view: FixedView | None = None) -> Response:
    """What the handler says. Raises RemoteProtocolError for a payload that is refused before it."""
    route = FRONT_END.routes[action]
    request = decode(json.dumps({} if payload is None else payload), route.request)
    return route.handler(request, view or FixedView())


def asked(action: str, payload: Any = None, view: FixedView | None = None) -> Any:
    """The request that the station gets."""
    response = respond(action, payload, view)
    assert isinstance(response, Ask), response
    return response.request


def answer(action: str, payload: Any = None, view: FixedView | None = None, result: Any = None) -> Any:
    """The payload of the answer, with `result` for what the station says."""
    response = respond(action, payload, view)
    if isinstance(response, Ask):
        response = response.reply(result)
    return shown(action, response)


def shown(action: str, response: Response) -> Any:
    if isinstance(response, Refuse):
        return response.category.name
    assert isinstance(response, Reply), response
    payload = json.loads(encode(response.payload))
    assert_official(f"{action}Response", payload)
    return payload


def told(notice: Notice, view: FixedView | None = None, reference: str | None = None) -> tuple[str, Any]:
    """(action, payload) of the call that a notice becomes."""
    call = FRONT_END.encoders[type(notice)](notice, view or FixedView(), reference)
    assert call is not None
    payload = json.loads(encode(call.payload))
    assert_official(f"{call.action}Request", payload)
    return call.action, payload


def read(action: str, payload: Any) -> Any:
    """What an answer of the CSMS means."""
    reader = FRONT_END.results[action]
    return reader.read(decode(json.dumps(payload), reader.payload))
