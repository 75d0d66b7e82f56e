"""What is wrong with a configuration beyond its grammar: settings and vendor commands, with key and line.

`config.py` cannot ask these itself, since it stands below them. Called by `check-config` and by `app.py`
before anything is opened; loads no vendor code and touches no hardware.
"""

import difflib

from agent.charging.settings import SETTINGS, initial
from agent.config import Config
from agent.errors import Problem
from agent.vendor.loading import check_vendors


def find_problems(config: Config) -> list[Problem]:
    """All problems, in the order of their lines; empty: the agent can start with it."""
    problems = [*_setting_problems(config), *check_vendors(config)]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _setting_problems(config: Config) -> list[Problem]:
    _values, wrong = initial(config.settings)
    known = {name.lower(): name for row in SETTINGS.values() for name in (row.key16, row.path2) if name}
    problems = []
    for name, message in wrong.items():
        close = difflib.get_close_matches(name.lower(), known, 1, cutoff=0.7)
        if close and name.lower() not in known:
            message += f"; did you mean {known[close[0]]}?"
        problems.append(Problem(f"settings.{name}", message, config.setting_line(name)))
    return problems
