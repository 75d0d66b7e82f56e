"""What may be answered to `evse-agent init`, and what a bad answer is told."""

import pytest

from agent.commissioning import answers
from agent.commissioning.answers import MeterAnswer, ReaderAnswer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an address is needed"),
        ("csms.example.com/ocpp", "did you mean wss://csms.example.com/ocpp"),
        ("https://csms.example.com/ocpp", "did you mean wss://csms.example.com/ocpp"),
        ("http://csms.example.com/ocpp", "did you mean ws://csms.example.com/ocpp"),
        ("HTTPS://csms.example.com/ocpp", "did you mean wss://csms.example.com/ocpp"),
        ("wss://csms.example.com/my station", "blank"),
    ],
)
def test_an_address_that_cannot_be_says_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        answers.read_url(text)
    assert said in str(error.value)


def test_blanks_around_an_address_do_not_matter() -> None:
    assert answers.read_url(" wss://csms.example.com/ocpp/ \n") == "wss://csms.example.com/ocpp/"


def test_capitals_do_not_make_an_address_another_kind() -> None:
    """WSS:// taken for ws:// would offer profiles without TLS."""
    assert answers.profiles_of(answers.read_url("WSS://Csms.example.com/OCPP")) == (2, 0, 3)
    assert answers.read_url("WSS://Csms.example.com/OCPP") == "wss://Csms.example.com/OCPP"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("wss://h/ocpp/CP001", "wss://h/ocpp"),
        ("wss://h/ocpp/CP001/", "wss://h/ocpp"),
        ("wss://h/CP001", "wss://h/"),
        ("wss://h/ocpp/CP001?tenant=7", "wss://h/ocpp?tenant=7"),
        ("wss://h/ocpp/CP%20001", "wss://h/ocpp/CP%20001"),
        ("wss://h/ocpp/", "wss://h/ocpp/"),
        ("wss://h/ocpp/CP0011", "wss://h/ocpp/CP0011"),
        ("wss://h/ws?id={identity}", "wss://h/ws?id={identity}"),
    ],
)
def test_an_identity_at_the_end_of_the_address_is_taken_off_because_the_agent_appends_it(
    url: str, kept: str
) -> None:
    assert answers.without_identity(url, "CP001") == kept


@pytest.mark.parametrize("text", ["1", "four", "", "-1", "²"])
def test_a_profile_that_does_not_go_with_wss_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="0, 2, 3"):
        answers.read_profile(text, "wss://h/")


def test_profiles_of_ws() -> None:
    assert answers.read_profile(" 1 ", "ws://h/") == 1
    with pytest.raises(ValueError, match="0, 1"):
        answers.read_profile("2", "ws://h/")


@pytest.mark.parametrize("length", [15, 41])
def test_a_password_has_16_to_40_characters(length: int) -> None:
    assert answers.read_password("x" * 16) == "x" * 16
    with pytest.raises(ValueError, match=f"{length} characters"):
        answers.read_password("x" * length)


@pytest.mark.parametrize(
    ("text", "is_key"),
    [("0" * 32, True), ("aB" * 20, True), ("0" * 31, False), ("0" * 33, False), ("g" * 32, False)],
)
def test_a_key_of_ocpp_is_32_to_40_hex_digits_in_pairs(text: str, is_key: bool) -> None:
    assert bool(answers.HEX_KEY.fullmatch(text)) is is_key


@pytest.mark.parametrize(
    ("text", "current_a"), [("16", 16.0), (" 32 A", 32.0), ("7,5", 7.5), ("6", 6.0), ("80A", 80.0)]
)
def test_currents(text: str, current_a: float) -> None:
    assert answers.read_current(text) == current_a


@pytest.mark.parametrize("text", ["", "5.9", "80.1", "much", "nan", "inf"])
def test_no_currents(text: str) -> None:
    with pytest.raises(ValueError):
        answers.read_current(text)


@pytest.mark.parametrize(
    ("fuse", "evses", "each"), [("0", 2, 32.0), ("63", 2, 31.0), ("100", 2, 32.0), ("25 A", 3, 8.0)]
)
def test_each_evse_gets_its_part_of_the_main_fuse(fuse: str, evses: int, each: float) -> None:
    assert answers.share_of_fuse(fuse, evses, 32.0) == each


@pytest.mark.parametrize(
    ("fuse", "said"),
    [("16", "less than 6 A"), ("-3", "0 if it carries them all"), ("big", "ampere"), ("nan", "ampere")],
)
def test_a_fuse_that_is_too_small_to_be_shared_is_refused(fuse: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answers.share_of_fuse(fuse, 3, 32.0)


def test_a_meter_is_model_port_and_address() -> None:
    assert answers.read_meter("sdm630, /dev/ttyUSB0, 3", 2) == MeterAnswer(
        evse=2, model="sdm630", port="/dev/ttyUSB0", unit=3
    )
    assert answers.read_meter("b23,/dev/ttyUSB0", 1).unit is None


@pytest.mark.parametrize(
    "text",
    [
        "sdm630",
        "sdm630,",
        "a,b,c,d",
        "sdm630,/dev/ttyUSB0,0",
        "sdm630,/dev/ttyUSB0,248",
        "sdm630,/dev/ttyUSB0,²",
    ],
)
def test_what_is_no_meter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ADDRESS|no Modbus address"):
        answers.read_meter(text, 1)


def test_a_count_is_a_number_up_to_the_most() -> None:
    assert answers.read_count(" 2 ", 2, "no more") == 2
    for text in ("0", "3", "two", "²"):
        with pytest.raises(ValueError, match="from 1 to 2: no more"):
            answers.read_count(text, 2, "no more")


@pytest.mark.parametrize("port", ["/dev/ttyACM0", "socket://192.168.1.20:4001", "rfc2217://gateway:2217"])
def test_a_port_is_a_device_or_host_and_number(port: str) -> None:
    assert answers.read_port(f" {port}\n") == port


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttyACM0", "such as /dev/ttyACM0"),
        ("", "such as /dev/ttyACM0"),
        ("socket://gate way:1", "such as /dev/ttyACM0"),
        ("socket://gateway", "host and port number"),
        ("socket://:4001", "host and port number"),
        ("socket://gateway:99999", "host and port number"),
    ],
)
def test_what_is_no_port_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answers.read_port(text)


def test_a_reader_is_model_and_port() -> None:
    assert answers.read_reader("pn532,/dev/ttyAMA0") == ReaderAnswer(model="pn532", port="/dev/ttyAMA0")
    with pytest.raises(ValueError, match="MODEL,PORT"):
        answers.read_reader("pn532")
