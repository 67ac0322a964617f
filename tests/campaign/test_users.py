"""Tools call who answered by numbers: the user says who they are, is told which there are, and nobody counts twice."""

from __future__ import annotations

import json

import pytest

from bayesrm.campaign.users import parse_users
from bayesrm.errors import InvalidInputError


@pytest.fixture
def exported(asked, tmp_path):
    """``exported(name, users, **request)``: a campaign, and Label Studio's export in which these users answered."""

    def make(name: str, users: tuple[int, ...] = (10, 11), **request):
        campaign = asked(4, name=name, **request)
        tasks = json.loads(campaign.hand_out("label-studio")[0].read_text())
        for number, task in enumerate(tasks):
            result = {"from_name": "preference", "type": "choices", "value": {"choices": ["left"]}}
            task["annotations"] = [{"completed_by": users[number % len(users)], "result": [result]}]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(tasks))
        return campaign, path

    return make


def people(campaign) -> list[str]:
    return [answer.annotator for answer in campaign.store.answers()]


def test_users_get_their_names(exported):
    campaign, path = exported("named")
    told = campaign.tell(path, users={"10": "ana", "11": "bo"})
    assert (told.new, told.notes) == (4, ())
    assert people(campaign) == ["ana", "bo", "ana", "bo"]
    assert campaign.tell(path, users={"10": "ana", "11": "bo"}).already is not None


def test_users_without_a_name_are_said_with_what_to_do(exported):
    campaign, path = exported("numbers")
    (note,) = campaign.tell(path, dry_run=True).notes
    assert note.startswith("It calls who answered 10 and 11: --users 10=ana,11=bo says who is who")
    assert campaign.store.answers() == []
    (unnamed, missing) = campaign.tell(path, users={"10": "ana", "12": "cy"}).notes
    assert unnamed.startswith("It calls who answered 11: --users 11=ana says")
    assert missing == "It has no answer of 12; there are answers of 10 and 11."


def test_users_who_are_called_otherwise_than_those_who_were_asked_are_said(exported):
    campaign, path = exported("asked by name", (10,), annotators={"ann": None})
    (note,) = campaign.tell(path, dry_run=True).notes
    assert "who answered 10, and those who were asked are called ann: --users 10=ann says" in note
    campaign.tell(path, users={"10": "ann"})
    assert set(people(campaign)) == {"ann"}


def test_nobody_counts_twice_under_two_names(exported):
    campaign, path = exported("twice")
    campaign.tell(path)
    with pytest.raises(InvalidInputError, match="rename DIR 10 ana"):
        campaign.tell(path, users={"10": "ana"})
    campaign.rename("10", "ana")
    assert campaign.tell(path).already is not None
    assert people(campaign) == ["ana", "11", "ana", "11"]


def test_words_for_users():
    assert parse_users("10=ana, a=b@x.org=Bo C") == {"10": "ana", "a=b@x.org": "Bo C"}
    for wrong in ("10", "10=", "=ana", "10=ana,10=bo", ""):
        with pytest.raises(InvalidInputError, match="such as 10=ana,11=bo"):
            parse_users(wrong)
