"""The OpenAPI 3.1 document of the local API, made of its `Endpoint`s when somebody asks for it.

What is served and what is described is one list; tests hold the real answers to it. Called by `server.py`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from agent.version import VERSION
from agent.web.answers import Error
from agent.web.endpoints import EVENT_STREAM, JSON, Endpoint
from agent.web.roles import Role

REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_KNOWN_PARAMETERS: Mapping[str, Any] = {"evse_id": {"type": "integer", "minimum": 1}}
_ALWAYS = {400: "a parameter or the body is wrong", 413: "the body is too long"}
_WITH_ROLE = {401: "not logged in, or a bad token", 403: "the role is not enough, or a page of another site"}


class OpenApi:
    """Handler of /api/v1/openapi.json. `all_endpoints` is read when asked: it includes this one."""

    def __init__(self, all_endpoints: Sequence[Endpoint]) -> None:
        self._all = all_endpoints
        self._made: bytes | None = None

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/openapi.json",
                handler=self.show,
                role=Role.VIEWER,
                summary="This document",
                answer={"type": "object"},
            )
        ]

    async def show(self, _request: web.Request) -> web.Response:
        if self._made is None:  # it does not change, and making it takes long
            self._made = msgspec.json.encode(document(self._all)) + b"\n"
        return web.Response(body=self._made, content_type=JSON)


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Of everything below /api, /sim and /metrics; the page's own files are not part of the API."""
    told = [each for each in endpoints if re.match(r"/(api|sim)/|/metrics$", each.path)]
    types = list(dict.fromkeys([Error, *_types(told)]))
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in told:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "evse-agent",
            "version": VERSION,
            "description": "The local API of one charging station. Words and examples: docs/local-api.md.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(endpoints: Sequence[Endpoint]) -> list[Any]:
    found = []
    for each in endpoints:
        answer = None if isinstance(each.answer, Mapping) else each.answer
        found += [kind for kind in (each.body, each.query, answer) if kind is not None]
    return found


def _operation(
    endpoint: Endpoint, schema_of: Mapping[Any, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    errors = dict(_ALWAYS)
    if endpoint.role is not Role.NOBODY:
        errors |= _WITH_ROLE
    if endpoint.is_open_ended:
        errors[429] = "too many streams of this client"
    if endpoint.body is not None:
        errors[408] = "the body did not come in time"
    errors |= endpoint.errors
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint),
        "tags": [_room(endpoint.path)],
        "x-role": endpoint.role.word,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, schema_of, components)],
        "responses": {
            "200": _answer(endpoint, schema_of),
            **{
                str(status): {
                    "description": text,
                    "content": {JSON: {"schema": schema_of[Error]}},
                }
                for status, text in sorted(errors.items())
            },
        },
        "security": [{"token": []}, {}] if endpoint.role is not Role.NOBODY else [],
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": bool(_struct(schema_of[endpoint.body], components).get("required")),
            "content": {JSON: {"schema": _body(endpoint, schema_of[endpoint.body])}},
        }
    return operation


def _body(endpoint: Endpoint, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"allOf": [schema, endpoint.body_rules]} if endpoint.body_rules else schema


def _answer(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    if endpoint.content_type == JSON:
        answer = endpoint.answer
        schema = {} if answer is None else answer if isinstance(answer, Mapping) else schema_of[answer]
    else:
        schema = {"type": "string"}
    content = {endpoint.content_type: {"schema": schema}}
    if endpoint.is_open_ended:
        content.setdefault(EVENT_STREAM, {"schema": {"type": "string"}})
    return {"description": "done" if endpoint.is_action else endpoint.summary, "content": content}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": endpoint.path_schemas.get(name) or _KNOWN_PARAMETERS.get(name) or {"type": "string"},
        }
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(
    endpoint: Endpoint, schema_of: Mapping[Any, Any], components: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A parameter that is not given is not there: null has no spelling in a query."""
    if endpoint.query is None:
        return []
    struct = _struct(schema_of[endpoint.query], components)
    return [
        {
            "name": field,
            "in": "query",
            "required": field in struct.get("required", ()),
            "schema": _bare(schema),
        }
        for field, schema in struct["properties"].items()
    ]


def _struct(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = components[schema["$ref"].rpartition("/")[2]]
    return found


def _bare(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return (
        choices[0] if len(choices) == 1 else {key: value for key, value in schema.items() if key != "default"}
    )


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", re.sub(r"^/(api|sim)/v1", "", _PARAMETER.sub(r"\1", endpoint.path)))
    return "_".join([endpoint.method.lower(), *words])


def _room(path: str) -> str:
    return "simulation" if path.startswith("/sim/") else "station"
