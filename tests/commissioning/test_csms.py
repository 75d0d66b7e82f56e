"""The doctor's room of the CSMS: which step fails, what to do, and that nothing is said and nobody is pushed out."""

import os
from pathlib import Path
from typing import Any

import pytest

from agent.charging.network import NetworkProfile, StoredNetworks
from agent.charging.settings import initial
from agent.commissioning.agent_word import AgentWord
from agent.commissioning.connection import is_password_stored, link_config
from agent.commissioning.csms import check_csms
from agent.commissioning.findings import Finding, Verdict
from agent.config import parse
from agent.ocpp.link import LinkConfig
from tests.helpers.authorities import DAY, Authority
from tests.helpers.csms import Csms

PASSWORD = b"correct horse battery"


async def last(link: LinkConfig, **how: Any) -> Finding:
    """What is said in the end; everything before it is fine."""
    found = await check_csms(link, how.pop("word", None), is_running=how.pop("is_running", False), **how)
    assert [each.verdict for each in found[:-1]] == [Verdict.OK] * (len(found) - 1)
    return found[-1]


async def test_a_csms_that_takes_us_hears_a_handshake_and_no_message() -> None:
    async with Csms() as csms:
        found = await last(LinkConfig(csms.url, "CP001", security_profile=1, password=PASSWORD))
        (handshake,) = csms.handshakes
        assert (csms.received, csms.most_open) == ([], 1)
    assert (found.verdict, "with ocpp1.6; nothing was sent" in found.found) == (Verdict.OK, True)
    assert handshake.path == "/ocpp/CP001"
    assert PASSWORD.decode() not in found.found


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (401, "does not take this station: HTTP 401", "compare identity CP001 and csms.password"),
        (403, "does not take this station: HTTP 403", "compare identity CP001"),
        (404, "knows nothing under this address: HTTP 404", "is CP001 registered there"),
        (302, "sends us elsewhere: HTTP 302", "csms.url"),
        (400, "refuses the connection: HTTP 400", "the address for charging stations"),
        (200, "HTTP 200", "the address for charging stations"),
        (503, "trouble of its own: HTTP 503", "try again later"),
    ],
)
async def test_each_answer_to_the_handshake_has_its_advice(status: int, said: str, advice: str) -> None:
    async with Csms() as csms:
        csms.refuse_status = status
        csms.refuse_headers = {"Location": "http://127.0.0.1/"} if status == 302 else {}
        found = await last(LinkConfig(csms.url, "CP001", security_profile=1, password=PASSWORD))
        assert csms.received == []
    assert found.verdict is Verdict.FAILURE
    assert said in found.found
    assert advice in found.advice


async def test_a_401_without_a_password_of_ours_names_the_profile() -> None:
    async with Csms() as csms:
        csms.refuse_status = 401
        found = await last(LinkConfig(csms.url, "CP001"))
    assert "set csms.security_profile and csms.password" in found.advice


async def test_a_401_with_a_password_that_the_csms_has_set_names_the_database() -> None:
    async with Csms() as csms:
        csms.refuse_status = 401
        link = LinkConfig(csms.url, "CP001", security_profile=1, password=PASSWORD)
        found = await last(link, is_password_stored=True)
    assert "it beats the file" in found.advice


async def test_a_csms_that_does_not_speak_1_6() -> None:
    async with Csms() as csms:
        csms.subprotocols = ("ocpp2.0.1",)
        found = await last(LinkConfig(csms.url, "CP001"))
    assert found.found == "it agrees to no subprotocol of ours (ocpp1.6)"
    assert "OCPP 1.6-J address" in found.advice


async def test_a_closed_port() -> None:
    async with Csms() as csms:
        await csms.stop_listening()
        found = await last(LinkConfig(csms.url, "CP001"))
    assert "refuses connections to port" in found.found
    assert "is the port right?" in found.advice


async def test_a_name_that_nobody_knows() -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    found = await last(LinkConfig("wss://csms.exmaple.com/", "CP001"), resolve=unknown)
    assert found.found == "the name csms.exmaple.com is not known: Name or service not known"
    assert "letter by letter" in found.advice


async def test_an_address_and_a_profile_that_do_not_go_together_are_not_tried() -> None:
    found = await last(LinkConfig("ws://127.0.0.1:9/", "CP001", security_profile=2, password=PASSWORD))
    assert "needs wss://" in found.found
    assert "[csms]" in found.advice


# --- TLS --------------------------------------------------------------------------------------------------


def secure(csms: Csms, ca_file: Path | str = "", **fields: Any) -> LinkConfig:
    url = csms.url.replace("127.0.0.1", "localhost")
    return LinkConfig(url, "CP001", security_profile=2, password=PASSWORD, ca_file=str(ca_file), **fields)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.root("Operator")


@pytest.fixture
def ca_file(root: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(root.pem)
    return path


async def test_tls_with_the_right_root(root: Authority, ca_file: Path) -> None:
    async with Csms(ssl_context=root.issue("localhost").server_context()) as csms:
        found = await last(secure(csms, ca_file))
    assert (found.verdict, "over TLS" in found.found) == (Verdict.OK, True)


async def test_the_wrong_root_is_to_be_replaced(root: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(Authority.root("Somebody").pem)
    async with Csms(ssl_context=root.issue("localhost").server_context()) as csms:
        found = await last(secure(csms, other))
    assert "its certificate is not trusted here" in found.found
    assert "put the root certificate of the CSMS into csms.ca_file" in found.advice
    assert str(other) in found.advice


@pytest.mark.parametrize(
    ("name", "odd", "advice"),
    [
        ("localhost", {"ends": -1 * DAY}, "has to renew the certificate"),
        ("localhost", {"begins": 2 * DAY}, "set the clock"),
        ("csms.example.com", {}, "write the name that stands in its certificate into csms.url"),
    ],
)
async def test_what_is_wrong_with_the_certificate_of_the_csms(
    root: Authority, ca_file: Path, name: str, odd: dict[str, Any], advice: str
) -> None:
    async with Csms(ssl_context=root.issue(name, **odd).server_context()) as csms:
        found = await last(secure(csms, ca_file))
    assert found.verdict is Verdict.FAILURE
    assert advice in found.advice


async def test_no_tls_on_that_port() -> None:
    async with Csms() as csms:
        link = LinkConfig(csms.url.replace("ws:", "wss:"), "CP001", security_profile=2, password=PASSWORD)
        found = await last(link)
    assert found.found.startswith("TLS fails")
    assert "is there TLS on this port" in found.advice


# --- while an agent runs ----------------------------------------------------------------------------------


def word(
    is_connected: bool,
    registration: str | None = None,
    failure: dict[str, Any] | None = None,
    url: str = "ws://h/CP001",
) -> AgentWord:
    status = {
        "station": {"identity": "CP001"},
        "link": {"is_connected": is_connected, "url": url},
        "registration": registration,
        "subprotocol": "ocpp1.6" if is_connected else None,
    }
    return AgentWord(status, {"csms": {"security_profile": 0, "failure": failure}})


@pytest.mark.parametrize(
    ("registration", "verdict", "advice"),
    [
        ("Accepted", Verdict.OK, ""),
        ("Pending", Verdict.WARNING, "accept CP001 in the CSMS"),
        ("Rejected", Verdict.FAILURE, "accept CP001 in the CSMS"),
        (None, Verdict.WARNING, "BootNotification"),
    ],
)
async def test_the_connection_of_the_agent_is_left_alone(
    registration: str | None, verdict: Verdict, advice: str
) -> None:
    async with Csms() as csms:
        found = await last(LinkConfig(csms.url, "CP001"), word=word(True, registration), is_running=True)
        assert csms.handshakes == [], "a second connection could cost the first one"
    assert (found.verdict, advice in found.advice) == (verdict, True)


async def test_an_agent_that_is_not_connected_tells_why() -> None:
    async with Csms() as csms:
        refused = {"kind": "CREDENTIALS", "status": 401, "reason": "HTTP 401 on the upgrade"}
        link = LinkConfig(csms.url, "CP001", security_profile=1, password=PASSWORD)
        found = await last(link, word=word(False, failure=refused, url=csms.url), is_running=True)
        assert csms.handshakes == []
    assert "compare identity CP001" in found.advice
    async with Csms() as csms:
        said = word(False, url=csms.url)
        found = await last(LinkConfig(csms.url, "CP001"), word=said, is_running=True)
        assert csms.handshakes == []
    assert "evse-agent link connect" in found.advice


async def test_the_address_to_reach_is_the_one_that_the_agent_uses() -> None:
    """A CSMS of 2.x can send the station elsewhere: what stands in the file then says nothing."""
    async with Csms() as csms:
        said = word(False, url=csms.url)
        found = await last(LinkConfig("ws://127.0.0.1:9/", "CP001"), word=said, is_running=True)
    assert "evse-agent link connect" in found.advice


async def test_an_agent_that_says_nothing_keeps_its_connection_as_well() -> None:
    async with Csms() as csms:
        found = await last(LinkConfig(csms.url, "CP001"), is_running=True)
        assert csms.handshakes == []
    assert "answers on port" in found.found


# --- what is in force -------------------------------------------------------------------------------------


async def test_what_the_csms_has_changed_beats_the_file(tmp_path: Path) -> None:
    config = parse(
        '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://h/ocpp"\n'
        f'security_profile = 1\npassword = "from the file ..."\n[agent]\nstate_dir = "{tmp_path}"\n'
    )
    from_file = await link_config(config, {})
    assert (from_file.security_profile, from_file.password) == (1, b"from the file ...")
    stored = {"security_profile": "2", "authorization_key": b"from the csms ...".hex()}
    changed = await link_config(config, stored)
    assert (changed.security_profile, changed.password) == (2, b"from the csms ...")
    assert changed.url == "wss://h/ocpp"
    assert (is_password_stored({}), is_password_stored(stored)) == (False, True)
    assert not os.listdir(tmp_path), "nothing is made"


async def test_where_the_csms_has_sent_the_station_beats_the_file_until_that_is_changed() -> None:
    config = parse(
        '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://h/ocpp"\n'
        '[agent]\nstate_dir = "/no"\n'
    )
    elsewhere = {2: NetworkProfile("ws://elsewhere/ocpp", 0, 30)}
    stored = {**initial(config.settings)[0], "network_priority": "2,1"}
    sent = StoredNetworks({1: None, **elsewhere}, 2, "ws://h/ocpp")
    assert (await link_config(config, stored, sent)).url == "ws://elsewhere/ocpp"
    edited = StoredNetworks({1: None, **elsewhere}, 2, "ws://old/ocpp")
    assert (await link_config(config, stored, edited)).url == "ws://h/ocpp"
