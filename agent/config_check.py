"""What is wrong with a configuration beyond its grammar: settings and vendor commands, with key and line.

`config.py` cannot ask these itself, since it stands below them. Called by `check-config` and by `app.py`
before anything is opened; loads no vendor code and touches no hardware.
"""

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from agent.charging.settings import SETTINGS, initial
from agent.config import Config, read_settings, read_text, setting_line
from agent.config_mqtt import OWN_COMMANDS
from agent.errors import ConfigError, Problem
from agent.toml_lines import KeyLines
from agent.vendor.actions import ACTIONS
from agent.vendor.loading import check_vendors


def find_problems(config: Config) -> list[Problem]:
    """All problems, in the order of their lines; empty: the agent can start with it."""
    problems = [
        *setting_problems(config.settings, config.lines),
        *check_vendors(config),
        *mqtt_problems(config),
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def mqtt_problems(config: Config) -> list[Problem]:
    """Commands that do not exist, and a broker without the package that speaks with it."""
    found = []
    known = {*OWN_COMMANDS, *ACTIONS}
    for number, name in enumerate(config.mqtt.commands):
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f" (known: {', '.join(sorted(known))})"
            line = config.lines.line_of(("mqtt", "commands"))
            found.append(Problem(f"mqtt.commands[{number + 1}]", f"there is no command {name}{hint}", line))
    if config.mqtt.url and find_spec("aiomqtt") is None:
        text = "needs the package aiomqtt: pip install 'evse-agent[mqtt]'"
        found.append(Problem("mqtt.url", text, config.lines.line_of(("mqtt", "url"))))
    return found


def web_problems(config: Config) -> list[Problem]:
    """For `check-config` only: a certificate that cannot be served keeps the page away, not the station."""
    from agent.web.door import Certificate, CertificateError

    if not (config.web.certificate_file and config.web.key_file):
        return []
    try:
        Certificate(Path(config.web.certificate_file), Path(config.web.key_file)).load()
    except CertificateError as error:
        return [
            Problem("web.certificate_file", str(error), config.lines.line_of(("web", "certificate_file")))
        ]
    return []


def all_problems(path: Path, found: list[Problem]) -> list[Problem]:
    """What `config.load` found wrong with the file, and what is wrong with its [settings] besides."""
    try:
        settings, lines = read_settings(read_text(path))
    except ConfigError:
        return found
    return sorted([*found, *setting_problems(settings, lines)], key=lambda problem: problem.line or 0)


def setting_problems(settings: Mapping[str, str], lines: KeyLines) -> list[Problem]:
    """What is wrong with the names and values of [settings]."""
    _values, wrong = initial(settings)
    known = {name.lower(): name for row in SETTINGS.values() for name in (row.key16, row.path2) if name}
    problems = []
    for name, message in wrong.items():
        close = difflib.get_close_matches(name.lower(), known, 1, cutoff=0.7)
        if close and name.lower() not in known:
            message += f"; did you mean {known[close[0]]}?"
        problems.append(Problem(f"settings.{name}", message, setting_line(lines, name)))
    return problems
