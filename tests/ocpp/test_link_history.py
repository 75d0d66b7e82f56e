"""Every reason for which a connection ends is one of a few kinds; those of `link.py` are told apart."""

import re
from pathlib import Path

import pytest

from agent.errors import ConnectFailed
from agent.ocpp import link
from agent.ocpp.link_history import KINDS, OTHER, LinkHistory


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("closed by the CSMS with 1001 going away", "closed_by_csms"),
        ("connection lost", "lost"),
        ("connection lost: [Errno 104]", "lost"),
        ("no pong within 20 s", "no_pong"),
        ("the CSMS does not read", "not_reading"),
        ("disconnected on request", "on_request"),
        ("stopped", "stopped"),
        ("security_profile changed", OTHER),
        ("", OTHER),
    ],
)
def test_a_reason_is_of_one_kind(reason: str, kind: str) -> None:
    history = LinkHistory()
    history.closed(reason)
    assert {name for name, count in history.disconnects.items() if count} == {kind}


def test_every_kind_is_a_text_of_the_link() -> None:
    source = Path(link.__file__).read_text()
    for text, _ in KINDS:
        assert re.search(f'"{text}', source), text


def test_attempts_are_counted_by_kind() -> None:
    history = LinkHistory()
    history.opened()
    for kind in ("UNREACHABLE", "UNREACHABLE", "TLS_CERTIFICATE"):
        history.failed(ConnectFailed("no", kind))
    assert history.connects == 1
    assert history.failures == {"unreachable": 2, "tls_certificate": 1}
