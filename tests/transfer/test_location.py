"""Locations: parts decoded once, credentials never shown, nonsense refused by its kind."""

import pytest

from agent.charging.settings import SETTINGS
from agent.transfer import PROTOCOLS, SCHEMES, TransferError, TransferFailure, parse_location


@pytest.mark.req("R16-303")
def test_the_setting_lists_exactly_what_can_be_done() -> None:
    setting = SETTINGS["file_transfer_protocols"]
    assert set(setting.choices) == PROTOCOLS == set(SCHEMES.values())
    assert set(setting.default.split(",")) == PROTOCOLS


@pytest.mark.req("R16-303")
def test_credentials_are_decoded_and_not_shown() -> None:
    place = parse_location("ftp://us%40er:p%3Ass%2F@[::1]:2121/a%20b/c%2Fd?x=secret")
    assert (place.user, place.password) == ("us@er", "p:ss/")
    assert (place.host, place.port, place.path) == ("::1", 2121, "/a%20b/c%2Fd")
    assert place.shown == "ftp://[::1]:2121/a%20b/c%2Fd?..."
    assert "p:ss" not in repr(place)
    assert "secret" not in repr(place)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", TransferFailure.BAD_LOCATION),
        ("diagnostics.example", TransferFailure.BAD_LOCATION),
        ("http://", TransferFailure.BAD_LOCATION),
        ("http:///path", TransferFailure.BAD_LOCATION),
        ("http://host:0/", TransferFailure.BAD_LOCATION),
        ("http://host:99999/", TransferFailure.BAD_LOCATION),
        ("http://[::1/", TransferFailure.BAD_LOCATION),
        ("ftp://host/a%0d%0aDELE b", TransferFailure.BAD_LOCATION),
        ("ftp://host/a\nb", TransferFailure.BAD_LOCATION),
        ("ftp://us\x00er@host/", TransferFailure.BAD_LOCATION),
        ("http://server..example/x", TransferFailure.BAD_LOCATION),
        (f"http://{'a' * 64}.example/x", TransferFailure.BAD_LOCATION),
        ("http://host/\ud800", TransferFailure.BAD_LOCATION),
        ("file:///etc/passwd", TransferFailure.NOT_SUPPORTED),
        ("gopher://host/", TransferFailure.NOT_SUPPORTED),
        ("sftp://host/", TransferFailure.NOT_SUPPORTED),
    ],
)
def test_what_is_no_location_is_refused_by_its_kind(text: str, failure: TransferFailure) -> None:
    with pytest.raises(TransferError) as caught:
        parse_location(text, ("HTTP", "FTP"))
    assert caught.value.failure is failure


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("http://host", "/a%20b.tar.gz"),
        ("http://host/in/", "/in/a%20b.tar.gz"),
        ("  HTTP://host/in box/  ", "/in%20box/a%20b.tar.gz"),
    ],
)
def test_a_directory_gets_the_name_of_the_file(text: str, path: str) -> None:
    place = parse_location(text)
    assert place.is_directory
    assert place.named("a b.tar.gz").path == path


def test_credentials_do_not_tell_two_locations_apart() -> None:
    one, other = parse_location("ftp://a:b@host/x"), parse_location("ftp://a:c@host/x")
    assert one.digest == other.digest != parse_location("ftp://a:b@host/y").digest
