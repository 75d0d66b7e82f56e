"""What is wrong with a configuration beyond its grammar: settings and vendor commands, with key and line.

`config.py` cannot ask these itself, since it stands below them. Called by `check-config` and by `app.py`
before anything is opened; loads no vendor code and touches no hardware.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from agent.charging.settings import SETTINGS, initial
from agent.config import Config, read_settings, read_text, setting_line
from agent.errors import ConfigError, Problem
from agent.toml_lines import KeyLines
from agent.vendor.loading import check_vendors


def find_problems(config: Config) -> list[Problem]:
    """All problems, in the order of their lines; empty: the agent can start with it."""
    problems = [*setting_problems(config.settings, config.lines), *check_vendors(config)]
    return sorted(problems, key=lambda problem: problem.line or 0)


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
