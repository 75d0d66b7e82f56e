"""Sessions of the page: how they end."""

from datetime import UTC, datetime

from agent.web.logins import MOST, Logins
from agent.web.passwords import AccessState, Cost, Password
from agent.web.roles import Role


def state(digest: bytes = b"one") -> AccessState:
    return AccessState({Role.VIEWER: Password(b"salt", digest, Cost(), datetime(2026, 1, 1, tzinfo=UTC))}, ())


def test_a_session_is_known_by_its_secret_only() -> None:
    logins = Logins(60, 600)
    secret = logins.start(Role.VIEWER, b"one", 0)
    found = logins.find(secret, state(), 1)
    assert found is not None
    assert found.role is Role.VIEWER
    assert logins.find(found.name, state(), 1) is None
    assert logins.find(secret[:-1], state(), 1) is None
    assert logins.find("\udcff", state(), 1) is None


def test_use_keeps_it_alive_until_it_is_old() -> None:
    logins = Logins(60, 600)
    secret = logins.start(Role.VIEWER, b"one", 0)
    for time in range(50, 600, 50):
        assert logins.find(secret, state(), time) is not None
    assert logins.find(secret, state(), 600) is None


def test_idle_it_ends() -> None:
    logins = Logins(60, 600)
    secret = logins.start(Role.VIEWER, b"one", 0)
    assert logins.find(secret, state(), 60) is None
    assert logins.find(secret, state(), 59) is None, "what has ended stays ended"


def test_it_ends_with_the_password_that_opened_it() -> None:
    logins = Logins(60, 600)
    secret = logins.start(Role.VIEWER, b"one", 0)
    assert logins.find(secret, state(b"two"), 1) is None
    secret = logins.start(Role.VIEWER, b"one", 0)
    assert logins.find(secret, AccessState(), 1) is None


def test_logging_out_and_pruning_forget() -> None:
    logins = Logins(60, 600)
    secret = logins.start(Role.VIEWER, b"one", 0)
    logins.end(secret)
    logins.end(secret)
    assert logins.find(secret, state(), 1) is None
    logins.start(Role.VIEWER, b"one", 0)
    logins.prune(state(), 30)
    assert len(logins) == 1
    logins.prune(state(), 60)
    assert len(logins) == 0


def test_there_are_never_more_than_so_many() -> None:
    logins = Logins(60, 600)
    first = logins.start(Role.VIEWER, b"one", 0)
    others = [logins.start(Role.VIEWER, b"one", 1) for _ in range(MOST)]
    assert len(logins) == MOST
    assert logins.find(first, state(), 2) is None
    assert logins.find(others[0], state(), 2) is not None
