"""The interview of `evse-agent init`: which questions, in which order, with which defaults.

What was given as an option is not asked. Without a person every question needs an option or a default, and all that
are missing are named at once. A bad answer of a person is asked again with the reason. Called by `agent/cli_init.py`,
which brings the terminal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.commissioning import answers as rules
from agent.commissioning.answers import Answers, MeterAnswer, ReaderAnswer
from agent.commissioning.detection import Detected, FoundBoard, FoundMeter
from agent.commissioning.writing import (
    BLANK,
    DEFAULT_STATE_DIR,
    judged,
    problem_of,
    problems_of,
    toml_text,
)

Value = TypeVar("Value")

SIMULATED = "sim"
NONE = "none"
MOST_EVSES = 8


@dataclass(frozen=True, slots=True)
class Question:
    option: str
    """The option that answers it: --csms-url."""
    text: str
    about: str = ""
    """A line of explanation."""
    default: str | None = None
    is_hidden: bool = False


class BadAnswer(ValueError):
    """What was given as an option cannot be."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")


class MissingAnswers(ValueError):
    """Nobody is there to ask; `options` are those that are needed."""

    def __init__(self, options: Sequence[str]) -> None:
        super().__init__(", ".join(options))
        self.options = tuple(options)


class Person(Protocol):
    """Who sits at the terminal."""

    def ask(self, question: Question) -> str: ...
    def complain(self, reason: str) -> None:
        """The answer cannot be; the question comes again."""

    def tell(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Given:
    """The options of the command line; a name maps to its text."""

    texts: Mapping[str, str]
    meters: Sequence[str] = ()
    """EVSE=MODEL,PORT[,UNIT]"""
    no_meters: bool = False
    readers: Sequence[str] = ()
    no_readers: bool = False
    is_simulated: bool = False
    password_is_hex: bool | None = None
    state_dir: str = ""


class Interview:
    """`run` it once."""

    def __init__(self, given: Given, detected: Detected, person: Person | None, state_dir: str) -> None:
        """`person` None: nobody to ask. `state_dir`: for simulated hardware, if none is given."""
        self._given = given
        self._detected = detected
        self._person = person
        self._state_dir = state_dir
        self._missing: list[str] = []

    def run(self) -> Answers:
        """Raises BadAnswer, MissingAnswers."""
        found = self._hardware(self._who(self._connection()))
        if self._missing:
            raise MissingAnswers(self._missing)
        return found

    # --- asking ----------------------------------------------------------------------------------------

    def _answer(self, question: Question, read: Callable[[str], Value], otherwise: Value) -> Value:
        """`otherwise` stands in where an answer is missing, so that the other missing ones are found, too."""
        given = self._given.texts.get(question.option)
        if given is None and self._person is None and question.default is None:
            self._missing.append(question.option)
            return otherwise
        if given is not None or self._person is None:
            text = given if given is not None else question.default or ""
            try:
                return read(_legible(text))
            except ValueError as error:
                raise BadAnswer(question.option, str(error)) from error
        while True:
            try:
                return read(_legible(self._person.ask(question)))
            except ValueError as error:
                self._person.complain(str(error))

    def _tell(self, text: str) -> None:
        if self._person is not None:
            self._person.tell(text)

    # --- the CSMS --------------------------------------------------------------------------------------

    def _connection(self) -> Answers:
        url = self._answer(
            Question(
                "--csms-url",
                "Address of the CSMS",
                "for charging stations, such as wss://csms.example.com/ocpp",
            ),
            lambda text: judged("csms.url", "csms_url", rules.read_url(text)),
            BLANK.csms_url,
        )
        identity = self._answer(
            Question("--identity", "Identity of this station", "its name at the CSMS, letter by letter"),
            lambda text: judged("station.identity", "identity", text.strip()),
            BLANK.identity,
        )
        shorter = rules.without_identity(url, identity)
        if shorter != url:
            self._tell(f"The identity is appended by the agent: {shorter}")
        found = replace(BLANK, csms_url=shorter, identity=identity)
        usual = rules.profiles_of(url)[0]
        profile = self._answer(
            Question(
                "--security-profile",
                "Security profile",
                "0 no password, 1 password without TLS, 2 password over TLS, 3 certificate of the station",
                str(usual if usual != 2 or self._person is not None or self._has_password() else 0),
            ),
            lambda text: rules.read_profile(text, url),
            0,
        )
        found = replace(found, security_profile=profile)
        if profile in (1, 2):
            found = self._password(found)
        if url.startswith("wss:"):
            found = self._trust(found)
        return found

    def _has_password(self) -> bool:
        return bool({"--password", "--password-file"} & self._given.texts.keys())

    def _password(self, found: Answers) -> Answers:
        if "--password-file" in self._given.texts:
            file = self._answer(
                Question("--password-file", "File with the password"),
                lambda text: judged("csms.password_file", "password_file", text),
                "",
            )
            return replace(found, password_file=str(Path(file).absolute()))
        password = self._answer(
            Question("--password", "Password", "16 to 40 characters; it is not shown", is_hidden=True),
            rules.read_password,
            "",
        )
        if not rules.HEX_KEY.fullmatch(password):
            if self._given.password_is_hex:
                raise BadAnswer("--password-is-hex", "the password is not 32 to 40 hex digits")
            return replace(found, password=password)
        is_hex = self._given.password_is_hex
        if is_hex is None:
            is_hex = self._answer(
                Question(
                    "--password-is-hex",
                    "Do these hex digits stand for bytes (yes), or are they the password as it is (no)?",
                    "OCPP 1.6 says bytes (AuthorizationKey); some CSMSs mean text. Refused with 401? Take the other",
                    "yes",
                ),
                _read_yes,
                True,
            )
        return replace(found, password_hex=password) if is_hex else replace(found, password=password)

    def _trust(self, found: Answers) -> Answers:
        ca_file = self._answer(
            Question(
                "--ca-file",
                "File with the root certificate of the CSMS (PEM)",
                "empty: the authorities that this system trusts, right for public ones",
                "",
            ),
            lambda text: _certificate_file("csms.ca_file", "ca_file", text),
            "",
        )
        found = replace(found, ca_file=ca_file)
        if found.security_profile != 3:
            return found
        certificate = self._answer(
            Question(
                "--certificate-file", "File with the certificate of this station (PEM)", "with its chain"
            ),
            lambda text: _certificate_file("csms.certificate_file", "certificate_file", text, is_needed=True),
            "",
        )
        key = self._answer(
            Question("--certificate-key-file", "File with its private key", "empty: in the same file", ""),
            lambda text: _key_file(text, certificate),
            "",
        )
        return replace(found, certificate_file=certificate, certificate_key_file=key)

    # --- the station -----------------------------------------------------------------------------------

    def _who(self, found: Answers) -> Answers:
        is_simulated = self._given.is_simulated
        board = next(iter(self._detected.boards), None)
        for field, text, about, default in (
            ("vendor", "Maker of the station", "up to 20 characters", "Simulated" if is_simulated else None),
            ("model", "Model of the station", "up to 20 characters", self._usual_model(board)),
            ("serial_number", "Its serial number", "up to 25 characters; may be left empty", ""),
        ):
            value: dict[str, Any] = {
                field: self._answer(
                    Question(f"--{field.replace('_', '-')}", text, about, default),
                    partial(_judged_station, field),
                    "x",
                )
            }
            found = replace(found, **value)
        return found

    def _usual_model(self, board: FoundBoard | None) -> str | None:
        if self._given.is_simulated:
            return "Simulated"
        return board.facts.hardware[:20] if board is not None and board.facts.hardware else None

    # --- the hardware ----------------------------------------------------------------------------------

    def _hardware(self, found: Answers) -> Answers:
        port = self._board_port()
        board = next((each for each in self._detected.boards if each.port == port), None)
        most = board.facts.connectors if board is not None else MOST_EVSES
        usual = board.facts.connectors if board is not None else 1
        of = "the board has no more connectors" if board is not None else "no board serves more"
        evses = self._answer(
            Question("--evses", "How many EVSEs (charging points)", default=str(usual)),
            lambda text: rules.read_count(text, most, of),
            1,
        )
        found = replace(found, board_port=port, evses=evses, max_current_a=self._current(port, evses, board))
        state_dir = self._given.state_dir or (self._state_dir if port is None else DEFAULT_STATE_DIR)
        found = replace(found, state_dir=state_dir)
        if port is not None:
            found = replace(found, meters=self._meters(found))
        return replace(found, readers=self._readers(found))

    def _board_port(self) -> str | None:
        """None: simulated."""
        if self._given.is_simulated:
            return None
        ports = [board.port for board in self._detected.boards]
        if len(ports) > 1:
            self._tell("\nBoards answer on " + ", ".join(ports))
        default = ports[0] if ports else None if self._person is None else SIMULATED
        about = f"or {SIMULATED}: simulated hardware; on a charger that deploy.sh has set up it is /dev/evse/board"
        question = Question("--board", "Port of the I/O board", about, default)
        if self._given.texts.get("--board") is None and default is None:
            question = replace(question, option="--board with --max-current, or --simulated")
        return self._answer(question, _read_port, None)

    def _current(self, port: str | None, evses: int, board: FoundBoard | None) -> float:
        is_simulated = port is None
        limit = "" if board is None else f"; the board can give {board.facts.max_current_a:g} A"
        current_a = self._answer(
            Question(
                "--max-current",
                "Most current per phase of each EVSE, in A",
                f"what its wires, its breaker and its RCD carry{limit}",
                "32" if is_simulated else None,
            ),
            rules.read_current,
            32.0,
        )
        if evses == 1:
            return current_a
        return self._answer(
            Question(
                "--main-fuse",
                "Main fuse that the EVSEs share, per phase, in A",
                "they do not share it by themselves: each gets its part; 0: it carries all of them",
                "0" if is_simulated else None,
            ),
            lambda text: rules.share_of_fuse(text, evses, current_a),
            current_a,
        )

    def _meters(self, found: Answers) -> tuple[MeterAnswer, ...]:
        evses = found.evses
        if self._given.meters:
            return tuple(_given_meter(text, evses) for text in self._given.meters)
        if self._given.no_meters:
            return ()
        left = list(self._detected.meters)
        if self._person is None and not left:
            return ()
        if self._person is None and len(left) != evses:
            self._missing.append("--meter or --no-meters")  # whose is whose nobody can tell
            return ()
        chosen: list[MeterAnswer] = []
        for evse in (*range(1, evses + 1), *([0] if len(left) > evses else [])):
            meter = self._meter(evse, left, replace(found, meters=tuple(chosen)))
            if meter is not None:
                chosen.append(meter)
                left = [
                    each for each in left if (each.meter.port, each.meter.unit) != (meter.port, meter.unit)
                ]
        return tuple(chosen)

    def _meter(self, evse: int, left: list[FoundMeter], found: Answers) -> MeterAnswer | None:
        def read(text: str) -> MeterAnswer | None:
            meter = _read_meter_choice(text, evse, left)
            if meter is not None:
                _must_fit(replace(found, meters=(*found.meters, meter)))
            return meter

        if left:
            self._tell("")
        for number, each in enumerate(left, start=1):
            self._tell(f"  {number}: {each.description}")
        of = f"EVSE {evse}" if evse else "the whole station"
        choice = (
            f"a number from above, MODEL,PORT,ADDRESS, or {NONE}" if left else f"MODEL,PORT,ADDRESS or {NONE}"
        )
        default = "1" if left and evse else NONE
        question = Question("--meter", f"Meter of {of}", choice, default)
        return self._answer(question, read, None)

    def _readers(self, answers: Answers) -> tuple[ReaderAnswer, ...]:
        def read(text: str) -> ReaderAnswer | None:
            reader = _read_reader_choice(text)
            if reader is not None:
                _must_fit(replace(answers, readers=(reader,)))
            return reader

        is_simulated = answers.board_port is None
        if self._given.readers:
            return tuple(self._one_reader(text) for text in self._given.readers)
        found = tuple(ReaderAnswer(model="pn532", port=port) for port in self._detected.readers)
        if self._given.no_readers or is_simulated or self._person is None:
            return () if self._given.no_readers or is_simulated else found
        default = f"{found[0].model},{found[0].port}" if found else NONE
        about = f"MODEL,PORT with rdm6300 or pn532, or {NONE}; a reader on the board has the port board:NAME"
        reader = self._answer(Question("--reader", "Card reader", about, default), read, None)
        return () if reader is None else (reader,)

    def _one_reader(self, text: str) -> ReaderAnswer:
        try:
            reader = _read_reader_choice(text)
        except ValueError as error:
            raise BadAnswer("--reader", str(error)) from error
        if reader is None:
            raise BadAnswer("--reader", "use --no-readers")
        return reader


# --- reading answers --------------------------------------------------------------------------------------


def _legible(text: str) -> str:
    """Bytes of another character set come as halves of characters, which no file takes."""
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("it holds a character that is no UTF-8; is the terminal set to UTF-8?")
    return text


def _read_yes(text: str) -> bool:
    word = text.strip().lower()
    if word in ("y", "yes", "true"):
        return True
    if word in ("n", "no", "false"):
        return False
    raise ValueError("yes or no")


def _judged_station(field: str, text: str) -> str:
    return judged(f"station.{field}", field, text.strip())


def _certificate_file(key: str, field: str, text: str, *, is_needed: bool = False) -> str:
    if not text.strip():
        if is_needed:
            raise ValueError("a file is needed in profile 3")
        return ""
    path = judged(key, field, str(Path(text.strip()).expanduser().absolute()))
    from agent.errors import CertificateRefused
    from agent.security.checks import read_all

    try:
        read_all(Path(path).read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except CertificateRefused as error:
        raise ValueError(f"{path}: {error}") from error
    return path


def _key_file(text: str, certificate_file: str) -> str:
    if not text.strip():
        return ""
    path = str(Path(text.strip()).expanduser().absolute())
    with_both = replace(BLANK, certificate_file=certificate_file, certificate_key_file=path)
    problem = problem_of("csms.certificate_key_file", with_both)
    if problem:
        raise ValueError(problem)
    return path


def _read_port(text: str) -> str | None:
    if text.strip() == SIMULATED:
        return None
    try:
        return rules.read_port(text)
    except ValueError as error:
        raise ValueError(f"{error}, or {SIMULATED}") from error


def _read_meter_choice(text: str, evse: int, left: Sequence[FoundMeter]) -> MeterAnswer | None:
    text = text.strip()
    if text.lower() == NONE:
        return None
    if text.isdecimal():
        if not 1 <= int(text) <= len(left):
            raise ValueError(
                f"a number from 1 to {len(left)}" if left else f"no meter was found: {NONE}, or type it"
            )
        return replace(left[int(text) - 1].meter, evse=evse)
    return _known_meter(rules.read_meter(text, evse))


def _known_meter(meter: MeterAnswer) -> MeterAnswer:
    """Raises ValueError for a model that there is not."""
    from hal.commissioning import check_meter_model
    from hal.errors import OutOfRange

    try:
        check_meter_model(meter.model)
    except OutOfRange as error:
        raise ValueError(str(error)) from error
    return meter


def _given_meter(text: str, evses: int) -> MeterAnswer:
    evse, equals, rest = text.partition("=")
    try:
        if not equals or not evse.strip().isdecimal() or not 0 <= int(evse) <= evses:
            raise ValueError(f"EVSE=MODEL,PORT,ADDRESS is wanted, with an EVSE from 0 to {evses}")
        return _known_meter(rules.read_meter(rest, int(evse)))
    except ValueError as error:
        raise BadAnswer("--meter", f"{text}: {error}") from error


def _must_fit(answers: Answers) -> None:
    """Ports and addresses have one owner each: better asked again at once than refused after all questions."""
    problems = [
        each for each in problems_of(toml_text(answers, date(2000, 1, 1))) if each.key.startswith("hal")
    ]
    if problems:
        raise ValueError("; ".join(each.message for each in problems))


def _read_reader_choice(text: str) -> ReaderAnswer | None:
    if text.strip().lower() in (NONE, ""):
        return None
    reader = rules.read_reader(text)
    problem = problem_of("hal.readers[1].model", replace(BLANK, readers=(reader,)))
    if problem:
        raise ValueError(f"the model {problem}")
    return reader
