"""`evse-agent init`: looks at the hardware, asks the rest, and writes a commented configuration file.

Parses, asks and prints; what is found, asked and written is in `agent/commissioning/`. docs/commissioning.md.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent.cli_options import DEFAULT_CONFIG
from agent.exit_codes import ExitCode

if TYPE_CHECKING:
    from agent.commissioning.answers import Answers
    from agent.commissioning.detection import Detected
    from agent.commissioning.questions import Question

TEXTS = (
    ("--csms-url", "Address of the CSMS, ws:// or wss://."),
    ("--identity", "Identity of the station at the CSMS."),
    ("--security-profile", "0 to 3 [2 with wss:// and a password, else 0]."),
    ("--password-file", "File that holds the password; it stays there."),
    ("--ca-file", "Root certificate of the CSMS, PEM [the system's authorities]."),
    ("--certificate-file", "Certificate of the station for profile 3, PEM."),
    ("--certificate-key-file", "Its private key [in the same file]."),
    ("--vendor", "Maker of the station."),
    ("--model", "Model of the station [that of the I/O board]."),
    ("--serial-number", "Serial number of the station [none]."),
    ("--board", "Port of the I/O board [the one that answers]."),
    ("--evses", "Number of EVSEs [as the board has connectors]."),
    ("--max-current", "Most current per phase of each EVSE, in A."),
    ("--main-fuse", "Main fuse that several EVSEs share, in A; 0: it carries them all."),
)
"""Options that answer one question each."""


def _texts(command: Callable[..., None]) -> Callable[..., None]:
    for option, text in reversed(TEXTS):
        command = click.option(option, help=text)(command)
    return command


@click.command()
@click.argument("file", default=DEFAULT_CONFIG, type=click.Path(path_type=Path, dir_okay=False))
@_texts
@click.option(
    "--password", envvar="EVSE_AGENT_PASSWORD", help="16 to 40 characters; better in $EVSE_AGENT_PASSWORD."
)
@click.option(
    "--password-is-hex/--password-is-text", default=None, help="Of a password of 32 to 40 hex digits [hex]."
)
@click.option(
    "--meter", "meters", multiple=True, help="EVSE=MODEL,PORT[,ADDRESS]; repeatable [those that answer]."
)
@click.option("--no-meters", is_flag=True, help="There are no meters.")
@click.option(
    "--reader",
    "readers",
    multiple=True,
    help="MODEL,PORT of a card reader; repeatable [a PN532 that answers].",
)
@click.option("--no-readers", is_flag=True, help="There are no card readers.")
@click.option("--state-dir", help="Where the agent keeps its database [/var/lib/evse-agent].")
@click.option("--simulated", is_flag=True, help="Simulated hardware; no port is looked at.")
@click.option(
    "--look-at",
    multiple=True,
    metavar="PORT",
    help="Look at this port, too, e.g. socket://host:port; repeatable.",
)
@click.option("--no-detect", is_flag=True, help="Look at no port.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: options and defaults have to do.")
@click.option("--force", is_flag=True, help="Replace FILE; the old one is kept as FILE.bak.")
def init(
    file: Path,
    look_at: tuple[str, ...],
    no_detect: bool,
    yes: bool,
    force: bool,
    state_dir: str | None,
    **options: Any,
) -> None:
    """Find the hardware, ask the rest, and write a configuration.

    FILE is /etc/evse-agent/config.toml unless named. Every question can be answered by an option instead."""
    from agent.commissioning.questions import BadAnswer, Interview, MissingAnswers

    _check_place(file, force)
    is_asking = not yes and is_terminal()
    detected = _detect(look_at, no_detect or options["simulated"])
    given = _given(options, state_dir)
    usual_dir = str(file.absolute().parent / "state") if file != DEFAULT_CONFIG else ""
    try:
        answers = Interview(given, detected, Terminal() if is_asking else None, usual_dir).run()
    except MissingAnswers as error:
        why = "--yes asks nothing" if yes else "this is no terminal to ask on"
        _fail(f"{why}, and these options are missing: {error}", ExitCode.USAGE)
    except BadAnswer as error:
        _fail(str(error), ExitCode.USAGE)
    text = _checked_text(answers)
    click.echo("\n" + summary(file, answers, detected))
    if is_asking and not click.confirm(f"\nWrite {file}?", default=True):
        _fail("nothing was written")
    _write(file, text, force)
    click.echo(_next_steps(file, answers))


def is_terminal() -> bool:
    """Is somebody there to answer?"""
    return sys.stdin.isatty()


class Terminal:
    """The person at the terminal (`questions.Person`)."""

    def ask(self, question: "Question") -> str:
        if question.about:
            click.secho(f"\n  {question.about}", dim=True)
        else:
            click.echo()
        has_default = bool(question.default)
        answer: str = click.prompt(
            question.text,
            default="" if question.default is None else question.default,
            hide_input=question.is_hidden,
            show_default=has_default,
        )
        return answer

    def complain(self, reason: str) -> None:
        click.secho(f"  Not so: {reason}", fg="red")

    def tell(self, text: str) -> None:
        click.echo(text)


def _check_place(file: Path, force: bool) -> None:
    """Before twenty questions are asked for nothing."""
    folder = file.absolute().parent
    try:
        if file.exists() and not force:
            _fail(f"{file} is there already: --force replaces it and keeps it as {file.name}.bak")
        if file == DEFAULT_CONFIG:
            folder.mkdir(mode=0o750, exist_ok=True)
        if not folder.is_dir():
            _fail(f"there is no directory {folder}")
        draft = folder / f".{file.name}.new"
        draft.touch(mode=0o600)
        draft.unlink()
    except OSError as error:
        _fail(f"{folder} cannot be written ({error.strerror}): use sudo, or name another FILE")


def _detect(look_at: tuple[str, ...], is_skipped: bool) -> "Detected":
    import asyncio

    from agent.commissioning.detection import Detected, detect

    if is_skipped:
        return Detected()
    click.echo("Looking at the serial ports; each takes up to a minute:")
    has_line = sys.stderr.isatty()

    def show_progress(text: str) -> None:
        if has_line:
            click.echo(f"\r\x1b[K{text[:78]}", nl=False, err=True)

    return asyncio.run(detect(look_at, lambda text: click.echo(f"  {text}"), show_progress))


def _given(options: dict[str, Any], state_dir: str | None) -> Any:
    from agent.commissioning.questions import Given

    names = [option for option, _ in TEXTS] + ["--password"]
    texts = {name: options[name.strip("-").replace("-", "_")] for name in names}
    return Given(
        texts={name: text for name, text in texts.items() if text is not None},
        meters=options["meters"],
        no_meters=options["no_meters"],
        readers=options["readers"],
        no_readers=options["no_readers"],
        is_simulated=options["simulated"] or texts["--board"] == "sim",
        password_is_hex=options["password_is_hex"],
        state_dir=str(Path(state_dir).absolute()) if state_dir else "",
    )


def _checked_text(answers: "Answers") -> str:
    from datetime import UTC, datetime

    from agent.commissioning.writing import problems_of, toml_text

    text = toml_text(answers, datetime.now(UTC).date())
    problems = problems_of(text)
    if problems:
        listed = "\n".join(f"  {problem.key}: {problem.message}" for problem in problems)
        _fail(f"the answers do not go together; nothing was written:\n{listed}", ExitCode.BAD_CONFIG)
    return text


def summary(file: Path, answers: "Answers", detected: "Detected") -> str:
    """What is going to be written, without the password."""
    from agent.cli_output import table

    has_password = answers.password or answers.password_hex or answers.password_file
    hardware = "simulated" if answers.board_port is None else f"board on {answers.board_port}"
    rows = [
        ("Station", f"{answers.identity}: {answers.vendor} {answers.model} {answers.serial_number}".rstrip()),
        ("CSMS", f"{answers.csms_url}, security profile {answers.security_profile}"),
        (
            "",
            f"password {'set' if has_password else 'none'}, trusted: {answers.ca_file or 'as the system does'}",
        ),
        ("Hardware", f"{hardware}, EVSEs: {answers.evses}, at most {answers.max_current_a:g} A each"),
        *(
            (f"Meter {meter.evse}" if meter.evse else "Main meter", f"{meter.model} on {meter.port}")
            for meter in answers.meters
        ),
        *(("Card reader", f"{reader.model} on {reader.port}") for reader in answers.readers),
        ("State", answers.state_dir),
    ]
    if answers.board_port is not None and not answers.meters:
        rows.append(("", "no meter: energy cannot be billed"))
    if detected.gpio_chips:
        rows.append(("GPIO", f"{', '.join(detected.gpio_chips)}: lines are added by hand (docs/hardware.md)"))
    return f"{file} is going to say:\n" + "\n".join("  " + row for row in table(rows))


def _write(file: Path, text: str, force: bool) -> None:
    from agent.commissioning.writing import write_file

    try:
        kept = write_file(file, text, force=force)
    except FileExistsError:
        _fail(f"{file} has appeared meanwhile; nothing was written")
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror}")
    click.echo(f"Written: {file}" + (f"; the old one is {kept}" if kept is not None else ""))


def _next_steps(file: Path, answers: "Answers") -> str:
    where = "" if file == DEFAULT_CONFIG else f" --config {file}"
    start = "sudo systemctl start evse-agent" if file == DEFAULT_CONFIG else f"evse-agent run {file}"
    lines = ["Next:", f"  evse-agent doctor{where}", f"  {start}"]
    if answers.board_port is not None and file != DEFAULT_CONFIG:
        lines.append(f"  or, onto a charger: ./deploy.sh --config {file} USER@HOST")
    return "\n".join(lines)


def _fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
