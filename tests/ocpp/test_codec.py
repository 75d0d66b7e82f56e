"""Every way in which a payload can be wrong, and which category and path it gets."""

import enum
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RemoteProtocolError
from agent.ocpp.codec import Category, decode, encode, parse_timestamp
from tests.ocpp.json_texts import json_values


class Colour(enum.Enum):
    RED = "Red"


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    some_value: Annotated[str, msgspec.Meta(max_length=3)]
    valid_from: datetime | None = None


class Payload(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    id_tag: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    connector_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    colour: Colour | None = None
    kind: Literal["Soft", "Hard"] | None = None
    number: float | None = None
    is_on: bool | None = None
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]+$")] | None = None
    inner: Inner | None = None
    many: Annotated[tuple[Inner, ...], msgspec.Meta(min_length=1, max_length=2)] | None = None
    at: datetime | None = None


def outcome(text: str | bytes, payload_type: type = Payload) -> RemoteProtocolError | None:
    try:
        decode(text, payload_type)
    except RemoteProtocolError as error:
        return error
    return None


def refusal(text: str, payload_type: type = Payload) -> RemoteProtocolError:
    error = outcome(text, payload_type)
    assert error is not None
    return error


@pytest.mark.req("R16-027", "R16-030")
@pytest.mark.parametrize(
    ("fields", "category", "path"),
    [
        ("", "PROTOCOL", "$.idTag"),
        ('"idTag":"A","inner":{}', "PROTOCOL", "$.inner.someValue"),
        ('"idTag":"A","vendorExtra":1', "FORMAT", "$.vendorExtra"),
        ('"idTag":"A","inner":{"someValue":"x","more":1}', "FORMAT", "$.inner.more"),
        ('"idTag":3', "TYPE", "$.idTag"),
        ('"idTag":null', "TYPE", "$.idTag"),
        ('"idTag":"A","connectorId":"1"', "TYPE", "$.connectorId"),
        ('"idTag":"A","connectorId":1.5', "TYPE", "$.connectorId"),
        ('"idTag":"A","isOn":"true"', "TYPE", "$.isOn"),
        ('"idTag":"A","inner":[]', "TYPE", "$.inner"),
        ('"idTag":"A","many":{"someValue":"x"}', "TYPE", "$.many"),
        ('"idTag":"A","colour":7', "TYPE", "$.colour"),
        ('"idTag":"A","at":7', "TYPE", "$.at"),
        ('"idTag":"A","many":[{"someValue":"x"},{"someValue":7}]', "TYPE", "$.many[1].someValue"),
        ('"idTag":"A","many":[]', "OCCURRENCE", "$.many"),
        (
            '"idTag":"A","many":[{"someValue":"x"},{"someValue":"x"},{"someValue":"x"}]',
            "OCCURRENCE",
            "$.many",
        ),
        ('"idTag":""', "PROPERTY", "$.idTag"),
        ('"idTag":"123456789012345678901"', "PROPERTY", "$.idTag"),
        ('"idTag":"A","connectorId":-1', "PROPERTY", "$.connectorId"),
        ('"idTag":"A","colour":"Green"', "PROPERTY", "$.colour"),
        ('"idTag":"A","kind":"soft"', "PROPERTY", "$.kind"),
        ('"idTag":"A","code":"a"', "PROPERTY", "$.code"),
        ('"idTag":"A","number":1e999', "PROPERTY", "$.number"),
        ('"idTag":"A","at":"tomorrow"', "PROPERTY", "$.at"),
        ('"idTag":"A","at":"2026-02-30T00:00:00Z"', "PROPERTY", "$.at"),
    ],
)
def test_fault_gets_its_category_and_path(fields: str, category: str, path: str) -> None:
    error = refusal("{" + fields + "}")
    assert (error.code, error.path) == (category, path)
    assert error.code in Category.__members__


@pytest.mark.req("R16-027")
@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"', "true", "{", '{"idTag":"\\ud800"}', ""])
def test_what_is_no_object_is_a_format_violation(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.path) == ("FORMAT", "$")


def test_the_description_names_what_was_expected() -> None:
    assert refusal('{"idTag":3}').description == "Expected `str`, got `int`"


def test_nesting_beyond_reason_is_a_format_violation() -> None:
    class Anything(msgspec.Struct):
        value: object = None

    error = refusal('{"value":' + "[" * 200_000 + "]" * 200_000 + "}", Anything)
    assert (error.code, error.description) == ("FORMAT", "nested too deeply")


def test_an_unknown_field_with_a_strange_name_is_still_unknown() -> None:
    error = refusal('{"idTag":"A","x` - at `$.idTag":1}')
    assert error.code == "FORMAT"


@given(json_values())
def test_any_json_is_decoded_or_refused_with_a_category(value: object) -> None:
    error = outcome(msgspec.json.encode(value))
    assert error is None or (error.code in Category.__members__ and error.path.startswith("$"))


@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused(content: bytes) -> None:
    error = outcome(content)
    assert error is None or error.code in Category.__members__


@given(
    st.builds(
        Payload,
        id_tag=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        connector_id=st.none() | st.integers(0, 2**31),
        number=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        inner=st.none() | st.builds(Inner, some_value=st.just("x"), valid_from=st.none()),
        colour=st.none(),
        kind=st.sampled_from([None, "Soft", "Hard"]),
        is_on=st.none() | st.booleans(),
        code=st.none(),
        many=st.none(),
        at=st.none() | st.datetimes(timezones=st.just(UTC)),
    )
)
def test_what_is_encoded_decodes_to_the_same(payload: Payload) -> None:
    assert decode(encode(payload), Payload) == payload


def test_optional_fields_that_are_not_set_are_left_out() -> None:
    assert encode(Payload(id_tag="A")) == '{"idTag":"A"}'


# --- time ------------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLUS_TWO = "2026-01-01T14:00:00"


@pytest.mark.req("R16-035")
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01T12:00:00.000Z", NOON),
        ("2026-01-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123457)),
        ("2026-01-01T12:00:00+00:00", NOON),
        (PLUS_TWO + "+02:00", NOON),
        (PLUS_TWO + "+0200", NOON),
        (PLUS_TWO + "+02", NOON),
        ("2026-01-01T14:00+02:00", NOON),
        ("2026-01-01 12:00:00Z", NOON),
        ("20260101T120000Z", NOON),
        ("2026-01-01T12:00:00.5+0000", NOON + timedelta(seconds=0.5)),
    ],
)
def test_any_iso_8601_time_is_understood_anywhere_in_a_payload(text: str, instant: datetime) -> None:
    payload = decode(
        f'{{"idTag":"A","at":"{text}","many":[{{"someValue":"x"}},{{"someValue":"x","validFrom":"{text}"}}]}}',
        Payload,
    )
    assert payload.at == instant
    assert payload.many is not None
    assert payload.many[1].valid_from == instant


@pytest.mark.req("R16-035")
@pytest.mark.parametrize("text", ["2026-01-01T12:00:00", "2026-01-01T12:00:00.123"])
def test_time_without_a_zone_comes_out_naive(text: str) -> None:
    payload = decode(f'{{"idTag":"A","at":"{text}"}}', Payload)
    assert payload.at is not None
    assert payload.at.tzinfo is None
    assert parse_timestamp(text).tzinfo is None


def test_a_lenient_time_does_not_hide_another_fault() -> None:
    error = refusal(f'{{"idTag":"A","at":"{PLUS_TWO}+02","connectorId":-1}}')
    assert (error.code, error.path) == ("PROPERTY", "$.connectorId")


@pytest.mark.parametrize("rest", [',"x":"\\ud800"}', ',"x":', ',"idTag":"A","idTag":7}', ',"inner":[}', ""])
def test_a_lenient_time_in_front_of_broken_json_is_refused(rest: str) -> None:
    refusal(f'{{"at":"{PLUS_TWO}+02"{rest}')


@pytest.mark.parametrize("text", ["", "2026-01-01", "12:00:00Z", "yesterday", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)


def test_a_bad_time_in_an_unnamed_place_is_refused() -> None:
    error = refusal(f'{{"a":"{PLUS_TWO}+02"}}', dict[str, datetime])
    assert error.code == "PROPERTY"
