"""`evse-agent meter`: what it finds and reads on a line, and what it says when there is nothing."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli_meter import parse_units
from hal.drivers.modbus_meter import load_profile
from hal.ports import MeterReading
from hal.sim.modbus_meters import ModbusMeters, PlayedMeter, serve_on_tcp

SHOWN = MeterReading(
    at_time=0.0,
    energy_import_wh=12_873_451.0,
    power_w=7360.0,
    voltage_v=(230.0, 231.0, 229.5),
    current_a=(32.0, 0.0, 0.0),
    power_phase_w=(7360.0, 0.0, 0.0),
    frequency_hz=50.0,
    power_factor=1.0,
)
pytestmark = pytest.mark.real_time


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, ["meter", *args])


@pytest.fixture
def port() -> Iterator[str]:
    """A serial device server with an SDM630 at unit 3 and a B23 at unit 5, in a thread of its own."""
    loop = asyncio.new_event_loop()
    units = {
        unit: PlayedMeter(load_profile(model), lambda: SHOWN, str(4710 + unit))
        for unit, model in ((3, "sdm630"), (5, "b23"))
    }
    server = loop.run_until_complete(serve_on_tcp(ModbusMeters(units)))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def stop() -> None:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_scan_names_each_meter_and_writes_its_configuration(port: str) -> None:
    result = invoke("scan", port, "--units", "2-5")
    assert result.exit_code == 0, result.output
    assert "unit 3, 9600 8N1: sdm630, Eastron SDM630, no. 4713: 12873.451 kWh, 7360 W\n" in result.output
    assert "unit 5, 9600 8N1: b23, ABB B23, no. 4715" in result.output
    assert f'[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "{port}"\nunit = 3\n' in result.output
    assert 'model = "b23"' in result.output
    assert 'baud_rate = 9600\nparity = "none"\n' in result.output, "other than from the factory"
    assert "stop_bits" not in result.output


def test_scan_of_an_empty_line_fails_and_says_where_to_look(port: str) -> None:
    result = invoke("scan", port, "--units", "9")
    assert result.exit_code == 1
    assert f"no meter answers on {port}: check A and B" in result.output


def test_scan_without_the_port_says_so() -> None:
    result = invoke("scan", "/dev/no-such-port")
    assert result.exit_code == 1
    assert "/dev/no-such-port" in result.output


@pytest.mark.parametrize("text", ["", "a", "1-", "0", "1-248", "3,,4"])
def test_what_is_no_list_of_addresses_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_units(text)
    assert invoke("scan", "/dev/ttyUSB0", "--units", text).exit_code == 2


def test_lists_of_addresses() -> None:
    assert parse_units("1-3,42,2") == (1, 2, 3, 42)


def test_read_prints_a_table_of_readings(port: str) -> None:
    result = invoke("read", port, "--model", "sdm630", "--unit", "3", "--times", "2", "--every", "0.2")
    assert result.exit_code == 0, result.output
    header, row = result.output.splitlines()[:2]
    assert header.split() == ["meter", "unit", "energy", "power", "voltage", "current", "f", "note"]
    for shown in (
        "Eastron SDM630",
        "12873.451 kWh",
        "7360 W",
        "230.0/231.0/229.5 V",
        "32.00/0.00/0.00 A",
        "50.00 Hz",
    ):
        assert shown in row
    assert row.endswith("no. 4713")
    assert result.output.count("12873.451 kWh") == 2


def test_read_of_a_configuration_shows_all_its_meters_and_fails_if_one_is_silent(
    port: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    meters = [(1, "sdm630", 3), (2, "sdm630", 9), (0, "b23", 5)]
    config.write_text(
        '[station]\nidentity = "CP1"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://127.0.0.1:9/"\n'
        '[hal]\ndriver = "board"\n[hal.board]\nport = "/dev/ttyACM0"\nevses = 2\n'
        + "".join(
            f'[[hal.meters]]\nevse = {evse}\nmodel = "{model}"\nport = "{port}"\nunit = {unit}\n'
            for evse, model, unit in meters
        )
    )
    result = invoke("read", "--config", str(config), "--times", "1")
    assert result.exit_code == 1
    rows = result.output.splitlines()
    assert [row.split("  ")[0] for row in rows[1:]] == ["Eastron SDM630", "Eastron SDM630", "ABB B23"]
    assert "no answer" in rows[2]
    assert "12873.450 kWh" in rows[3], "a B23 counts tens of Wh"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 2, "name a PORT and a --model"),
        (("/dev/ttyUSB0",), 2, "name a PORT and a --model"),
        (("/dev/ttyUSB0", "--model", "sdm9000"), 1, "no meter model 'sdm9000'"),
        (("/dev/no-such-port", "--model", "sdm630", "--times", "1"), 1, "No such file"),
        (("--config", "/no/such/file.toml"), 3, "/no/such/file.toml"),
    ],
)
def test_mistakes_of_read(args: tuple[str, ...], code: int, said: str) -> None:
    result = invoke("read", *args)
    assert result.exit_code == code, result.output
    assert said in result.output
