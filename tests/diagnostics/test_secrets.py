"""Known secrets are found in every spelling that they could have in a text."""

import base64

import pytest

from agent.diagnostics.secrets import Secrets


@pytest.mark.req("R16-361")
@pytest.mark.parametrize(
    "spelling",
    [
        "p@ss/word 1",
        "p%40ss%2Fword%201",
        "7040" + "73732f776f72642031",
        "704073732F776F72642031",
        base64.b64encode(b"CP001:p@ss/word 1").decode(),
        base64.b64encode(b"p@ss/word 1").decode(),
    ],
)
def test_every_spelling_is_hidden(spelling: str) -> None:
    secrets = Secrets([b"p@ss/word 1"], "CP001")
    assert secrets.hide(f"before {spelling} after") == "before *** after"


def test_bytes_that_are_no_text_are_hidden_in_hex() -> None:
    assert Secrets([bytes(range(200, 220))]).hide(bytes(range(200, 220)).hex()) == "***"


def test_a_longer_secret_is_hidden_before_one_that_it_contains() -> None:
    assert Secrets([b"secret", b"secret and more"]).hide("secret and more") == "***"


def test_a_short_password_takes_no_ordinary_words_with_it() -> None:
    assert Secrets([b"a", b""]).hide("a cable was plugged in") == "a cable was plugged in"
