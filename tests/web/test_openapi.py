"""The OpenAPI document is what is served, and the words for people say the same."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.web.endpoints import Endpoint
from agent.web.roles import Role
from agent.web.server import LocalApi
from tests.helpers import snapshots
from tests.web.conftest import WebBench

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(GET|PUT|POST|DELETE) ([^` ]+)` \| (nobody|viewer|operator|installer) \|", re.M)
PAGE = {"/", "/static/{name}"}
OPEN = PAGE | {"/api/v1/session"}
"""What anybody may ask: the page's own files hold nothing of the station, and logging in comes before a role."""

AUDITED_BY_THE_CATALOGUE = {"/api/v1/actions/{name}"}


@pytest.fixture
async def endpoints(bench: WebBench) -> list[Endpoint]:
    return LocalApi(bench.ports(), bench.socket_path).endpoints


async def test_every_request_is_documented_with_its_role(endpoints: list[Endpoint]) -> None:
    text = (DOCS / "local-api.md").read_text()
    documented = {(method, path): role for method, path, role in ROW.findall(text) if path not in PAGE}
    served = {(each.method, each.path): each.role.word for each in endpoints if each.path not in PAGE}
    assert documented == served


async def test_without_a_role_there_is_only_the_page_itself_and_the_login(endpoints: list[Endpoint]) -> None:
    assert {each.path for each in endpoints if each.role is Role.NOBODY} == OPEN


async def test_no_viewer_changes_anything(endpoints: list[Endpoint]) -> None:
    for each in endpoints:
        if each.path not in OPEN:
            changes = each.method != "GET"
            assert each.is_action == changes or each.path in AUDITED_BY_THE_CATALOGUE, each.path
            assert not changes or each.role >= Role.OPERATOR, each.path


async def test_the_document_lists_what_is_served(bench: WebBench, endpoints: list[Endpoint]) -> None:
    code, document = await bench.ask("GET", "/api/v1/openapi.json")
    assert (code, document["openapi"]) == (200, "3.1.0")
    listed = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert listed == {
        (each.method, each.path) for each in endpoints if each.path.startswith(("/api/", "/sim/", "/metrics"))
    }
    names = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert len(names) == len(set(names))
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            for answer in operation["responses"].values():
                for content in answer["content"].values():
                    jsonschema.Draft202012Validator.check_schema(content["schema"])


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """An answer with a field that no type names is a lie, too."""
    closed = copy.deepcopy(document)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return closed


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/status",
        "/api/v1/messages",
        "/api/v1/external-limits",
        "/api/v1/session",
        "/api/v1/sessions",
        "/api/v1/audit",
        "/api/v1/settings",
        "/api/v1/actions",
        "/sim/v1",
    ],
)
async def test_an_answer_has_exactly_the_fields_of_the_document(bench: WebBench, path: str) -> None:
    reading = bench.world.meter_reading(1)
    bench.station.picture = snapshots.station(
        snapshots.charging(1, reading=reading), snapshots.evse(2, faults=(snapshots.FAULTY,))
    )
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    document = strict((await bench.ask("GET", "/api/v1/openapi.json"))[1])
    code, answer = await bench.ask("GET", path)
    described = document["paths"][path]["get"]["responses"]["200" if code == 200 else str(code)]
    schema = {**described["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.validate(answer, schema)
