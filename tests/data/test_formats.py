"""Every form of data set that people hold, read from a small file written as its documentation shows."""

from __future__ import annotations

import csv
import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bayesrm as brm
from bayesrm.data.conversation import Turn, as_text
from bayesrm.data.formats import FORMATS
from bayesrm.data.preferences import load_preferences, save_preferences
from bayesrm.data.reading import open_reader
from bayesrm.data.texts import read_texts, write_texts
from bayesrm.errors import InvalidInputError


def _say(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


SKY = "What color is the sky?"
ROWS = {
    "responses": [
        {"prompt_id": 7, "prompt": SKY, "response": "Blue.", "generator": "a", "source": "made"},
        {"prompt_id": 7, "prompt": SKY, "response": "Blue.", "generator": "b", "source": "made"},
    ],
    "responses, lists": [{"prompt": SKY, "responses": ["Blue.", "Green."]}],
    "trl, explicit prompt": [{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}],
    "trl, implicit prompt": [{"chosen": "The sky is blue.", "rejected": "The sky is green."}],
    "trl, messages": [
        {
            "prompt": _say(("user", SKY)),
            "chosen": _say(("assistant", "It is blue.")),
            "rejected": _say(("assistant", "It is green.")),
            "margin": 2.5,
        }
    ],
    "trl, messages with implicit prompt": [
        {
            "chosen": _say(("user", SKY), ("assistant", "It is blue.")),
            "rejected": _say(("user", SKY), ("assistant", "It is green.")),
        }
    ],
    "trl, prompt repeated in messages": [
        {
            "prompt": SKY,
            "chosen": _say(("user", SKY), ("assistant", "It is blue.")),
            "rejected": _say(("user", SKY), ("assistant", "It is green.")),
        }
    ],
    "hh-rlhf": [
        {
            "chosen": "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant: Blue.",
            "rejected": "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant: Green.",
        }
    ],
    "ultrafeedback": [
        {
            "source": "sharegpt",
            "instruction": SKY,
            "models": ["m1", "m2", "m3"],
            "completions": [
                {"model": "m1", "response": "Blue.", "annotations": {
                    "helpfulness": {"Rating": "5", "Rationale": "r"}, "honesty": {"Rating": "4"}}},
                {"model": "m2", "response": "Green.", "annotations": {
                    "helpfulness": {"Rating": "1"}, "honesty": {"Rating": "N/A"}}},
                {"model": "m3", "response": "Azure.", "annotations": {
                    "helpfulness": {"Rating": "4"}, "honesty": {"Rating": "5"}}},
            ],
            "correct_answers": ["None"],
        }
    ],
    "ultrafeedback-cleaned": [
        {
            "source": "evol_instruct", "prompt": SKY,
            "chosen": _say(("user", SKY), ("assistant", "Blue.")), "chosen-rating": 5.0, "chosen-model": "m1",
            "rejected": _say(("user", SKY), ("assistant", "Green.")), "rejected-rating": 3.5, "rejected-model": "m2",
        }
    ],
    "rewardbench2": [
        {
            "id": "1", "prompt": SKY, "chosen": ["Blue.", "It is blue."], "rejected": ["Green.", "Red.", "No."],
            "num_correct": 2, "num_incorrect": 3, "total_completions": 5, "models": ["m"] * 5, "subset": "Ties",
        }
    ],
    "arena": [
        {"id": 1, "model_a": "m1", "model_b": "m2", "prompt": '["Sky?"]', "response_a": '["Blue."]',
         "response_b": '["Green."]', "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0},
        {"id": 2, "model_a": "m1", "model_b": "m2", "prompt": '["Sky?", "Sure?"]',
         "response_a": '["Blue.", "Yes."]', "response_b": '["Blue.", "No."]',
         "winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1},
        {"id": 3, "model_a": "m1", "model_b": "m2", "prompt": "Sea?", "response_a": "Blue.",
         "response_b": "[Red]", "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0},
    ],
    "helpsteer3": [
        {
            "domain": "general", "language": "english", "context": _say(("user", "Hi"), ("assistant", "Hello"),
            ("user", SKY)), "response1": "Green.", "response2": "Blue.", "overall_preference": 2,
            "individual_preference": [{"score": 2, "reasoning": "r", "feedback1": "f", "feedback2": "g"}],
        },
        {"domain": "general", "language": "english", "context": _say(("user", SKY)), "response1": "Blue.",
         "response2": "It is blue.", "overall_preference": 0, "individual_preference": []},
    ],
}  # fmt: skip
"""By form, and the way in which a form is used after a comma."""


@pytest.fixture
def source(tmp_path):
    """Write rows as JSON Lines; the path."""

    def write(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


def _labels(texts):
    p = texts.preferences
    return [
        (texts.responses[i], texts.responses[j], y) for i, j, y in zip(p.first, p.second, p.outcome, strict=True)
    ]


@pytest.mark.parametrize("name", ROWS)
def test_one_form_recognises_each(name):
    assert open_reader(ROWS[name], "rows").form.name == name.split(",")[0]


def test_every_form_says_what_it_is_known_by():
    assert all(form.columns and FORMATS.lines()[name] for name, form in FORMATS.items())


def test_responses_stay_one_a_row(source):
    texts = read_texts(source(ROWS["responses"]))
    assert list(texts.responses) == ["Blue.", "Blue."], "two models may say the same"
    assert texts.prompt_id.tolist() == [7, 7]
    assert texts.generators == ["a", "b"]
    assert texts.sources == ["made", "made"]
    assert texts.preferences is None


def test_lists_of_responses_are_grouped_by_equal_prompts(source):
    rows = [*ROWS["responses, lists"], {"prompt": "Sea?", "responses": ["Wet."]}, *ROWS["responses, lists"]]
    texts = read_texts(source(rows))
    assert list(texts.responses) == ["Blue.", "Green.", "Wet.", "Blue.", "Green."]
    assert texts.prompt_id.tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "prompt", "answers"),
    [
        ("trl, explicit prompt", "The sky is", (" blue.", " green.")),
        ("trl, implicit prompt", "The sky is", (" blue.", " green.")),
        ("trl, messages", SKY, ("It is blue.", "It is green.")),
        ("trl, messages with implicit prompt", SKY, ("It is blue.", "It is green.")),
        ("trl, prompt repeated in messages", SKY, ("It is blue.", "It is green.")),
        ("ultrafeedback-cleaned", SKY, ("Blue.", "Green.")),
    ],
)
def test_chosen_is_preferred_to_rejected(source, name, prompt, answers):
    texts = read_texts(source(ROWS[name]))
    assert [as_text(one) for one in texts.prompts] == [prompt] * 2
    assert _labels(texts) == [(*answers, 1.0)]


def test_margins_are_kept(source):
    assert read_texts(source(ROWS["trl, messages"])).margins.tolist() == [2.5]
    cleaned = read_texts(source(ROWS["ultrafeedback-cleaned"]))
    assert cleaned.margins.tolist() == [1.5]
    assert cleaned.generators == ["m1", "m2"]
    assert cleaned.sources == ["evol_instruct"] * 2
    assert read_texts(source(ROWS["trl, explicit prompt"])).margins is None


def test_an_answer_that_is_in_two_pairs_is_one_response(source):
    pair = {"prompt": SKY, "chosen": "Blue.", "rejected": "Green."}
    texts = read_texts(
        source([pair, {**pair, "rejected": "Red."}, {**pair, "prompt": "Sea?"}, {**pair, "rejected": "Blue."}])
    )
    assert list(texts.responses) == ["Blue.", "Green.", "Red.", "Blue.", "Green."]
    assert texts.preferences.first.tolist() == [0, 0, 3]
    assert texts.preferences.second.tolist() == [1, 2, 4]
    assert texts.identical == 1, "the last compares a text with itself"


def test_dialogues_within_strings(source):
    texts = read_texts(source(ROWS["hh-rlhf"]))
    assert texts.prompts[0] == (Turn("user", "Hi."), Turn("assistant", "Hello."), Turn("user", "Sky?"))
    assert _labels(texts) == [("Blue.", "Green.", 1.0)]


def test_dialogues_that_part_early_keep_the_rest_as_the_answer(source):
    rows = [
        {
            "chosen": "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Sky?\n\nAssistant: Blue.",
            "rejected": "\n\nHuman: Hi.\n\nAssistant: Go away.",
        }
    ]
    texts = read_texts(source(rows))
    assert texts.prompts[0] == (Turn("user", "Hi."),)
    assert list(texts.responses) == [
        "Assistant: Hello.\n\nHuman: Sky?\n\nAssistant: Blue.",
        "Go away.",
    ]


def test_completions_are_compared_by_their_mean_rating(source):
    texts = read_texts(source(ROWS["ultrafeedback"]))
    assert texts.generators == ["m1", "m2", "m3"]
    assert _labels(texts) == [("Blue.", "Green.", 1.0), ("Blue.", "Azure.", 0.5), ("Green.", "Azure.", 0.0)]
    assert texts.margins.tolist() == [3.5, 0.0, 3.5]


def test_completions_without_ratings_stay_unlabelled(source):
    row = json.loads(json.dumps(ROWS["ultrafeedback"][0]))
    row["completions"][2]["annotations"] = {"helpfulness": {"Rating": "N/A"}}
    texts = read_texts(source([row]))
    assert _labels(texts) == [("Blue.", "Green.", 1.0)]
    assert len(texts) == 3


def test_every_correct_answer_is_preferred_to_every_incorrect_one(source):
    texts = read_texts(source(ROWS["rewardbench2"]))
    assert len(texts) == 5
    assert {(a, b) for a, b, y in _labels(texts) if y == 1} == {
        (a, b) for a in ("Blue.", "It is blue.") for b in ("Green.", "Red.", "No.")
    }
    assert texts.sources == ["Ties"] * 5


def test_arena_takes_winners_ties_and_turns(source):
    texts = read_texts(source(ROWS["arena"]))
    assert _labels(texts) == [
        ("Blue.", "Green.", 0.0),
        ("Assistant: Blue.\n\nHuman: Sure?\n\nAssistant: Yes.",
         "Assistant: Blue.\n\nHuman: Sure?\n\nAssistant: No.", 0.5),
        ("Blue.", "[Red]", 1.0),
    ]  # fmt: skip
    assert texts.generators == ["m1", "m2"] * 3


def test_helpsteer3_prefers_by_sign(source):
    texts = read_texts(source(ROWS["helpsteer3"]))
    assert _labels(texts) == [("Green.", "Blue.", 0.0), ("Blue.", "It is blue.", 0.5)]
    assert len(texts.prompts[0]) == 3
    assert texts.margins.tolist() == [2, 0]


# --- files ------------------------------------------------------------------------------------------------------


def _same(texts, other):
    assert list(texts.responses) == list(other.responses)
    assert list(texts.prompts) == list(other.prompts)
    assert texts.prompt_id.tolist() == other.prompt_id.tolist()
    if texts.preferences is not None:
        assert _labels(texts) == _labels(other)


@pytest.mark.parametrize("name", ROWS)
def test_json_parquet_gzip_and_saved_data_sets_read_the_same(source, tmp_path, name):
    import datasets

    rows = ROWS[name]
    lines = read_texts(source(rows))
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path / "splits")
    for written in ("rows.json", "rows.parquet", "rows.jsonl.gz", "saved", "splits"):
        _same(lines, read_texts(str(tmp_path / written)))


@pytest.mark.parametrize("name", ["responses", "trl, explicit prompt", "arena"])
def test_csv_reads_the_same(source, tmp_path, name):
    rows = ROWS[name]
    with open(tmp_path / "rows.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found, expected = read_texts(str(tmp_path / "rows.csv")), read_texts(source(rows))
    assert found.responses == expected.responses
    assert found.prompt_id.tolist() == [str(one) if name == "responses" else one for one in expected.prompt_id]
    if expected.preferences is not None:
        assert _labels(found) == _labels(expected)


def test_a_folder_is_read_file_by_file(source, tmp_path):
    (tmp_path / "folder").mkdir()
    source(ROWS["trl, explicit prompt"], "folder/b.jsonl")
    source([{"prompt": "Sea?", "chosen": "Wet.", "rejected": "Dry."}], "folder/a.jsonl")
    assert list(read_texts(str(tmp_path / "folder")).responses) == ["Wet.", "Dry.", " blue.", " green."]


def test_data_sets_of_the_hub(monkeypatch, source):
    import datasets

    def load(name, config, split):
        assert (name, config, split) == ("someone/pairs", None, "test")
        return datasets.Dataset.from_list(ROWS["helpsteer3"])

    monkeypatch.setattr(datasets, "load_dataset", load)
    _same(read_texts("someone/pairs", split="test"), read_texts(source(ROWS["helpsteer3"])))


def test_a_data_set_that_cannot_be_had_is_said_in_a_sentence(monkeypatch):
    import datasets

    def load(name, config, split):
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(
        InvalidInputError, match=r"expected a file, or the name of a data set .* got someone/pairs"
    ):
        read_texts("someone/pairs")


def test_columns_mapped_by_hand(source):
    rows = [{"question": SKY, "good": "Blue.", "bad": "Green.", "prompt": "unused", "response": "unused"}]
    path = source(rows)
    pairs = read_texts(path, {"prompt": "question", "chosen": "good", "rejected": "bad"})
    assert _labels(pairs) == [("Blue.", "Green.", 1.0)]
    assert as_text(pairs.prompts[0]) == SKY
    one = read_texts(path, {"prompt": "question", "response": "good"})
    assert list(one.responses) == ["Blue."]
    assert as_text(one.prompts[0]) == SKY
    with pytest.raises(
        InvalidInputError, match=r"expected a column answer for response .*, got bad, good, prompt"
    ):
        read_texts(path, {"response": "answer"})


# --- what is wrong with a source ----------------------------------------------------------------------------------


def test_broken_rows_are_listed_and_the_rest_goes_in(tmp_path):
    lines = [
        b'{"prompt": "Sky?", "response": "Blue."}',
        b'{"prompt": "Sky?", "response": ""}',
        b"",
        b'{"prompt": "Sky?"',
        b'{"prompt": "Sky?", "response": "caf\xe9"}',
        b'{"prompt": "Sky?", "response": "half \\ud83d"}',
        b'{"prompt": "Sky?", "response": 7}',
        b'["Sky?"]',
        b'{"response": "Blue."}',
        b'{"prompt": "Sky?", "response": "Green."}',
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    texts = read_texts(str(path))
    assert list(texts.responses) == ["Blue.", "Green."]
    assert texts.rows == 9
    reasons = {broken.row: broken.reason for broken in texts.broken}
    assert list(reasons) == [2, 4, 5, 6, 7, 8, 9]
    assert reasons[2] == "expected a text in response, and it is empty"
    assert "expected JSON" in reasons[4]
    assert "expected UTF-8, got the byte 0xe9" in reasons[5]
    assert "expected valid UTF-8 in response" in reasons[6]
    assert reasons[7] == "expected response to be a text, got int 7"
    assert "expected an object" in reasons[8]
    assert reasons[9] == "expected prompt to be a text or a list of messages, got nothing"


def test_broken_rows_of_a_spreadsheet(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbfprompt,response\nSky?,"Blue,\nlight."\nSky?\nSky?,caf\xe9\nSea?,Wet.\n')
    texts = read_texts(str(path))
    assert list(texts.responses) == ["Blue,\nlight.", "Wet."]
    assert [broken.row for broken in texts.broken] == [3, 4], "as a spreadsheet numbers them"
    assert "got 1" in texts.broken[0].reason
    assert "expected valid UTF-8 in response" in texts.broken[1].reason


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("trl, implicit prompt", {"chosen": "Yes", "rejected": "No"}, "they share no beginning"),
        ("trl, messages", {"chosen": []}, "expected chosen to be a text or a list of messages"),
        ("hh-rlhf", {"rejected": "\n\nHuman: Ho.\n\nAssistant: Hello."}, "begin with the same turns"),
        ("hh-rlhf", {"rejected": "What?"}, "expected a dialogue of Human: and Assistant:"),
        ("ultrafeedback", {"completions": []}, "expected a list of completions"),
        ("rewardbench2", {"rejected": []}, "expected a list of answers in rejected"),
        ("arena", {"winner_tie": 1}, "got 2"),
        ("arena", {"response_b": '["Green.", "No."]'}, "as many turns in response_b"),
        ("helpsteer3", {"overall_preference": 4}, "from -3 to 3, got 4"),
        ("responses, lists", {"responses": []}, "at least one response"),
    ],
)
def test_a_row_of_each_form_that_cannot_be_used(source, name, change, reason):
    texts = read_texts(source([ROWS[name][0], {**ROWS[name][0], **change}]))
    (broken,) = texts.broken
    assert broken.row == 2
    assert reason in broken.reason


def test_columns_in_no_form(source):
    with pytest.raises(InvalidInputError) as error:
        read_texts(source([{"instruction": "Sky?", "output": "Blue."}]))
    assert "(instruction, output) are in no known form" in str(error.value)
    assert "--prompt-column" in str(error.value)
    assert "bayesrm formats" in str(error.value)


def test_nothing_to_read(source, tmp_path):
    for name in ("rows.xlsx", "rows.parquet"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_texts(str(tmp_path / "none.jsonl"))
    with pytest.raises(InvalidInputError, match="there are none"):
        read_texts(source([]))
    with pytest.raises(InvalidInputError, match=r"not one of the 1 rows .* \(row 1: .*empty\)"):
        read_texts(source([{"prompt": "", "response": "Blue."}]))
    with pytest.raises(InvalidInputError, match=r"expected a file named \.jsonl"):
        read_texts(str(tmp_path / "rows.xlsx"))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_texts(str(tmp_path / "rows.parquet"))


# --- what is written ----------------------------------------------------------------------------------------------


def test_dialogues_are_written_as_text_and_as_messages(source, tmp_path):
    texts = read_texts(source(ROWS["helpsteer3"]))
    write_texts(tmp_path / "responses.parquet", texts)
    rows = pq.read_table(tmp_path / "responses.parquet").to_pylist()
    assert rows[0]["prompt"] == f"Human: Hi\n\nAssistant: Hello\n\nHuman: {SKY}"
    assert json.loads(rows[0]["messages"]) == ROWS["helpsteer3"][0]["context"]
    assert rows[0]["source"] == "general"
    assert [row["row"] for row in rows] == [1, 1, 2, 2]
    write_texts(tmp_path / "plain.parquet", read_texts(source(ROWS["responses"])))
    assert pq.read_table(tmp_path / "plain.parquet").column_names == [
        "prompt_id", "prompt", "response", "row", "generator", "source",
    ]  # fmt: skip


def test_preferences_come_back_equal(tmp_path):
    full = brm.Preferences([0, 2], [1, 3], [1, 0.5], annotator=["ann", "bob"], weight=[1.0, 2.5])
    for preferences in (full, brm.Preferences([0], [1], [0]), brm.Preferences.none()):
        save_preferences(tmp_path, preferences, np.zeros(len(preferences)))
        back = load_preferences(tmp_path)
        for name in ("first", "second", "outcome", "annotator", "weight", "choice"):
            expected, found = getattr(preferences, name), getattr(back, name)
            assert (found is None) if expected is None else np.array_equal(found, expected)
    ranked = brm.Preferences.from_rankings([[2, 0, 1]])
    save_preferences(tmp_path / "ranked.parquet", ranked)
    assert load_preferences(tmp_path / "ranked.parquet").choice.tolist() == ranked.choice.tolist()


def test_preferences_that_are_none(tmp_path):
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_preferences(tmp_path / "none.parquet")
    pq.write_table(pa.table({"first": [0]}), tmp_path / "some.parquet")
    with pytest.raises(InvalidInputError, match="expected the columns first, second and outcome"):
        load_preferences(tmp_path / "some.parquet")
    (tmp_path / "other.parquet").write_text("x")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_preferences(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"grade": ["much", "0.5"]}, r"numbers in the column grade of .*labels\.parquet, got 'much' in row 1"),
        (
            {"grade": [[1.0], [2.0]]},
            r"numbers in the column grade of .*labels\.parquet, got ndarray of float64 and shape",
        ),
        ({"outcome": ["1", "won"]}, r"numbers in the column outcome of .*labels\.parquet, got 'won' in row 2"),
        (
            {"weight": [1.0, -1.0]},
            r"columns of .*labels\.parquet are no labels: expected weights that are positive",
        ),
        (
            {"annotator": pa.array([0, 1], pa.timestamp("ns"))},
            r"columns of .*labels\.parquet are no labels: .*whole number as the annotator .*1970-01-01",
        ),
    ],
)
def test_preferences_with_a_column_of_something_else_name_the_file(tmp_path, columns, message):
    table = {"first": [0, 2], "second": [1, 3], "outcome": [1.0, 0.0]} | columns
    pq.write_table(pa.table(table), tmp_path / "labels.parquet")
    with pytest.raises(InvalidInputError, match=message):
        brm.load_preferences(tmp_path / "labels.parquet", graded="grade" in columns)


@pytest.mark.parametrize("name", FORMATS)
def test_the_example_of_a_form_is_in_that_form(name, source):
    """What the documentation shows of each."""
    form = FORMATS[name]
    assert form.example, f"give {form.__name__} an example: a row, or the rows of a prompt"
    texts = read_texts(source(form.example))
    assert texts.format == name
    assert not texts.broken
    assert len(texts.responses) >= 1
