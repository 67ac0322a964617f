"""Readers never guess about meaning: each kind of file that was once read as something else, and what is said of it."""

from __future__ import annotations

import json
import math

import pytest

from bayesrm.data.conversation import Turn, as_conversation, as_text
from bayesrm.data.texts import read_texts
from bayesrm.errors import InvalidInputError


def _user(content):
    return {"role": "user", "content": content}


def _bot(content, **more):
    return {"role": "assistant", "content": content, **more}


def _call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.fixture
def read(tmp_path):
    """Write rows as JSON Lines, or text as CSV, and read them."""

    def make(rows, **options):
        path = tmp_path / ("rows.csv" if isinstance(rows, str) else "rows.jsonl")
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
        return read_texts(str(path), **options)

    return make


def _prompts(texts):
    return [as_text(prompt) for prompt in dict.fromkeys(texts.prompts)]


def _labels(texts):
    p = texts.preferences
    return [(texts.responses[i], texts.responses[j]) for i, j in zip(p.first, p.second, strict=True)]


PAIR = {"chosen": "Sure! The Elbe.", "rejected": "Sure! The Thames."}

# --- prompts in other columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "prompt"),
    [
        ({"instruction": "Name a river."}, "Name a river."),
        ({"question": "Name a river."}, "Name a river."),
        ({"query": "Name a river."}, "Name a river."),
        ({"input": "Name a river."}, "Name a river."),
        ({"prompt_text": "Name a river."}, "Name a river."),
        ({"conversations": [_user("Name a river.")]}, "Name a river."),
        ({"instruction": "Name a river.", "input": "In Germany."}, "Name a river.\n\nIn Germany."),
        ({"instruction": "Name a river.", "input": ""}, "Name a river."),
        ({"system": "Be brief.", "question": "Name a river."}, "System: Be brief.\n\nHuman: Name a river."),
        ({"system": None, "question": "Name a river."}, "Name a river."),
        ({"system": "Be brief.", "prompt": "Name a river."}, "System: Be brief.\n\nHuman: Name a river."),
    ],
)
def test_a_prompt_is_found_under_its_usual_names(read, columns, prompt):
    texts = read([{**columns, **PAIR}])
    assert _prompts(texts) == [prompt]
    assert _labels(texts) == [(PAIR["chosen"], PAIR["rejected"])]
    assert any("prompt is" in note for note in texts.notes) == (set(columns) != {"prompt"})


def test_input_that_comes_late_is_still_joined(read):
    rows = [{"instruction": f"Say {k}.", "input": "", **PAIR} for k in range(150)]
    texts = read([*rows, {"instruction": "Translate.", "input": "Hund", **PAIR}])
    assert _prompts(texts)[-1] == "Translate.\n\nHund"


def test_one_prompt_is_read_and_the_other_is_said_to_be_unused(read):
    texts = read([{"prompt": "Name a river.", "question": "Name a lake.", **PAIR}])
    assert _prompts(texts) == ["Name a river."]
    assert "Columns that are not used: question." in texts.notes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"topic": "Name a river."}, "topic could be it: say --prompt-column topic"),
        ({"a": "x", "user_prompt": "Name a river."}, "--prompt-column user_prompt"),
        ({"a": "x", "b": "Name a river in Saxony."}, "a or b could be it: say --prompt-column b"),
        ({"question": "Name a river.", "query": "Name a lake."}, "could be in question or query"),
        ({"question": "Name a river.", "input": "Name a lake."}, "could be in question or input"),
    ],
)
def test_no_prompt_is_cut_out_of_answers_where_a_column_could_have_it(read, row, said):
    with pytest.raises(InvalidInputError, match=said):
        read([{**row, **PAIR}])


def test_a_prompt_is_cut_out_of_answers_where_nothing_else_could_be_it(read):
    row = {"chosen": "The sea is wet.", "rejected": "The sea is dry.", "margin": 1.0, "source": "made", "id": "u7"}
    texts = read([row])
    assert _prompts(texts) == ["The sea is"]
    assert any("both begin with" in note for note in texts.notes)


def test_a_user_can_say_that_the_prompt_is_within_the_answers(read):
    row = {"chosen": "The sea is wet.", "rejected": "The sea is dry.", "judge": "a person"}
    assert _prompts(read([row], implicit_prompt=True)) == ["The sea is"]
    assert _prompts(read([{"topic": "Sea?", **row}], mapping={"prompt": "topic"})) == ["Sea?"]
    with pytest.raises(InvalidInputError, match="got both"):
        read([row], mapping={"prompt": "judge"}, implicit_prompt=True)


def test_a_row_without_its_prompt_is_refused_and_nothing_is_cut(read):
    texts = read([{"prompt": "Name a river.", **PAIR}, {"prompt": None, **PAIR}, {"prompt": " ", **PAIR}, PAIR])
    assert [broken.row for broken in texts.broken] == [2, 3, 4]
    assert _prompts(texts) == ["Name a river."]


def test_a_prompt_column_that_only_later_rows_have_is_not_overlooked(read):
    rows = [{"chosen": "The sea is wet.", "rejected": "The sea is dry."}] * 120
    texts = read([*rows, {"question": "Name a river.", **PAIR}, {"topic": "Name a river.", **PAIR}])
    assert [broken.row for broken in texts.broken] == [121, 122]
    assert _prompts(texts) == ["The sea is"]


# --- texts are texts ------------------------------------------------------------------------------------------------


LISTS = [
    '["red", "green"]',
    "['red', 'green']",
    '["red"]',
    '[{"role": "assistant", "content": "red"}]',
    '{"a": 1}',
]


@pytest.mark.parametrize("text", LISTS)
def test_a_response_in_json_lines_is_never_taken_apart(read, text):
    rows = [{"prompt": "Colours as JSON", "response": one} for one in (text, "plain", text)]
    assert list(read(rows).responses) == [text, "plain", text]


@pytest.mark.parametrize("text", [LISTS[0], LISTS[1], LISTS[2], LISTS[4]])
def test_answers_that_are_lists_of_texts_are_texts_everywhere(read, text):
    cell = '"' + text.replace('"', '""') + '"'
    assert list(read(f"prompt,response\nColours,{cell}\n").responses) == [text]
    assert _labels(read([{"prompt": "Colours", "chosen": text, "rejected": "no"}])) == [(text, "no")]
    assert _labels(read(f"prompt,chosen,rejected\nColours,{cell},no\n")) == [(text, "no")]


def test_a_list_of_responses_that_became_text_is_a_list(read):
    for text in ('["red", "green"]', "['red', 'green']", "['red' 'green']"):
        assert list(read([{"prompt": "p", "responses": text}]).responses) == ["red", "green"]
    texts = read([{"prompt": "p", "responses": '["red", "gre'}, {"prompt": "p", "responses": ["a"]}])
    assert "its text is damaged" in texts.broken[0].reason


# --- messages that became text --------------------------------------------------------------------------------------


DIALOGUES = [[_user("Sea?"), _bot(said)] for said in ('It\'s "wet"', "Dry\nland")]


def _numpy(messages):
    """As numpy prints an array of objects: no commas."""
    return "[" + "\n ".join(map(repr, messages)) + "]"


@pytest.mark.parametrize("write", [json.dumps, repr, _numpy], ids=["json", "python", "numpy"])
def test_messages_that_became_text_are_messages(read, write):
    chosen, rejected = map(write, DIALOGUES)
    texts = read([{"chosen": chosen, "rejected": rejected}])
    assert _prompts(texts) == ["Sea?"]
    assert _labels(texts) == [('It\'s "wet"', "Dry\nland")]
    cells = ['"' + text.replace('"', '""') + '"' for text in (write([_user("Sea?")]), chosen)]
    answers = read(f"prompt,response\n{cells[0]},{cells[1]}\n")
    assert _prompts(answers) == ["Sea?"]
    assert list(answers.responses) == ['It\'s "wet"']


def test_damaged_messages_are_refused_and_whole_ones_read(read):
    good = [json.dumps(one) for one in DIALOGUES]
    texts = read(
        [
            {"chosen": good[0], "rejected": good[1]},
            {"chosen": good[0][:-9], "rejected": good[1]},
            {"chosen": "Sea? Wet", "rejected": "Sea? Dry"},
        ]
    )
    assert [broken.row for broken in texts.broken] == [2, 3]
    assert "expected messages in chosen" in texts.broken[0].reason
    assert len(texts.preferences) == 1


def test_messages_among_plain_texts_are_refused(read):
    rows = [{"prompt": f"p{k}", "chosen": "a", "rejected": "b"} for k in range(4)]
    chosen, rejected = map(json.dumps, DIALOGUES)
    texts = read([*rows, {"prompt": "Sea?", "chosen": chosen, "rejected": rejected}])
    assert [broken.row for broken in texts.broken] == [5]
    assert "messages that were written as text" in texts.broken[0].reason


# --- what is missing ------------------------------------------------------------------------------------------------


MISSING = [None, "", " ", "nan", "NaN", "N/A", "null", "None", math.nan, math.inf, "-inf"]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_a_rating_that_is_missing_wins_and_loses_nothing(read, missing):
    completions = [
        {"response": text, "annotations": {"helpfulness": {"Rating": rating}}}
        for text, rating in (("good", "5"), ("unrated", missing), ("poor", 2))
    ]
    texts = read([{"instruction": "Sea?", "completions": completions}])
    assert len(texts) == 3
    assert _labels(texts) == [("good", "poor")]


@pytest.mark.parametrize("missing", [*MISSING, "much", True, [1]], ids=repr)
def test_no_optional_column_costs_a_row(read, missing):
    row = {"prompt": "Sea?", "chosen": "Wet", "rejected": "Dry"}
    for name in ("margin", "chosen_rating", "chosen_model", "source", "prompt_id"):
        texts = read([{**row, "rejected_rating": 3.0, name: missing}])
        assert not texts.broken, name
        assert len(texts.preferences) == 1
    assert read([{**row, "margin": missing}]).margins is None
    answer = {"prompt": "Sea?", "response": "Wet"}
    for name in ("generator", "source", "prompt_id", "model"):
        assert not read([{**answer, name: missing}]).broken, name


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_names_and_ids_that_are_missing_are_none(read, missing):
    rows = [
        {"prompt_id": 7, "prompt": "Sea?", "response": "Wet", "generator": "m"},
        {"prompt_id": missing, "prompt": "Sea?", "response": "Dry", "generator": missing},
        {"prompt_id": missing, "prompt": "Sky?", "response": "Blue", "generator": missing},
    ]
    texts = read(rows)
    assert texts.generators == ["m", None, None]
    assert texts.prompt_id.tolist() == [7, 7, 1], "by the prompt, or a new one"
    assert any("2 of 3 rows have no prompt_id" in note for note in texts.notes)


def test_a_word_for_missing_is_still_an_answer(read):
    assert list(read([{"prompt": "Say N/A", "response": one} for one in ("N/A", "null", "nan")]).responses) == [
        "N/A",
        "null",
        "nan",
    ]


def test_one_point_zero_is_one(read):
    rows = [{"prompt_id": one, "prompt": f"p{one}", "response": "x"} for one in (1, 1.0, "1.0", "1", 2.5, "v1.0")]
    assert read(rows).prompt_id.tolist() == ["1", "1", "1", "1", "2.5", "v1.0"]
    assert read([{**row, "prompt_id": 1.0} for row in rows]).prompt_id.tolist() == [1] * 6
    assert read("prompt_id,prompt,response\n1.0,p,x\n1.0,q,y\n").prompt_id.tolist() == ["1", "1"]


def test_a_new_id_is_no_id_that_is_taken(read):
    rows = [{"prompt_id": one, "prompt": f"p{at}", "response": "x"} for at, one in enumerate([1, None, 2, None])]
    assert read(rows).prompt_id.tolist() == [1, 3, 2, 4]
    texts = read([{**row, "prompt_id": row["prompt_id"] and f"{row['prompt_id']}"} for row in rows])
    assert texts.prompt_id.tolist() == ["1", "3", "2", "4"]


# --- one bad answer of many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, "", "  ", 7, math.nan, {"x": 1}], ids=repr)
def test_one_bad_answer_costs_only_itself(read, bad):
    texts = read([{"prompt": "p", "responses": ["a", bad, "b"], "generators": ["x", "y", "z"]}])
    assert list(texts.responses) == ["a", "b"]
    assert texts.generators == ["x", "z"]
    assert any("left out" in note for note in texts.notes)
    row = {"prompt": "p", "chosen": ["a", bad], "rejected": [bad, "b", "c"], "num_correct": 2}
    assert _labels(read([row])) == [("a", "b"), ("a", "c")]
    completions = [
        {"response": text, "annotations": {"h": {"Rating": str(rating)}}}
        for text, rating in ((bad, 5), ("a", 4), ("b", 3))
    ]
    rated = read([{"instruction": "p", "completions": completions, "models": ["x", "y", "z"]}])
    assert _labels(rated) == [("a", "b")]
    assert rated.generators == ["y", "z"]


def test_names_that_do_not_fit_are_left_out_and_said(read):
    texts = read([{"prompt": "p", "responses": ["a", "b"], "generators": ["x"]}])
    assert list(texts.responses) == ["a", "b"]
    assert texts.generators is None
    assert any("generators do not fit" in note for note in texts.notes)


# --- messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", math.nan, [], "missing"], ids=repr)
def test_calls_of_tools_are_answers(read, content):
    def message(city):
        return {**({} if content == "missing" else {"content": content}), "role": "assistant",
                "tool_calls": [_call("weather", city=city)]}  # fmt: skip

    texts = read([{"prompt": [_user("Weather?")], "chosen": [message("Riga")], "rejected": [message("Rome")]}])
    assert texts.identical == 0
    assert ["Riga" in one for one in texts.responses] == [True, False]
    assert len(texts.preferences) == 1


def test_the_same_call_is_the_same_text_however_it_is_written():
    arguments = {"city": "Riga", "day": 2}
    calls = [
        _call("weather", **arguments),
        _call("weather", day=2, city="Riga", hour=None),
        {"id": "call_9", "function": {"name": "weather", "arguments": json.dumps(arguments)}},
        {"name": "weather", "arguments": arguments},
    ]
    texts = {as_conversation([_bot(None, tool_calls=[call])], "chosen") for call in calls}
    texts.add(as_conversation([_bot(None, function_call=calls[3])], "chosen"))
    texts.add(as_conversation([{"from": "function_call", "value": json.dumps(calls[3])}], "chosen"))
    texts.add(as_conversation([_bot([{"type": "tool_use", "name": "weather", "input": arguments}])], "chosen"))
    assert len(texts) == 1
    assert as_conversation([_bot("Look:", tool_calls=calls[:1])], "chosen")[0].content.startswith(
        "Look:\n<tool_call>"
    )


def test_what_a_tool_put_out_is_not_the_assistants(read):
    steps = [_bot(None, tool_calls=[_call("weather")]), {"role": "tool", "content": "rain"}]
    texts = read(
        [{"prompt": "Weather?", "chosen": [*steps, _bot("It rains.")], "rejected": [*steps, _bot("Dry.")]}]
    )
    assert _labels(texts) == [("It rains.", "Dry.")], "what both begin with belongs to the prompt"
    assert [turn.role for turn in texts.prompts[0]] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "Is ice "}, {"type": "text", "text": "cold?"}],
        [{"type": "input_text", "text": "Is ice cold?", "image": None}],
        [{"text": "Is ice cold?"}],
        ["Is ice cold?"],
        {"type": "text", "text": "Is ice cold?"},
    ],
    ids=repr,
)
def test_parts_of_text_are_joined(read, content):
    row = {
        "prompt": [_user(content)],
        "chosen": [_bot("Yes.")],
        "rejected": [_bot([{"type": "text", "text": "No."}])],
    }
    texts = read([row])
    assert _prompts(texts) == ["Is ice cold?"]
    assert _labels(texts) == [("Yes.", "No.")]


def test_parts_that_are_no_text_are_refused(read):
    image = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "What is it?"}]
    row = {"prompt": [_user("Sea?")], "chosen": [_bot("Wet")], "rejected": [_bot("Dry")]}
    texts = read([row, {**row, "prompt": [_user(image)]}])
    assert "got one of type 'image_url'" in texts.broken[0].reason


@pytest.mark.parametrize("write", [lambda one: one, json.dumps, repr], ids=["object", "json", "python"])
def test_sharegpt(read, write):
    row = {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Sea?"},
            {"from": "gpt", "value": "Which?"},
            {"from": "human", "value": "Baltic."},
        ],
        "chosen": {"from": "gpt", "value": "Brackish."},
        "rejected": {"from": "gpt", "value": "Dry."},
    }
    texts = read([{name: write(value) for name, value in row.items()}])
    assert [turn.role for turn in texts.prompts[0]] == ["system", "user", "assistant", "user"]
    assert _labels(texts) == [("Brackish.", "Dry.")]


def test_a_repeated_prompt_is_taken_off_texts_as_off_messages(read):
    asked = "What color has the sea in winter?"
    repeated = {"prompt": asked, "chosen": f"{asked} Grey.", "rejected": f"{asked}\n\nRed."}
    assert _labels(read([repeated])) == [("Grey.", "Red.")]
    other = {"prompt": "Sky?", "chosen": "Blue.", "rejected": "Sky? Red."}
    assert _labels(read([repeated, other])) == [("Grey.", "Red."), ("Blue.", "Sky? Red.")]
    assert _labels(read([{"prompt": "Sky?", "chosen": "Sky? Blue.", "rejected": "Sky? Red."}])) == [
        ("Blue.", "Red.")
    ]


def test_a_greeting_that_answers_begin_with_is_no_repeated_prompt(read):
    rows = [
        {"prompt": "Hi", "chosen": "Hi! How are you?", "rejected": "Hi there."},
        {"prompt": "Ho", "chosen": "Hello.", "rejected": "Hm."},
        {"prompt": "The end", "chosen": "The ending", "rejected": "The endless"},
    ]
    assert _labels(read(rows)) == [(row["chosen"], row["rejected"]) for row in rows]
    assert _labels(read(rows[2:])) == [("The ending", "The endless")]


SO_FAR = [_user("Hi"), _bot("Hello"), _user("Sea?")]


@pytest.mark.parametrize("prompt", ["Hi", "Sea?", SO_FAR, SO_FAR[:1], None], ids=repr)
def test_turns_that_chosen_and_rejected_share_are_the_prompt(read, prompt):
    row = {"chosen": [*SO_FAR, _bot("Wet")], "rejected": [*SO_FAR, _bot("Dry")]}
    texts = read([row if prompt is None else {"prompt": prompt, **row}])
    assert texts.prompts[0] == (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("user", "Sea?"))
    assert _labels(texts) == [("Wet", "Dry")]
    assert not any("begin with" in note for note in texts.notes)


def test_a_prompt_that_is_another_than_that_of_the_messages_is_said(read):
    row = {"chosen": [_user("Sea?"), _bot("Wet")], "rejected": [_user("Sea?"), _bot("Dry")]}
    texts = read([{"prompt": "Sky?", **row}])
    assert _prompts(texts) == ["Sea?"]
    assert any("the prompt is not what chosen and rejected begin with" in note for note in texts.notes)
    apart = {**row, "prompt": "Sky?", "rejected": [_user("Land?"), _bot("Dry")]}
    assert (
        "to begin with the prompt, or with the same messages"
        in read([{"prompt": "Sea?", **row}, apart]).broken[0].reason
    )


def test_a_system_prompt_is_never_lost(read):
    system = {"role": "system", "content": "Be brief."}
    row = {"chosen": [system, _user("Sea?"), _bot("Wet")], "rejected": [system, _user("Sea?"), _bot("Dry")]}
    for texts in (read([row]), read([{"prompt": "Sea?", **row}]), read([{"prompt": "Sky?", **row}])):
        assert [turn.role for turn in texts.prompts[0]] == ["system", "user"]
        assert _labels(texts) == [("Wet", "Dry")]


def test_a_rating_against_the_choice_is_said(read):
    row = {"prompt": "Sea?", "chosen": "Wet", "rejected": "Dry", "chosen_rating": 2, "rejected_rating": 5}
    texts = read([row])
    assert _labels(texts) == [("Wet", "Dry")]
    assert any("rated lower" in note for note in texts.notes)


@pytest.mark.parametrize("column", ["response", "responses"])
@pytest.mark.parametrize("value", [{"a": 1}, {"text": "Blue.", "score": 3}, {"1": "Blue.", "2": "Red."}])
def test_an_object_is_no_response_and_its_names_are_none(tmp_path, column, value):
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "Sky?", column: value}, {"prompt": "Sky?", column: ["Blue."]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = read_texts(str(path))
    assert list(texts.responses) == ["Blue."]
    (broken,) = texts.broken
    assert f"expected a text or a list of them in {column}, got an object" in broken.reason


def test_a_judge_of_mt_bench_that_contradicted_itself_has_said_tie(tmp_path):
    sides = [
        [{"role": "user", "content": "Sea?"}, {"role": "assistant", "content": said}] for said in ("Wet.", "Dry.")
    ]
    row = {"model_a": "m1", "model_b": "m2", "winner": "tie (inconsistent)", "turn": 1}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**row, "conversation_a": sides[0], "conversation_b": sides[1]}) + "\n")
    assert read_texts(str(path)).preferences.outcome.tolist() == [0.5]
