"""A short run of the fuzzing (`make fuzz` is the long one), and tests of its judge."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import KEYS, fuzz
from tests.fuzz.dialect201 import DIALECT_201
from tests.fuzz.dialects import DIALECT_16, Dialect
from tests.fuzz.judge import Judge, Owed, owed_for

BOTH = pytest.mark.parametrize(
    "dialect", [DIALECT_16, DIALECT_201], ids=lambda dialect: str(dialect.subprotocol)
)


@pytest.mark.req(
    "R16-014", "R16-018", "R16-021", "R16-024", "R16-025", "R16-030", "R16-034", "FIELD-16", "FIELD-19"
)
@BOTH
async def test_whatever_comes_every_call_is_answered_once_and_the_station_still_charges(
    tmp_path: Path, dialect: Dialect
) -> None:
    assert KEYS
    report = await fuzz(tmp_path, 1000, 16, dialect)
    assert report.faults == []
    assert report.frames == 1000
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
        (['[3,"1",{"status":"Perhaps"}]'], "not as the schema of Reset response"),
        (['[3,"1",{"status":"Accepted"}]', '[3,"2",{}]'], "an answer to no call"),
        (['[4,"1","Oops","",{}]'], "an error code that ocpp1.6 does not know"),
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


@pytest.mark.parametrize(
    ("frame", "answer", "verdict"),
    [
        ("[2", '[4,"-1","RpcFrameworkError","",{}]', None),
        ('[9,"1",{}]', '[4,"1","MessageTypeNotSupported","",{}]', None),
        ('[3,"1",{}]', '[4,"1","RpcFrameworkError","",{}]', "an answer to no call"),
        ('[2,"1","Reset",{"type":"OnIdle"}]', '[3,"1",{"status":"Scheduled"}]', None),
        (
            '[2,"1","GetVariables",{}]',
            '[4,"1","OccurenceConstraintViolation","",{}]',
            "an error code that ocpp2.0.1",
        ),
        ('[2,"1","GetLocalListVersion",{}]', '[3,"1",{"versionNumber":"1"}]', "not as the schema"),
        ('[2,"2","Reset",{"type":"OnIdle"}]', '[4,"-1","RpcFrameworkError","",{}]', "0 answers instead of 1"),
    ],
)
def test_the_judge_knows_2_0_1(frame: str, answer: str, verdict: str | None) -> None:
    judge = Judge(DIALECT_201)
    judge.owe(frame)
    judge.see(answer)
    judge.settle()
    assert [each.startswith(verdict or "-") for each in judge.verdicts[:1]] == [True] * bool(verdict)
