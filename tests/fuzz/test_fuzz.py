"""A short run of the fuzzing (`make fuzz` is the long one), and tests of its judge."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import KEYS, fuzz
from tests.fuzz.judge import Judge, Owed, owed_for


@pytest.mark.req(
    "R16-014", "R16-018", "R16-021", "R16-024", "R16-025", "R16-030", "R16-034", "FIELD-16", "FIELD-19"
)
async def test_whatever_comes_every_call_is_answered_once_and_the_station_still_charges(
    tmp_path: Path,
) -> None:
    assert KEYS
    report = await fuzz(tmp_path, 2500, seed=16)
    assert report.faults == []
    assert report.frames == 2500
    assert len(report.answers) > 30, "hardly anything was reached"


@pytest.mark.parametrize(
    ("text", "owed"),
    [
        ('[2,"1","Reset",{}]', Owed("1", 1, 1, "Reset")),
        (' [ 2 , "1" , "Reset" , null ] ', Owed("1", 1, 1, "Reset")),
        ('[2,"1","Reset"]', Owed("1", 0, 1)),
        ('[2,"1","Reset",{"a":NaN}]', Owed("1", 0, 1)),
        ('[2,"1","Reset",{"a":"\\ud800"}]', Owed("1", 0, 1)),
        ('[2,"1","Reset",{"a":"\\ud800","a":1}]', Owed("1", 0, 1)),
        ('[2,"1","Reset",{', Owed("1", 0, 1)),
        ("[2,1,2,{}]", Owed("", 0, 0)),
        ('[3,"1",{}]', Owed("", 0, 0)),
        ("{}", Owed("", 0, 0)),
        ("", Owed("", 0, 0)),
    ],
)
def test_what_is_owed_for_a_frame(text: str, owed: Owed) -> None:
    assert owed_for(text) == owed


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        (['[3,"1",{"status":"Accepted"}]'], None),
        (['[4,"1","InternalError","",{}]'], "an internal error"),
        (['[4,"1","ProtocolError","",{}]'], None),
        ([], "0 answers instead of 1 to 1"),
        (['[3,"1",{"status":"Accepted"}]'] * 2, "2 answers instead of 1 to 1"),
        (['[3,"1",{"status":"Perhaps"}]'], "not as ResetResponse.json"),
        (['[3,"1",{"status":"Accepted"}]', '[3,"2",{}]'], "an answer to no call"),
        (['[4,"1","Oops","",{}]'], "an error code that 1.6 does not know"),
        (['[3,"1"]'], "no frame of OCPP-J"),
        (["[3"], "no JSON"),
    ],
)
def test_the_judge_finds_what_is_wrong(answers: list[str], verdict: str | None) -> None:
    judge = Judge()
    judge.owe('[2,"1","Reset",{"type":"Soft"}]')
    for answer in answers:
        judge.see(answer)
    judge.settle()
    if verdict is None:
        assert judge.verdicts == []
    else:
        assert judge.verdicts[0].startswith(verdict)
