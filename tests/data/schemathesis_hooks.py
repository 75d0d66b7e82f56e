"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): a stream never ends, so the run does not follow one."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    if case.query and str(case.query.get("follow", "")).lower() in ("true", "1"):
        del case.query["follow"]
