"""Data sets as they are published: a few rows with the columns of each card, in every file that people make of them."""

from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_cards import CARDS, say

from bayesrm.data.conversation import Turn, as_text
from bayesrm.data.formats import FORMATS
from bayesrm.data.reading import open_reader
from bayesrm.data.texts import read_texts

EXPECTED = {
    "arena-conversations": ("Do cats swim?", [("Some do.", "Never.", y) for y in (1, 0, 0.5, 0.5)]),
    "arena-conversations, 140k": ("Do cats swim?", [("Some do.", "Never.", y) for y in (0, 0.5)]),
    "pku-saferlhf": ("How do I open a lock?", [("With a key.", "With a hammer.", y) for y in (0, 1)]),
    "helpsteer2-preference": ("Name a bird.", [("Owl.", "Trout.", y) for y in (1, 0, 0.5)]),
    "shp": ("How long do eggs keep?", [("A week.", "A month, cold.", y) for y in (0, 1)]),
    "webgpt": ("Why is snow white?", [("It scatters light [1].", "It is cold [1].", y) for y in (1, 0, 0.5)]),
    "nectar": ("Name a tree.", [("Oak.", "Grass.", 1), ("Oak.", "A tree.", 1), ("Grass.", "A tree.", 0)]),
    "summarize-from-feedback": (
        "SUBREDDIT: r/pets\n\nTITLE: Cat\n\nPOST: My cat ate my tie.\n\nTL;DR:",
        [("A cat ate a tie.", "Cats eat.", y) for y in (1, 0)],
    ),
    "alpaca-eval": ("Name a metal.", [("Iron.", "Wood.", y) for y in (1, 0, 0.5, 0.5, 0.75)]),
    "distilabel": (
        "System: Be brief.\n\nHuman: Name a fruit.",
        [("Pear.", "Stone.", y) for y in (1, 0.5, 1)],
    ),
    "oasst": ("Name a lake.", [("Como.", "Garda.", 0)]),
    "oasst-trees": ("Name a lake.", [("Como.", "Garda.", 0)]),
    "winner": ("Name a sea.", [("Baltic.", "Sahara.", y) for y in (1, 0, 0.5)]),
}
FRUIT = ("Name a fruit.", [("Pear.", "Stone.", 1)])


@pytest.fixture
def write(tmp_path):
    """Write rows to a file of a kind; the path."""

    def make(rows, kind, text=json.dumps):
        path = tmp_path / f"rows.{kind}"
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif kind == "csv":
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                for row in rows:
                    writer.writerow({k: text(v) if isinstance(v, (list, dict)) else v for k, v in row.items()})
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return make


def _labels(texts):
    p = texts.preferences
    return [
        (texts.responses[i], texts.responses[j], float(y))
        for i, j, y in zip(p.first, p.second, p.outcome, strict=True)
    ]


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    ("kind", "text"), [("jsonl", None), ("parquet", None), ("csv", json.dumps), ("csv", repr)]
)
def test_a_data_set_reads_as_its_card_shows_it(write, card, kind, text):
    name = card.split(",")[0]
    assert open_reader(CARDS[card], "rows").form.name == name
    texts = read_texts(write(CARDS[card], kind, text or json.dumps))
    prompt, labels = EXPECTED.get(card, FRUIT)
    assert texts.format == name
    assert as_text(texts.prompts[0]) == prompt
    assert _labels(texts) == labels
    assert not texts.broken


def test_every_form_is_tried_by_a_test():
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert not [name for name in FORMATS if f'"{name}"' not in tests and f'"{name},' not in tests]


def test_one_form_is_never_taken_for_another():
    for one, other in combinations(CARDS, 2):
        names = {card.split(",")[0] for card in (one, other)}
        forms = {open_reader(CARDS[card], "rows").form.name for card in (one, other)}
        assert forms == names


# --- what the forms say beside labels -----------------------------------------------------------------------------


def test_margins_are_in_the_units_of_the_data_set(write):
    expected = {
        "helpsteer2-preference": [2, 3, 0], "shp": [4, 4], "webgpt": [1.5, 1, 0], "nectar": [2, 1, 1],
        "ultrafeedback-binarized": [2.5], "ultrafeedback-preferences": [2.5], "distilabel": [5, 0, 6],
        "trl, chosen_rating": [2], "oasst": [1],
    }  # fmt: skip
    for card, margins in expected.items():
        assert read_texts(write(CARDS[card], "jsonl")).margins.tolist() == margins, card


def test_who_wrote_an_answer_is_kept(write):
    expected = {
        "arena-conversations": ["koala", "vicuna"], "pku-saferlhf": ["Alpaca-7B", "Alpaca2-7B"],
        "nectar": ["gpt-4", "llama-2-7b", "mistral"], "summarize-from-feedback": ["sup2", "ref"],
        "alpaca-eval": ["text_davinci_003", "alpaca-7b"], "ultrafeedback-preferences": ["gpt-4", None],
    }  # fmt: skip
    for card, generators in expected.items():
        assert read_texts(write(CARDS[card], "jsonl")).generators == generators, card


def test_replies_know_their_rows_and_all_that_was_said_before(write):
    texts = read_texts(write(CARDS["oasst"], "jsonl"))
    assert texts.row.tolist() == [2, 3, 5]
    assert list(texts.responses) == ["Como.", "Garda.", "Iseo."]
    assert texts.prompts[2] == (
        Turn("user", "Name a lake."),
        Turn("assistant", "Garda."),
        Turn("user", "Another?"),
    )


def test_a_reply_to_a_message_that_is_not_there_is_listed(write):
    rows = [*CARDS["oasst"], {**CARDS["oasst"][1], "message_id": "x", "parent_id": "gone"}, CARDS["oasst"][1]]
    texts = read_texts(write(rows, "jsonl"))
    assert [broken.row for broken in texts.broken] == [6, 7]
    assert "'gone'" in texts.broken[0].reason
    assert "a message_id of its own" in texts.broken[1].reason
    assert len(texts.preferences) == 1


def test_messages_that_reply_to_each_other_are_refused(write):
    rows = [{**row, "parent_id": {"r": "b"}.get(row["message_id"], row["parent_id"])} for row in CARDS["oasst"]]
    with pytest.raises(Exception, match="not one of the 5 rows"):
        read_texts(write(rows, "jsonl"))


def test_deleted_and_empty_replies_cost_only_themselves(write):
    rows = [*CARDS["oasst"], {**CARDS["oasst"][1], "message_id": "e", "deleted": True, "rank": 2.0}]
    texts = read_texts(write([*rows, {**rows[1], "message_id": "f", "text": "", "rank": 3.0}], "jsonl"))
    assert list(texts.responses) == ["Como.", "Garda.", "Iseo."]
    assert len(texts.preferences) == 1


def test_turns_that_both_conversations_of_the_arena_share_are_the_prompt(write):
    row = CARDS["arena-conversations"][0]
    more = say(("user", "Sure?"), ("assistant", "Yes."))
    rows = [
        {**row, "conversation_a": row["conversation_a"] + more, "conversation_b": row["conversation_b"] + more}
    ]
    texts = read_texts(write(rows, "jsonl"))
    assert as_text(texts.prompts[0]) == "Do cats swim?"
    assert texts.responses[0] == "Assistant: Some do.\n\nHuman: Sure?\n\nAssistant: Yes."


def test_articles_are_summarised_too(write):
    info = {"id": "c", "post": None, "title": None, "subreddit": None, "site": "cnndm", "article": "It rained."}
    texts = read_texts(write([{**CARDS["summarize-from-feedback"][0], "info": info}], "jsonl"))
    assert as_text(texts.prompts[0]) == "ARTICLE: It rained.\n\nTL;DR:"
    assert texts.sources == ["cnndm"] * 2


@pytest.mark.parametrize(
    ("card", "change", "reason"),
    [
        ("arena-conversations", {"winner": None}, "expected model_a, model_b, tie"),
        ("arena-conversations", {"conversation_b": say(("user", "Dogs?"), ("assistant", "Yes."))}, "same messages"),
        ("pku-saferlhf", {"better_response_id": -1}, "expected 0 or 1 in better_response_id, got -1"),
        ("pku-saferlhf", {"response_1": ""}, "expected a text in response_1"),
        ("helpsteer2-preference", {"preference_strength": float("nan")}, "expected a number in preference_strength"),
        ("helpsteer2-preference", {"preference_strength": -100}, "from -3 to 3"),
        ("shp", {"labels": "N/A"}, "expected 0 or 1 in labels"),
        ("webgpt", {"score_0": "nan"}, "expected a number in score_0"),
        ("webgpt", {"question": {"id": "x"}}, "expected question to be a text"),
        ("nectar", {"answers": []}, "expected a list of answers"),
        ("summarize-from-feedback", {"choice": None}, "expected 0 or 1 in choice"),
        ("summarize-from-feedback", {"summaries": []}, "expected two summaries"),
        ("summarize-from-feedback", {"info": {"post": ""}}, "expected article to be a text"),
        ("alpaca-eval", {"preference": 3}, "from 1 to 2"),
        ("alpaca-eval", {"preference": float("nan")}, "expected a number in preference"),
        ("ultrafeedback-preferences", {"rejected_response": None}, "rejected_response to be a text"),
        ("winner", {"winner": "response_c"}, "what the winner 'response_c' means is not known"),
        ("oasst-trees", {"prompt": "text"}, "expected a message with replies"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_says_why(write, card, change, reason):
    texts = read_texts(write([CARDS[card][0], {**CARDS[card][0], **change}], "jsonl"))
    (broken,) = texts.broken
    assert broken.row == 2
    assert reason in broken.reason


def test_a_rank_that_is_missing_costs_no_answer_and_wins_nothing(write):
    answers = [
        {**one, "rank": rank} for one, rank in zip(CARDS["nectar"][0]["answers"], (1.0, "nan", 2), strict=True)
    ]
    texts = read_texts(write([{**CARDS["nectar"][0], "answers": answers}], "jsonl"))
    assert len(texts) == 3
    assert _labels(texts) == [("Oak.", "A tree.", 1.0)]


# --- a winner mapped by hand ----------------------------------------------------------------------------------------


SAFER = {"winner": "safer_response_id"}


def test_another_label_of_a_published_data_set_is_mapped_by_hand(write):
    texts = read_texts(write(CARDS["pku-saferlhf"], "csv"), SAFER, winner_values={"0": "first", "1": "second"})
    assert _labels(texts) == [("With a key.", "With a hammer.", 1.0)] * 2
    assert any("better_response_id" in note and "not used" in note for note in texts.notes)
    hint = read_texts(write(CARDS["pku-saferlhf"], "csv")).notes
    assert any("--winner-column safer_response_id" in note for note in hint)


def test_numbers_are_no_winners_until_somebody_says_what_they_mean(write):
    with pytest.raises(Exception, match=r"the winners are 0: say .* --winner-values 0=first"):
        read_texts(write(CARDS["pku-saferlhf"], "jsonl"), SAFER)


def test_columns_and_winners_of_ones_own_names(write):
    rows = [
        {"ask": "Name a sea.", "text 1": "Baltic.", "text 2": "Sahara.", "better": value, "winner": "x"}
        for value in (1.0, "2", "0", True, "?")
    ]
    mapping = {"prompt": "ask", "chosen": "text 1", "rejected": "text 2", "winner": "better"}
    meanings = {"1": "first", "2.0": "second", "0": "tie", "TRUE": "skip"}
    texts = read_texts(write(rows, "jsonl"), mapping, winner_values=meanings)
    assert _labels(texts) == [("Baltic.", "Sahara.", y) for y in (1, 0, 0.5)]
    assert [broken.row for broken in texts.broken] == [5]
    assert any("winner" in note and "not used" in note for note in texts.notes)


@pytest.mark.parametrize(
    ("mapping", "values", "reason"),
    [
        ({"winner": "winner"}, {"model_a": "left"}, "expected winners to mean first, second, tie, skip, got left"),
        ({"winner": "nothing"}, None, "expected a column nothing for winner"),
        ({"winner": "winner", "response": "response_a"}, None, "a response stands alone"),
        ({"chosen": "response_a"}, None, "expected also a column for rejected"),
    ],
)
def test_a_mapping_that_cannot_be(write, mapping, values, reason):
    with pytest.raises(Exception, match=reason):
        read_texts(write(CARDS["winner"], "jsonl"), mapping, winner_values=values)


def test_a_winner_without_answers_asks_for_their_columns(write):
    rows = [{"prompt": "Name a sea.", "one": "Baltic.", "two": "Sahara.", "best": "one"}]
    with pytest.raises(Exception, match=r"--chosen-column \(the first\) and --rejected-column"):
        read_texts(write(rows, "jsonl"), {"winner": "best"})
