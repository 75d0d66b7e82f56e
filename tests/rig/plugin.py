"""The rig's side of pytest: picks the tests, gives them their loop, and writes what happens into the ledger.

pytest's own terminal report makes room for the live account; its JUnit file stays. Registered by `__main__.py`;
knows nothing of boards.
"""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from hal.errors import DeviceMissing
from tests.helpers.virtual_time import VirtualTimeLoop
from tests.rig.ledger import Account, Entry, Ledger
from tests.rig.scenarios import SCENARIOS
from tests.rig.script import Scenario
from tests.rig.target import Target

RUN = pytest.StashKey["Run"]()
UNFINISHED = "interrupted"
SHORT_CONTRACT = frozenset(
    {
        "test_hello_names_protocol_and_capabilities",
        "test_contactor_opens_within_100_ms_of_b",
    }
)
"""What the short script takes of the contract suite, which CI runs as a whole elsewhere."""


class Run:
    """One run of the rig, as pytest's plugin."""

    def __init__(
        self, target: Target, ledger: Ledger, account: Account, *, is_short: bool, is_slow: bool
    ) -> None:
        self.target = target
        self.ledger = ledger
        self.account = account
        self.entry: Entry | None = None
        self._is_short = is_short
        self._is_slow = is_slow or target.is_virtual

    # ---- before the tests --------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[RUN] = self
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        if self.target.is_virtual:
            return {"virtual": VirtualTimeLoop}
        return {"real": asyncio.SelectorEventLoop}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "scenario" in metafunc.fixturenames:
            chosen = [
                scenario
                for scenario in SCENARIOS
                if (scenario.is_short or not self._is_short) and (self._is_slow or not scenario.is_slow)
            ]
            metafunc.parametrize("scenario", chosen, ids=[scenario.name for scenario in chosen])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._is_short:
            items[:] = [
                item for item in items if _scenario(item) is not None or _function(item) in SHORT_CONTRACT
            ]
        if not self.target.is_virtual:
            for item in items:
                item.add_marker("real_time")

    # ---- the tests ---------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        scenario = _scenario(item)
        if scenario is not None:
            self.entry = Entry(scenario.name, scenario.title, "scenario", "skipped", problem=UNFINISHED)
        else:
            name = _function(item).removeprefix("test_").replace("_", " ")
            title = f"{name} {item.name[len(_function(item)) :]}".strip()
            self.entry = Entry(item.name, title, "contract", "skipped", problem=UNFINISHED)
        self.account.begin(self.entry, is_first=not self.ledger.entries)
        self.ledger.entries.append(self.entry)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: pytest.TestReport = yield  # type: ignore[assignment]
        entry = self.entry
        assert entry is not None
        entry.seconds += call.duration
        if report.failed:
            entry.result = "failed"
            entry.problem = _reason(report, call)
            if call.excinfo is not None and call.excinfo.errisinstance(DeviceMissing):
                item.session.shouldstop = self.ledger.stopped = "the board is gone: the rest was not run"
        elif report.passed and call.when == "call":
            entry.result, entry.problem = "passed", ""
        elif report.skipped:
            entry.problem = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            entry.problem = entry.problem.removeprefix("Skipped: ")
        return report  # type: ignore[return-value]

    def pytest_runtest_logfinish(self) -> None:
        if self.entry is not None:
            if self.target.is_virtual and self.entry.recording is not None:
                self.entry.seconds = self.entry.recording.lasted_s
            self.account.end(self.entry)
            self.entry = None


def _scenario(item: pytest.Item) -> Scenario | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("scenario") if callspec else None


def _function(item: pytest.Item) -> str:
    return getattr(item, "originalname", None) or item.name


def _reason(report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    if call.excinfo is not None and isinstance(call.excinfo.value, AssertionError | DeviceMissing):
        return f"{call.excinfo.exconly(tryshort=True)}"
    return report.longreprtext
