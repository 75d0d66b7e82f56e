"""Registers as data: every number type both ways, "not available", and profiles that are wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.bus.register_map import RegisterValue, from_reading, parse_profile, to_reading
from hal.errors import OutOfRange
from hal.ports import MeterReading

TYPES = ["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]


@given(
    st.sampled_from(TYPES),
    st.booleans(),
    st.sampled_from([1, 10, 100, 1000]),
    st.integers(0, 32_766),
    st.booleans(),
)
def test_registers_decode_to_what_was_encoded(
    register_type: Any, low_first: bool, divide: int, number: int, is_negative: bool
) -> None:
    raw = -number if is_negative and register_type[0] != "u" else number
    value = RegisterValue("power", 0, register_type, 1000, divide, low_first, frozenset())
    assert value.decode(value.encode(raw * 1000 / divide)) == pytest.approx(raw * 1000 / divide, rel=1e-6)


@given(st.sampled_from(["f32", "f64"]), st.integers(0, 9_999_999))
def test_a_register_in_kwh_loses_no_wh(register_type: Any, energy_wh: int) -> None:
    value = RegisterValue("energy_import", 0, register_type, 1000, 1, False, frozenset())
    assert value.decode(value.encode(energy_wh)) == energy_wh


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_number_is_the_same_number_after_decoding(number: float) -> None:
    value = RegisterValue("power", 0, "f32", 1, 1, False, frozenset())
    words = value.encode(number)
    assert value.encode(value.decode(words)) == words


@pytest.mark.parametrize("register_type", TYPES)
def test_not_available_is_none(register_type: Any) -> None:
    profile = parse_profile(profile_table(register_type), "test")
    (value,) = profile.blocks[0].values
    assert value.decode(value.encode(None)) is None
    assert value.decode(value.encode(5.0)) == 5.0


def test_a_reading_survives_the_way_through_measurands() -> None:
    full = MeterReading(
        5.0, 1.0, 2.0, 3.0, (4.0, 5.0, 6.0), (7.0, 8.0, 9.0), (10.0, 11.0, 12.0), 13.0, 0.5, 20.0
    )
    assert to_reading(from_reading(full), 5.0) == full


def profile_table(register_type: str = "u32", **changes: Any) -> dict[str, Any]:
    value = {"at": 2, "type": register_type, "unit": "W"}
    table: dict[str, Any] = {
        "vendor": "Example",
        "model": "One",
        "phases": 1,
        "energy_step_wh": 1,
        "line": {"baudrate": 9600},
        "blocks": [{"function": 3, "address": 0, "count": 8, "values": {"power": value}}],
    }
    return table | changes


def one_value(at: int, unit: str) -> dict[str, Any]:
    values = {"power": {"at": at, "type": "u32", "unit": unit}}
    return {"function": 3, "address": 0, "count": 2, "values": values}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colour": "red"}, "unknown key colour"),
        ({"phases": 4}, "phases: 4"),
        ({"word_order": "BADC"}, "word_order: 'BADC'"),
        ({"max_registers": 4}, "at most 4"),
        ({"line": {"speed": 9600}}, "speed"),
        ({"blocks": [{"function": 6, "address": 0, "count": 2, "values": {}}]}, "function: 6"),
        ({"blocks": [one_value(at=1, unit="W")]}, "outside its block"),
        ({"blocks": [one_value(at=0, unit="kWh")]}, "unit of energy"),
        ({"serial_number": {"function": 3, "at": 0, "type": "number"}}, "count is missing"),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OutOfRange, match=complaint) as error:
        parse_profile(profile_table(**changes), "meters/one.toml")
    assert "meters/one.toml" in str(error.value)


def test_the_word_order_is_the_meters() -> None:
    value = RegisterValue("power", 0, "s32", 1, 10, False, frozenset())
    assert value.decode((0x0001, 0xAF58)) == 11042.4
    low_first = RegisterValue("power", 0, "s32", 1, 10, True, frozenset())
    assert low_first.decode((0xAF58, 0x0001)) == 11042.4


def test_a_measurand_stands_once() -> None:
    block = one_value(at=0, unit="W")
    with pytest.raises(OutOfRange, match="power is given twice"):
        parse_profile(profile_table(blocks=[block, block]), "test")


# ---- numbers with powers of ten, differences, identities


def value_of(**changes: Any) -> RegisterValue:
    given: dict[str, Any] = {"at": 2, "type": "s16", "unit": "W"}
    table = profile_table()
    table["blocks"][0]["values"]["power"] = given | changes
    return parse_profile(table, "test").blocks[0].values[0]


@pytest.mark.parametrize(
    ("register_type", "words", "number"),
    [
        ("u24e", (0xFF00, 0x08FE), 230.2),
        ("s24e", (0x00FF, 0xFFFF), -1.0),
        ("s24e", (0x0302, 0x0000), 131_072_000.0),
        ("u24e", (0x00FF, 0xFFFF), 16_777_215.0),
    ],
)
def test_a_number_may_carry_its_own_power_of_ten(
    register_type: str, words: tuple[int, ...], number: float
) -> None:
    assert value_of(type=register_type).decode(words) == number


@given(st.floats(-8e6, 8e6))
def test_a_number_with_its_own_power_of_ten_survives_encoding(number: float) -> None:
    value = value_of(type="s24e")
    assert value.decode(value.encode(number)) == pytest.approx(number, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("exponent", "power_w"), [(1, 11_040.0), (0, 1104.0), (0xFFFF, 110.4), (0x8000, None)]
)
def test_a_power_of_ten_may_stand_elsewhere(exponent: int, power_w: float | None) -> None:
    value = value_of(exponent_at=5)
    words = (0, 0, 1104, 0, 0, exponent, 0, 0)
    assert value.take(words, 0) == power_w


def test_what_is_not_implemented_stays_none_whatever_the_power_of_ten_is() -> None:
    value = value_of(exponent_at=5, invalid=[-32768])
    assert value.take((0, 0, 0x8000, 0, 0, 1, 0, 0), 0) is None


@given(st.integers(-30_000, 30_000))
def test_import_less_export_is_shown_and_read(power_w: int) -> None:
    for changes in ({"type": "u16", "minus": 4}, {"exponent_at": 5}):
        value = value_of(**changes)
        words = [0] * 8
        for address, word in value.show(float(power_w)).items():
            words[address] = word
        assert value.take(words, 0) == power_w


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"identity": {"function": 3, "at": 0, "count": 1, "type": "number"}}, "known is missing"),
        ({"identity": {"function": 3, "at": 0, "count": 1, "type": "word", "known": [1]}}, "identity: type"),
        ({"signing": "pgp"}, "signing: 'pgp'"),
    ],
)
def test_a_wrong_identity_or_signing_is_said(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OutOfRange, match=complaint):
        parse_profile(profile_table(**changes), "test")


@pytest.mark.parametrize("place", ["minus", "exponent_at"])
def test_all_places_of_a_value_are_in_its_block(place: str) -> None:
    with pytest.raises(OutOfRange, match="outside its block"):
        value_of(**{place: 8})


def test_an_identity_is_a_number_or_the_beginning_of_a_text() -> None:
    table = {"function": 3, "at": 0, "count": 4, "type": "text", "known": ["B23", "B24"]}
    identity = parse_profile(profile_table(identity=table), "test").identity
    assert identity is not None
    assert identity.fits(identity.place.decode(identity.place.encode("B24 112")))
    assert not identity.fits("A43")
    assert not identity.fits(None)
