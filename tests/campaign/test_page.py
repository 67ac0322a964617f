"""The page over HTTP: who sees and does what, what is refused, and that answers are kept once."""

from __future__ import annotations

import csv
import json
import re
import stat

import pytest
from starlette.testclient import TestClient

from bayesrm.campaign.grades import scale
from bayesrm.campaign.page import app as app_module
from bayesrm.campaign.page.app import FILES, make_app
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.guard import HEADERS, LARGEST_BODY
from bayesrm.campaign.page.links import LINKS_FILE, Links
from bayesrm.campaign.page.serve import is_loopback, listen, own_names
from bayesrm.campaign.rankings import in_words
from bayesrm.campaign.status import status
from bayesrm.campaign.store import Store
from bayesrm.errors import InvalidInputError

BASE = "http://127.0.0.1:8765"


class Reader:
    """What the page's script does for one annotator."""

    def __init__(self, client: TestClient, secret: str) -> None:
        self.client, self.secret, self.number = client, secret, 0

    def post(self, name: str, body: object = None, **headers: str):
        sent = {"origin": BASE, "authorization": f"Bearer {self.secret}"} | headers
        sent = {name.replace("_", "-"): value for name, value in sent.items() if value}
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.client.post(
            f"/api/{name}", content=content, headers={"content-type": "application/json"} | sent
        )

    def next(self) -> dict:
        got = self.post("next")
        assert got.status_code == 200, got.text
        return got.json()

    def answer(self, question: str, side: str = "left", key: str | None = None, **more) -> dict:
        self.number += 1
        body = {
            "question": question,
            "side": side,
            "key": key or f"key number {self.number}",
            "seconds": 2.0,
        } | more
        got = self.post("answer", body)
        assert got.status_code == 200, got.text
        return got.json()


class Served:
    """A campaign behind its page."""

    def __init__(self, campaign, *people: str, **desk) -> None:
        self.campaign = campaign
        self.links = Links.of(campaign.directory, people)
        self.desk = Desk(campaign, **desk)
        self.client = TestClient(make_app(self.desk, self.links), base_url=BASE, raise_server_exceptions=True)

    def reader(self, name: str) -> Reader:
        return Reader(self.client, self.links.annotators[name])

    def owner(self) -> Reader:
        return Reader(self.client, self.links.owner)


@pytest.fixture
def served(asked):
    made = []

    def serve(*people: str, size: int = 12, texts=None, desk=None, **request) -> Served:
        made.append(Served(asked(size, texts, **request), *(people or ("ana",)), **(desk or {})))
        return made[-1]

    yield serve
    for each in made:
        each.campaign.store.close()


# --- who may ------------------------------------------------------------------------------------------------


def test_without_the_secret_of_a_link_nothing_is_seen_and_nothing_is_done(served):
    page = served("ana")
    question = page.reader("ana").next()["question"]
    body = {"question": question["id"], "side": "left", "key": "k" * 20}
    for secret in ("", "wrong", page.links.annotators["ana"][:-1], page.links.owner):
        stranger = Reader(page.client, secret)
        for name in ("next", "answer", "undo", "pause", "text"):
            got = stranger.post(name, body)
            assert got.status_code == 403
            assert question["id"] not in got.text
    assert Reader(page.client, page.links.annotators["ana"]).post("overview").status_code == 403
    assert page.owner().post("overview").status_code == 200
    assert page.campaign.store.answers() == []
    for path in FILES:
        shell = page.client.get(path).text
        assert "Response" not in shell
        assert page.links.annotators["ana"] not in shell


def test_links_are_kept_for_their_user_alone_and_stay_until_they_are_renewed(asked):
    directory = asked(0).directory
    first = Links.of(directory, ["ana", "bo"])
    assert stat.S_IMODE((directory / LINKS_FILE).stat().st_mode) == 0o600
    again = Links.of(directory, ["bo", "cy"])
    assert (again.owner, again.annotators["bo"]) == (first.owner, first.annotators["bo"])
    assert again.annotator(first.annotators["ana"]) is None
    assert Links.of(directory, ["ana"]).annotators == {"ana": first.annotators["ana"]}
    renewed = Links.of(directory, ["ana"], renew=True)
    assert renewed.annotators["ana"] != first.annotators["ana"]
    assert renewed.owner != first.owner
    assert len({first.owner, *first.annotators.values(), again.annotators["cy"]}) == 4
    assert min(map(len, first.annotators.values())) >= 32
    with pytest.raises(InvalidInputError, match="annotator's name"):
        Links.of(directory, [" "])
    (directory / LINKS_FILE).write_text("{}")
    with pytest.raises(InvalidInputError, match="is damaged: remove it"):
        Links.of(directory, ["ana"])


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example:8765", "origin": "http://evil.example:8765"}, 421),
        ({"host": "10.0.0.7:8765", "origin": "http://10.0.0.7:8765"}, 421),
        ({"host": "[", "origin": "http://["}, 421),
    ],
)
def test_another_site_cannot_answer_even_with_the_secret(served, headers, refusal):
    page = served("ana")
    reader = page.reader("ana")
    question = reader.next()["question"]["id"]
    got = reader.post("answer", {"question": question, "side": "left", "key": "k" * 20}, **headers)
    assert got.status_code == refusal
    assert page.campaign.store.answers() == []


def test_names_of_this_machine_are_served_and_a_link_to_the_page_may_stand_anywhere(served):
    page = served("ana")
    for host in ("localhost:8765", "127.0.0.1:1", "[::1]:8765"):
        assert page.reader("ana").post("next", host=host, origin=f"http://{host}").status_code == 200
    assert page.client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200
    assert page.client.get("/", headers={"host": "evil.example"}).status_code == 421
    exposed = TestClient(make_app(page.desk, page.links, own_names("0.0.0.0"), any_address=True), base_url=BASE)
    assert exposed.get("/", headers={"host": "192.168.1.5:8765"}).status_code == 200
    assert exposed.get("/", headers={"host": "evil.example:8765"}).status_code == 421


def test_every_response_says_what_the_page_may_load(served):
    page = served("ana")
    responses = [page.client.get(path) for path in (*FILES, "/nowhere")]
    responses += [page.reader("ana").post("next"), page.client.get("/", headers={"host": "evil.example"})]
    for response in responses:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("page.html", "owner.html"):
        shell = page.client.get("/" if name == "page.html" else "/owner").text
        assert re.search(r"\son\w+=|<style|style=|<script(?![^>]*src=\"/static/)|https?://", shell) is None


def test_what_is_no_answer_is_refused_and_kept_nowhere(served):
    page = served("ana", "bo")
    reader = page.reader("ana")
    good = {"question": reader.next()["question"]["id"], "side": "left", "key": "k" * 20}
    for bad in (
        b"no json",
        b"[]",
        {},
        good | {"side": "both"},
        good | {"question": "q-of-nobody"},
        good | {"key": "short"},
        good | {"key": 12345678},
        good | {"seconds": "long"},
    ):
        assert reader.post("answer", bad).status_code == 400
    assert reader.post("undo", {"answer": "x"}).status_code == 400
    assert reader.post("text", {"question": good["question"], "part": "secret"}).status_code == 400
    assert page.reader("bo").post("text", {"question": good["question"], "part": "left"}).status_code == 400
    assert reader.post("answer", good | {"key": "k" * LARGEST_BODY}).status_code == 413
    assert reader.client.get("/api/next").status_code == 405
    assert page.campaign.store.answers() == []


def test_a_store_that_cannot_be_written_is_no_refusal_of_the_answer(served, monkeypatch):
    page = served("ana")
    reader = page.reader("ana")
    question = reader.next()["question"]["id"]
    body = {"question": question, "side": "left", "key": "k" * 20}
    with monkeypatch.context() as patch:
        page.campaign.store._kept.execute("PRAGMA query_only = ON")
        assert reader.post("answer", body).status_code == 503
        patch.undo()
    page.campaign.store._kept.execute("PRAGMA query_only = OFF")
    assert reader.post("answer", body).json()["became"] == "kept"
    assert len(page.campaign.store.answers()) == 1


# --- what is answered ---------------------------------------------------------------------------------------


def test_an_answer_is_of_the_side_that_the_page_showed_and_is_on_disk_before_the_page_says_so(served):
    page = served("ana", size=12)
    reader = page.reader("ana")
    questions = {question.id: question for question in page.campaign.store.questions()}
    texts = page.campaign.pool.texts
    sides = ["left", "right", "tie", "skip"] * 3
    state = reader.next()
    for number, side in enumerate(sides):
        shown = state["question"]
        question = questions[shown["id"]]
        for part, at in (("left", question.left), ("right", question.right)):
            assert texts[at].replace("*", "") in re.sub("<[^>]+>", "", shown[part]["html"])
        state = reader.answer(shown["id"], side)
        rows = Store(page.campaign.directory).answers()
        assert len(rows) == number + 1
        assert (rows[-1].question, rows[-1].annotator, rows[-1].seconds) == (shown["id"], "ana", 2.0)
        preferred = {"left": question.left, "right": question.right}.get(side)
        assert rows[-1].verdict == {question.first: "first", question.second: "second"}.get(preferred, side)
    assert state["question"] is None
    assert (state["answered"], state["left"], state["elsewhere"]) == (12, 0, 0)
    assert len(page.campaign.preferences()) == 9
    assert status(page.campaign).people == {"ana": 12}
    assert status(page.campaign).files == 0


def test_an_answer_that_is_sent_again_is_there_once(served):
    page = served("ana", "bo")
    reader = page.reader("ana")
    question = reader.next()["question"]["id"]
    assert reader.answer(question, "left", "the very same")["became"] == "kept"
    for side in ("left", "right"):
        assert reader.answer(question, side, "the very same")["became"] == "already"
    # A second tab of the same annotator.
    assert reader.answer(question, "right", "another key")["became"] == "already"
    (row,) = page.campaign.store.answers()
    # Keys of one annotator are not those of another.
    other = page.reader("bo")
    assert other.answer(other.next()["question"]["id"], "tie", "the very same")["became"] == "kept"
    assert [answer.annotator for answer in page.campaign.store.answers()] == ["ana", "bo"]
    assert page.campaign.store.answers()[0] == row


def test_undo_takes_back_the_last_answer_of_that_annotator_and_shows_the_question_again(served):
    page = served("ana", "bo")
    ana, bo = page.reader("ana"), page.reader("bo")
    first = ana.next()["question"]["id"]
    second = ana.answer(first)["question"]["id"]
    state = ana.answer(second)
    bo.answer(bo.next()["question"]["id"])
    back = ana.post("undo", {"answer": state["last"]}).json()
    assert (back["undone"], back["question"]["id"], back["answered"]) == (True, second, 1)
    again = ana.post("undo", {"answer": state["last"]}).json()
    assert (again["undone"], again["question"]["id"]) == (False, second), "sent twice, taken back once"
    further = ana.post("undo", {"answer": back["last"]}).json()
    assert (further["question"]["id"], further["last"]) == (first, None)
    theirs = page.campaign.store.answers()
    assert [answer.annotator for answer in theirs] == ["bo"]
    assert not ana.post("undo", {"answer": theirs[0].id}).json()["undone"], "nobody takes back what others said"
    assert len(page.campaign.store.answers()) == 1
    assert [why.by for _, why in page.campaign.store.retracted()] == ["ana", "ana"]
    assert ana.answer(second, key="key number 2")["became"] == "already", (
        "what was taken back does not come back by itself"
    )
    assert ana.answer(first, "right")["became"] == "kept"


# --- several at once ----------------------------------------------------------------------------------------


def test_no_two_annotators_get_the_same_pair_unless_an_overlap_asks_for_it(served):
    page = served("ana", "bo", "cy", size=12)
    readers = [page.reader(name) for name in ("ana", "bo", "cy")]
    states = [reader.next() for reader in readers]
    seen: list[str] = []
    while any(state["question"] for state in states):
        for at, reader in enumerate(readers):
            if states[at]["question"]:
                on_screens = [state["question"]["id"] for state in states if state["question"]]
                assert len(set(on_screens)) == len(on_screens)
                seen.append(states[at]["question"]["id"])
                states[at] = reader.answer(seen[-1])
    assert len(seen) == len(set(seen)) == 12


def test_an_overlap_of_two_is_answered_by_two_different_people(served):
    page = served("ana", "bo", "cy", size=6, overlap=2, annotators={"ana": None, "bo": None, "cy": None})
    for name in ("ana", "bo", "cy"):
        reader = page.reader(name)
        state = reader.next()
        while state["question"]:
            state = reader.answer(state["question"]["id"])
    answers = page.campaign.store.answers()
    assert len(answers) == len({(answer.question, answer.annotator) for answer in answers}) == 12
    by_question = {q.id: set(q.annotators) for q in page.campaign.store.questions()}
    assert all(answer.annotator in by_question[answer.question] for answer in answers)


def test_an_overlap_that_names_nobody_goes_to_whoever_comes(asked):
    campaign = asked(0)
    questions = asked(3, name="other").store.questions()
    campaign.store.add_batch(
        1, "random", {"scope": "within-prompt"}, [q.__class__(**{**vars(q), "wanted": 2}) for q in questions]
    )
    page = Served(campaign, "ana", "bo", "cy")
    got = [page.reader(name).next()["question"]["id"] for name in ("ana", "bo", "cy")]
    assert got[0] == got[1] != got[2]
    campaign.store.close()


def test_what_is_on_a_screen_is_kept_for_some_minutes_and_survives_a_restart(served, asked, monkeypatch):
    page = served("ana", "bo", size=1)
    ana, bo = page.reader("ana"), page.reader("bo")
    question = ana.next()["question"]["id"]
    waiting = bo.next()
    assert (waiting["question"], waiting["left"], waiting["elsewhere"]) == (None, 0, 1)
    assert ana.next()["question"]["id"] == question
    again = Desk(page.campaign)  # as after a kill
    assert again.next("bo") is None
    assert again.next("ana").id == question

    from datetime import UTC, datetime, timedelta

    from bayesrm.campaign.records import as_text

    for module in ("bayesrm.campaign.page.desk.now", "bayesrm.campaign.store.now"):
        monkeypatch.setattr(module, lambda: as_text(datetime.now(UTC) + timedelta(minutes=11)))
    assert bo.next()["question"]["id"] == question
    assert ana.answer(question)["became"] == "kept", "late, and still an answer"


def test_a_pause_lets_go_what_is_on_the_screen(served):
    page = served("ana", "bo", size=1)
    question = page.reader("ana").next()["question"]["id"]
    assert page.reader("bo").next()["question"] is None
    assert page.reader("ana").post("pause").status_code == 200
    assert page.reader("bo").next()["question"]["id"] == question
    assert page.reader("ana").next()["question"] is None


def test_what_other_commands_do_meanwhile_is_followed(served):
    page = served("ana", size=4)
    reader = page.reader("ana")
    state = reader.next()
    other = Store(page.campaign.directory)
    questions = other.questions()
    others = [question for question in questions if question.id != state["question"]["id"]]
    path = page.campaign.directory / "sheet.csv"
    path.write_text("question,answer,annotator\n" + "".join(f"{q.id},left,bo\n" for q in others[:2]))
    page.campaign.__class__.open(page.campaign.directory).tell(path)
    state = reader.answer(state["question"]["id"])
    assert state["question"]["id"] == others[2].id
    with other.telling() as telling:
        telling.retract([other.answers()[0].id], "owner", "a mistake")
    state = reader.answer(others[2].id)
    assert state["question"]["id"] == others[0].id


def test_released_pairs_and_closed_batches_are_not_asked_and_renamed_people_go_on(served):
    page = served("ann", "bo", size=4)
    reader = page.reader("ann")
    state = reader.answer(reader.next()["question"]["id"])
    on_screen = state["question"]["id"]
    free = [q.id for q in page.campaign.store.questions()][2:]
    other = Store(page.campaign.directory)
    with other.telling() as telling:
        telling.release([free[0]], "owner", "no longer wanted")
        telling.rename("ann", "anna", None, "owner", "her name")
    assert page.reader("bo").next()["question"]["id"] == free[1]
    state = reader.next()
    assert (state["question"]["id"], state["answered"]) == (on_screen, 1)
    assert reader.answer(on_screen)["became"] == "kept"
    assert {answer.annotator for answer in other.answers()} == {"anna"}
    assert reader.answer(on_screen)["became"] == "already"
    with other.telling() as telling:
        telling.close(1, True, "owner", "enough")
    assert page.reader("bo").answer(free[1])["became"] == "closed"
    assert reader.next()["question"] is None
    assert len(other.answers()) == 2


def test_time_left_follows_the_pace_of_those_who_are_at_it(served):
    page = served("ana", "bo", size=12)
    ana = page.reader("ana")
    state = ana.next()
    assert state["seconds"] is None
    for _ in range(2):
        state = ana.answer(state["question"]["id"], seconds=10)
    assert (state["left"], state["seconds"]) == (10, 100)
    page.reader("bo").next()
    state = ana.next()
    assert (state["left"], state["elsewhere"], state["seconds"]) == (9, 1, 45)


# --- lists --------------------------------------------------------------------------------------------------


def test_a_list_is_shown_under_letters_and_ranked_in_whole_or_in_part(served):
    page = served("ana", size=4, list_size=4)
    ana = page.reader("ana")
    state = ana.next()
    question = state["question"]
    assert question["list"] == ["a", "b", "c", "d"]
    asked = page.campaign.store.questions()[0]
    texts = page.campaign.pool.texts
    for name, member in zip("abcd", asked.members, strict=True):
        assert texts[member].replace("**", "") in re.sub(r"<[^>]+>", "", question[name]["html"])
        assert ana.post("text", {"question": asked.id, "part": name}).json() == {"text": texts[member]}
    state = ana.answer(question["id"], "ranked", order="B > A = D > C")
    state = ana.answer(state["question"]["id"], "ranked", order="C")
    state = ana.answer(state["question"]["id"], "tie")
    rows = page.campaign.store.answers()
    questions = {one.id: one for one in page.campaign.store.questions()}
    said = [in_words(row.ranked(questions[row.question]), questions[row.question].members) for row in rows]
    assert said == ["B > A = D > C", "C", "A = B = C = D"]
    state = ana.post("undo", {"answer": state["last"]}).json()
    assert state["question"]["id"] == rows[2].question
    assert len(page.campaign.preferences()) > 0
    status(page.campaign)


@pytest.mark.parametrize(
    ("side", "order", "complaint"),
    [
        ("left", None, "expected ranked, tie or skip, got 'left'"),
        ("ranked", None, "expected an order such as B &gt; A = D"),
        ("ranked", "A > E", "expected A to D"),
        ("ranked", "A > A", "each response once"),
        ("ranked", 7, "expected another order"),
    ],
)
def test_what_is_no_answer_to_a_list_is_refused(served, side, order, complaint):
    page = served("ana", size=1, list_size=4)
    ana = page.reader("ana")
    question = ana.next()["question"]["id"]
    body = {"question": question, "side": side, "order": order, "key": "k" * 9, "seconds": 1.0}
    got = ana.post("answer", body)
    assert got.status_code == 400
    assert complaint.replace("&gt;", ">") in got.text
    assert page.campaign.store.answers() == []


def test_a_pair_is_not_ranked(served):
    page = served("ana", size=1)
    ana = page.reader("ana")
    body = {
        "question": ana.next()["question"]["id"],
        "side": "ranked",
        "order": "A",
        "key": "k" * 9,
        "seconds": 1.0,
    }
    assert ana.post("answer", body).status_code == 400


# --- grades -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grades", [5, 7])
def test_a_scale_is_offered_and_grades_are_kept_as_files_bring_them(served, tmp_path, grades):
    page = served("ana", size=grades, grades=grades)
    ana = page.reader("ana")
    state = ana.next()
    offered = state["question"]["grades"]
    assert len(offered) == grades
    assert offered[0]["words"] == "A much better"
    assert offered[grades // 2] == {"words": "about equal", "side": "tie", "points": 0}
    for choice in offered:
        state = ana.answer(state["question"]["id"], choice["side"], points=choice["points"])
    # Somebody else says the same in the words of a sheet.
    (sheet,) = page.campaign.hand_out("csv")
    own = page.campaign.store.answers()
    words = {answer.question: scale(grades)[at][0] for at, answer in enumerate(own)}
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(tmp_path / "filled.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"answer": words[row["question"]]} for row in rows)
    told = page.campaign.tell(tmp_path / "filled.csv", annotator="bo", again=True)
    assert told.new == grades
    brought = {answer.question: answer for answer in page.campaign.store.answers() if answer.annotator == "bo"}
    for answer in own:
        same = brought[answer.question]
        assert (answer.verdict, answer.grade, answer.margin) == (same.verdict, same.grade, same.margin)


def test_points_beyond_the_scale_are_refused(served):
    page = served("ana", size=1, grades=5)
    ana = page.reader("ana")
    question = ana.next()["question"]["id"]
    for side, points in (("left", 3), ("left", 0), ("tie", 1), ("right", -1)):
        body = {"question": question, "side": side, "points": points, "key": "k" * 9, "seconds": 1.0}
        got = ana.post("answer", body)
        assert got.status_code == 400
        assert f"points for {side}, got {points}" in got.text
    assert page.campaign.store.answers() == []


# --- the owner ----------------------------------------------------------------------------------------------


def test_the_owner_sees_how_far_it_is_and_who_is_slow_and_changes_nothing(served):
    page = served("ana", "bo", size=24, overlap=2, annotators={"ana": None, "bo": None})
    for name, seconds in (("ana", 4), ("bo", 40)):
        reader = page.reader(name)
        state = reader.next()
        for number in range(12):
            state = reader.answer(state["question"]["id"], "left" if number % 3 else "tie", seconds=seconds)
    before = page.campaign.store.version()
    view = page.owner().post("overview").json()
    assert (view["given"], view["wanted"], view["pairs"]) == (24, 48, 24)
    people = {person["name"]: person for person in view["people"]}
    assert (people["ana"]["answers"], people["ana"]["ties"], people["ana"]["same"]) == (12, 4, 1.0)
    assert people["ana"]["remarks"] == []
    assert people["bo"]["remarks"] == ["bo is slow: 40 s an answer, where others take 4 s."]
    assert "12 questions have several answers" in view["agreement"]
    assert view["forecast"] is None
    assert page.campaign.store.version() == before
    for name in ("next", "answer", "undo", "pause", "text"):
        assert page.owner().post(name, {"question": "q", "side": "left", "key": "k" * 9}).status_code == 403


# --- where it is served -------------------------------------------------------------------------------------


def test_the_page_listens_where_it_is_told_and_goes_back_to_its_port():
    first = listen("127.0.0.1", 0)
    address, port = first.getsockname()
    assert address == "127.0.0.1"
    with pytest.raises(InvalidInputError, match=f"cannot be served on 127.0.0.1, port {port}"):
        listen("127.0.0.1", port)
    second = listen("127.0.0.1", 0, preferred=port)
    assert second.getsockname()[1] != port
    for each in (first, second):
        each.close()
    third = listen("127.0.0.1", 0, preferred=port)
    assert third.getsockname()[1] == port
    third.close()
    with pytest.raises(InvalidInputError, match="cannot be served on no such host"):
        listen("no such host", 0)


def test_only_this_machine_reaches_a_loopback_address():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "example.org")))


def test_html_is_kept_for_the_questions_on_screens_only(served):
    page = served("ana", size=12)
    assert app_module.KEPT_RENDERED >= 12
    state = page.reader("ana").next()
    assert page.reader("ana").next()["question"] == state["question"]
