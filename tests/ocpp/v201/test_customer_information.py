"""CustomerInformation: who is meant, what is told, in how many parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.ids import IdToken as Token
from agent.charging.ids import IdTokenType
from agent.charging.requests import AboutCustomer, CustomerAnswer, Verdict
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, CustomerReportNotice, Reply
from agent.ocpp.v201.datatypes import CertificateHashData, IdToken
from agent.ocpp.v201.diagnostics import (
    CustomerInformationRequest,
    NotifyCustomerInformationRequest,
    customer_information,
    notify_customer_information,
)
from tests.helpers.fake_station import NOW, FixedView

TOKEN = IdToken(id_token="TAG1", type="ISO14443")
CERTIFICATE = CertificateHashData(
    hash_algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="c"
)


def ask(report: bool = True, clear: bool = False, **who: Any) -> Ask | Reply:
    request = CustomerInformationRequest(request_id=3, report=report, clear=clear, **who)
    return customer_information(request, FixedView())


def told(response: Ask | Reply, *entries: str) -> str:
    """The text of the messages behind an accepting answer."""
    if isinstance(response, Ask):
        answered = response.reply(CustomerAnswer(Verdict.ACCEPTED, entries))
        assert isinstance(answered, Reply)
        response = answered
    assert response.payload.status == "Accepted"  # type: ignore[attr-defined]
    parts = []
    for notice in response.then:
        assert isinstance(notice, CustomerReportNotice)
        call = notify_customer_information(notice, FixedView(), None)
        parts.append(decode(encode(call.payload), NotifyCustomerInformationRequest))
    assert parts
    assert [part.seq_no for part in parts] == list(range(len(parts)))
    assert [part.tbc for part in parts[:-1]] == [True] * (len(parts) - 1)
    assert parts[-1].tbc is not True
    assert {(part.request_id, part.generated_at) for part in parts} == {(3, NOW)}
    return "".join(part.data for part in parts)


def status(response: Ask | Reply) -> str:
    assert isinstance(response, Reply)
    assert response.then == ()
    word: str = response.payload.status  # type: ignore[attr-defined]
    return word


@pytest.mark.req("N09.FR.04", "N09.FR.09", "N10.FR.08")
def test_exactly_one_reference_names_a_customer() -> None:
    assert status(ask()) == "Invalid"
    assert status(ask(id_token=TOKEN, customer_identifier="x")) == "Invalid"
    assert status(ask(customer_certificate=CERTIFICATE, customer_identifier="x")) == "Invalid"


@pytest.mark.req("N09.FR.07", "N10.FR.07")
def test_who_wants_neither_a_report_nor_to_clear_wants_nothing() -> None:
    assert status(ask(report=False, id_token=TOKEN)) == "Rejected"


@pytest.mark.req("N09.FR.02", "N09.FR.05", "N10.FR.01", "N10.FR.03", "TC_N_27_CS", "TC_N_30_CS")
def test_what_is_known_is_told() -> None:
    for clear in (False, True):
        response = ask(clear=clear, id_token=TOKEN)
        assert isinstance(response, Ask)
        assert response.request == AboutCustomer(Token("TAG1", IdTokenType.ISO14443), clear)
        assert told(response, "cache: 1", "transaction: 2") == "cache: 1\ntransaction: 2"


@pytest.mark.req("N09.FR.02", "N09.FR.05", "N10.FR.01", "N10.FR.03", "TC_N_62_CS")
def test_a_customer_may_be_named_by_an_identifier() -> None:
    for clear in (False, True):
        response = ask(clear=clear, customer_identifier="OpenChargeAlliance")
        assert isinstance(response, Ask)
        assert response.request == AboutCustomer("OpenChargeAlliance", clear)
        assert told(response, "cache: 1") == "cache: 1"


@pytest.mark.req("N09.FR.06", "N10.FR.04", "TC_N_28_CS", "TC_N_31_CS")
def test_that_nothing_is_known_is_told_too() -> None:
    assert told(ask(id_token=TOKEN)) == ""
    assert told(ask(clear=True, id_token=TOKEN)) == ""
    assert told(ask(customer_identifier="x")) == ""
    assert told(ask(clear=True, customer_certificate=CERTIFICATE)) == ""
    assert told(ask(customer_certificate=CERTIFICATE)) == ""


@pytest.mark.req("N10.FR.06", "TC_N_32_CS")
def test_without_a_report_it_is_told_that_it_was_cleared() -> None:
    assert "cleared" in told(ask(report=False, clear=True, id_token=TOKEN), "cache: secret")
    assert "secret" not in told(ask(report=False, clear=True, id_token=TOKEN), "cache: secret")


@pytest.mark.req("N09.FR.03", "N10.FR.05")
def test_a_store_that_fails_is_a_rejection() -> None:
    response = ask(id_token=TOKEN)
    assert isinstance(response, Ask)
    reply = response.reply(CustomerAnswer(Verdict.REJECTED, reason="the store cannot be reached"))
    assert isinstance(reply, Reply)
    assert status(reply) == "Rejected"


@given(entries=st.lists(st.text(st.characters(codec="utf-8"), max_size=700), max_size=6))
def test_parts_are_the_whole_text(entries: list[str]) -> None:
    assert told(ask(id_token=TOKEN), *entries) == "\n".join(entries)
