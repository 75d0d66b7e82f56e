"""DataTransfer's decision table: who is known, what is malformed, and what a crash may touch."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.vendor import cost_messages, example, plug_and_charge
from agent.vendor.registry import (
    DuplicateCommand,
    Limits,
    Vendor,
    VendorCall,
    VendorRegistry,
    accepted,
    read_content,
    rejected,
)


async def echo(call: VendorCall) -> TransferResult:
    return accepted(call.content)


async def crash(_call: VendorCall) -> TransferResult:
    raise ZeroDivisionError


async def never(_call: VendorCall) -> TransferResult:
    await asyncio.sleep(3600)
    return accepted()


async def unsendable(_call: VendorCall) -> TransferResult:
    return accepted(object())


async def own_timeout(_call: VendorCall) -> TransferResult:
    raise TimeoutError("its own")


VENDOR = Vendor(
    "com.Example",
    {"Echo": echo, "Crash": crash, "Never": never, "Unsendable": unsendable, "OwnTimeout": own_timeout},
)


def registry(**options: object) -> VendorRegistry:
    return VendorRegistry([VENDOR, Vendor("com.default", default=echo)], **options)  # type: ignore[arg-type]


def transfer(
    vendor_id: str = "com.Example", message_id: str | None = "Echo", data: object = None
) -> TransferData:
    return TransferData(vendor_id, message_id, data)


@pytest.mark.req("R16-305", "R16-306")
@pytest.mark.parametrize(
    ("vendor_id", "message_id", "status"),
    [
        ("org.unknown", "Echo", TransferStatus.UNKNOWN_VENDOR_ID),
        ("org.unknown", None, TransferStatus.UNKNOWN_VENDOR_ID),
        ("com.Example", "Nothing", TransferStatus.UNKNOWN_MESSAGE_ID),
        ("com.Example", None, TransferStatus.UNKNOWN_MESSAGE_ID),
        ("com.Example", "", TransferStatus.UNKNOWN_MESSAGE_ID),
        ("com.Example", "Echo", TransferStatus.ACCEPTED),
        ("com.default", None, TransferStatus.ACCEPTED),
        ("com.default", "", TransferStatus.ACCEPTED),
        ("com.default", "Echo", TransferStatus.UNKNOWN_MESSAGE_ID),
    ],
)
async def test_only_what_is_registered_is_answered(
    vendor_id: str, message_id: str | None, status: TransferStatus
) -> None:
    assert (await registry().execute(transfer(vendor_id, message_id))).status is status


@pytest.mark.req("R16-305")
@pytest.mark.parametrize("status_without_data", ["org.unknown", "com.default"])
async def test_an_unknown_vendor_or_message_gets_no_data(status_without_data: str) -> None:
    assert (await registry().execute(transfer(status_without_data, "X"))).data is None


@pytest.mark.parametrize(("vendor_id", "message_id"), [("COM.EXAMPLE", "ECHO"), ("com.example", "echo")])
async def test_ids_compare_without_regard_to_case(vendor_id: str, message_id: str) -> None:
    assert (await registry().execute(transfer(vendor_id, message_id))).status is TransferStatus.ACCEPTED


async def test_a_disabled_vendor_answers_as_if_it_were_unknown() -> None:
    disabled = registry(disabled=["COM.example"])
    assert (await disabled.execute(transfer())).status is TransferStatus.UNKNOWN_VENDOR_ID
    assert disabled.vendor_ids == ("com.default",)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (None, None),
        ("", ""),
        ("plain text", "plain text"),
        ("5", "5"),
        (' {"a": [1, 2]} ', {"a": [1, 2]}),
        ("[true]", [True]),
        ({"a": 1}, {"a": 1}),
        (7, 7),
    ],
)
async def test_json_in_a_string_is_parsed_and_other_text_is_left(data: object, content: object) -> None:
    assert (await registry().execute(transfer(data=data))).data == content


@pytest.mark.parametrize(
    "data",
    ["{", "{'a': 1}", "[1,", "x" * 200, {"a": "x" * 200}, "[" * 60 + "]" * 60, {"a": [[[[1]]]]}],
)
async def test_malformed_large_and_deep_data_is_rejected_before_any_handler(data: object) -> None:
    small = registry(limits=Limits(max_text_bytes=150, max_depth=3))
    result = await small.execute(transfer(message_id="Crash", data=data))
    assert result.status is TransferStatus.REJECTED
    assert isinstance(result.data, dict)
    assert result.data["result"] == "bad_args"


async def test_the_size_is_counted_in_bytes() -> None:
    small = registry(limits=Limits(max_text_bytes=10))
    assert (await small.execute(transfer(data="é" * 5))).status is TransferStatus.ACCEPTED
    assert (await small.execute(transfer(data="é" * 6))).status is TransferStatus.REJECTED


async def test_a_megabyte_of_brackets_is_rejected_in_one_piece() -> None:
    wide = registry(limits=Limits(max_text_bytes=2_000_000))
    result = await wide.execute(transfer(data="[" * 1_000_000))
    assert result.status is TransferStatus.REJECTED


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(_json, st.integers(1, 5))
def test_the_depth_limit_is_exact(value: object, limit: int) -> None:
    _content, problem = read_content(value, Limits(max_depth=limit))
    assert bool(problem) is (depth_of(value) > limit)


@pytest.mark.parametrize("message_id", ["Crash", "Unsendable", "OwnTimeout"])
async def test_a_crash_of_vendor_code_is_one_error_and_touches_nothing_else(
    message_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    vendors = registry()
    with pytest.raises(RuntimeError, match="vendor handler failed"):
        await vendors.execute(transfer(message_id=message_id))
    assert "the handler crashed" in caplog.text
    assert (await vendors.execute(transfer())).status is TransferStatus.ACCEPTED


async def test_a_handler_that_takes_too_long_is_rejected_in_time() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = await registry(limits=Limits(timeout_s=3)).execute(transfer(message_id="Never"))
    assert (result.status, result.data) == (
        TransferStatus.REJECTED,
        {"result": "timeout", "detail": "no result within 3 s"},
    )
    assert loop.time() - started == pytest.approx(3)


async def test_a_vendor_has_at_most_eight_messages_under_way() -> None:
    vendors = registry()
    under_way = [asyncio.create_task(vendors.execute(transfer(message_id="Never"))) for _ in range(8)]
    await asyncio.sleep(0)
    assert (await vendors.execute(transfer())).data == {
        "result": "busy",
        "detail": "too many messages of this vendor are under way",
    }
    assert (await vendors.execute(transfer("com.default", None))).status is TransferStatus.ACCEPTED
    await asyncio.gather(*under_way)
    assert (await vendors.execute(transfer())).status is TransferStatus.ACCEPTED


@pytest.mark.req("P02.FR.01")
def test_two_vendors_cannot_claim_one_message_in_any_case() -> None:
    with pytest.raises(DuplicateCommand, match=r"COM\.EXAMPLE: echo is registered twice"):
        VendorRegistry([VENDOR, Vendor("COM.EXAMPLE", {"echo": echo})])
    with pytest.raises(DuplicateCommand, match="no message id is registered twice"):
        VendorRegistry([Vendor("a", default=echo), Vendor("A", default=echo)])


@pytest.mark.req("P01.FR.02", "P02.FR.03")
@pytest.mark.parametrize("vendor_id", [plug_and_charge.VENDOR_ID, cost_messages.VENDOR_ID, example.VENDOR_ID])
def test_our_vendor_ids_are_domains_reversed(vendor_id: str) -> None:
    assert re.fullmatch(r"(org|com|net)(\.[a-z0-9-]+)+", vendor_id)


async def test_one_vendor_may_be_put_together_from_parts() -> None:
    vendors = VendorRegistry([VENDOR, Vendor("COM.EXAMPLE", {"Other": echo})])
    assert (await vendors.execute(transfer(message_id="other"))).status is TransferStatus.ACCEPTED
    assert vendors.vendor_ids == ("com.example",)


def test_a_refusal_tells_machines_and_people_why() -> None:
    assert rejected("busy", "try later") == TransferResult(
        TransferStatus.REJECTED, {"result": "busy", "detail": "try later"}, "try later"
    )
