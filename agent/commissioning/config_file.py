"""The room of the configuration file: can it be read and used, and do its secrets stay secret?"""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.commissioning.findings import Finding, failure, ok, warning
from agent.commissioning.machine import User
from agent.config import Config, load
from agent.errors import ConfigError, Problem

SUBJECT = "configuration"
UNREADABLE = "cannot be read"
"""What the loader says of a file that is named in the configuration."""


def check_config_file(path: Path, user: User) -> tuple[Config | None, list[Finding]]:
    """The configuration, if it can be read, and what there is to say. `user`: who the agent runs as."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return None, [failure(SUBJECT, f"there is no {path}", f"write one: evse-agent init {path}")]
    except PermissionError:
        return None, [failure(SUBJECT, f"you may not read {path}", "run this command again with sudo")]
    except OSError as error:
        return None, [failure(SUBJECT, f"{path}: {error.strerror}", f"write one: evse-agent init {path}")]
    try:
        config = load(path)
    except ConfigError as error:
        from agent.config_check import all_problems

        return None, [_problem(path, each) for each in all_problems(path, error.problems)]
    problems = _deeper_problems(config)
    if problems:
        return None, [_problem(path, each) for each in problems]
    hardware = "simulated hardware" if config.hal.driver == "sim" else f"board on {config.hal.board.port}"
    said = f"{path}: {config.station.identity} at {config.csms.url}, {hardware}"
    return config, [ok(SUBJECT, said), *_secrets(path, config, user)]


def _deeper_problems(config: Config) -> list[Problem]:
    """What `check-config` finds beyond the grammar."""
    from agent.app import hardware_problems
    from agent.config_check import find_problems

    found = [*find_problems(config), *hardware_problems(config)]
    return sorted(found, key=lambda problem: problem.line or 0)


def _problem(path: Path, problem: Problem) -> Finding:
    where = f"line {problem.line} of {path}" if problem.line else str(path)
    advice = f"correct {where}; docs/configuration.md lists every key"
    if problem.message.startswith(UNREADABLE) and os.geteuid() != 0:
        advice = f"run this command again with sudo; if that does not help, {advice}"
    return failure(SUBJECT, str(problem), advice)


def _secrets(path: Path, config: Config, user: User) -> Iterator[Finding]:
    holds_password = bool(config.csms.password or config.csms.password_hex)
    if holds_password and path.stat().st_mode & 0o004:
        advice = f"chmod o-rwx {path}"
        yield warning(SUBJECT, f"everybody on this machine may read the password in {path}", advice)
    if not user.may(path, os.R_OK):
        advice = f"sudo chgrp $(id -gn {user.name}) {path} && sudo chmod 640 {path}"
        yield failure(SUBJECT, f"the agent's user {user.name} may not read {path}", advice)
    for key, text in (
        ("password_file", config.csms.password_file),
        ("certificate_key_file", config.csms.certificate_key_file),
    ):
        if not text:
            continue
        if Path(text).stat().st_mode & 0o004:
            yield warning(
                SUBJECT, f"everybody on this machine may read {text} (csms.{key})", f"chmod o-rwx {text}"
            )
        if not user.may(Path(text), os.R_OK):
            advice = f"sudo chown {user.name} {text} && sudo chmod 400 {text}"
            yield failure(SUBJECT, f"the agent's user {user.name} may not read {text} (csms.{key})", advice)
