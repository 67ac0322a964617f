"""What a file shows of a question is compared with what was asked: what spreadsheets do to a text is no difference."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import numpy as np
import pytest

import bayesrm as brm
from bayesrm.campaign.as_asked import same_text
from bayesrm.campaign.asking import Request
from bayesrm.campaign.handoff.spreadsheet import COLUMNS
from bayesrm.errors import InvalidInputError

PROMPTS, EACH = 12, 3
TEXTS = [
    "=SUM(1,2) is three", "Grüße, größer 🙂 und “mehr”", "two\nlines, a comma; and \"quotes\"", "-- it's plain", "42",
    "Смотри: три слова",
]  # fmt: skip


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory):
    random = np.random.default_rng(7)
    embeddings = random.standard_normal((PROMPTS * EACH, 3)).astype(np.float32)
    texts = [f"{TEXTS[k % len(TEXTS)]} ({k})" for k in range(len(embeddings))]
    pool = brm.ResponsePool(embeddings, np.repeat(np.arange(PROMPTS), EACH), texts)
    folder = tmp_path_factory.mktemp("pools") / "pool"
    brm.save_pool(folder, pool)
    return folder


@pytest.fixture
def campaign(pool_folder, tmp_path):
    made = brm.Campaign.create(tmp_path / "campaign", pool_folder)
    made.ask(12)
    return made


def rows_of(campaign):
    """The rows of the sheet, with left and right in turn as answers."""
    text = campaign.hand_out("csv")[0].read_bytes().decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == list(COLUMNS)
    for number, row in enumerate(rows):
        row[4] = ("left", "right")[number % 2]
    return rows


def written(rows, delimiter=",", header=COLUMNS) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows([header, *rows])
    return out.getvalue()


def tell(campaign, text, name="sheet.csv", encoding="utf-8", **options):
    path = campaign.directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding, errors="replace"))
    return campaign.tell(path, **options)


def verdicts(campaign):
    return {answer.question: answer.verdict for answer in campaign.store.answers()}


def expected(campaign):
    sides = ("left", "right")
    return {q.id: q.verdict(sides[at % 2]) for at, q in enumerate(campaign.store.questions())}


# --- a text and what a spreadsheet makes of it ---


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ("two\r\nlines", "two\nlines"), ("trailing", "trailing \n"), ("a\u00a0b", "a b"), ("'=1+1", "=1+1"),
        ("=1+1", "'=1+1"), ("#NAME?", "=foo bar"), ("“so”, it’s", '"so", it\'s'), ("wait…", "wait..."),
        (unicodedata.normalize("NFD", "größer, naïve"), "größer, naïve"), ("ﬁne", "fine"), ("gr?sser", "grüsser"),
        ("smile ??!", "smile 🙂!"), ("????, ok", "да, ok"), ("TRUE", "true"), ("1.0", "1"), ("0,5", "0.5"),
        ("1.23457E+11", "123456789012"), ("04. Mrz", "4/3"), ("GrÃ¼ÃŸe", "Grüße"), ("x" * 32_767, "x" * 40_000),
        ("nul", "n\0ul"), ("an em—dash", "an em-dash"), ("\u200bzero width", "zero width"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_does_to_a_text_is_no_difference(shown, asked):
    assert same_text(shown, asked)


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ("left", "right"), ("the first half", "the first half and more"), ("12", "7"), ("no", "not"), ("", "text"),
        ("?", "plain text"), ("is it?", "is it so"), ("x" * 400, "x" * 500), ("x" * 32_767, "y" * 40_000),
        ("#NAME?", "a name"), ("gr?n", "grüsse"), ("да", "нет"), ("2", "2 or 3"),
    ],
)  # fmt: skip
def test_another_text_is_one(shown, asked):
    assert not same_text(shown, asked)


# --- sheets that come back ---


@pytest.mark.parametrize(
    ("delimiter", "encoding", "change"),
    [
        (",", "utf-8-sig", str), (";", "cp1252", str), ("\t", "utf-16", str), (",", "utf-8", str.strip),
        (",", "utf-8", lambda cell: unicodedata.normalize("NFD", cell)),
        (",", "utf-8", lambda cell: cell.removeprefix("'").replace("\n", "\r\n")), (";", "ascii", str),
    ],
)  # fmt: skip
def test_an_untouched_sheet_goes_in_whole_however_it_was_saved(campaign, delimiter, encoding, change):
    rows = [[row[0], *map(change, row[1:4]), *row[4:]] for row in rows_of(campaign)]
    report = tell(campaign, written(rows, delimiter), encoding=encoding)
    assert (report.new, report.aside, report.notes) == (12, (), ())
    assert verdicts(campaign) == expected(campaign)


def test_a_sheet_without_texts_is_not_compared(campaign):
    rows = [[row[0], row[4]] for row in rows_of(campaign)]
    assert tell(campaign, written(rows, header=("question", "answer"))).new == 12
    blank = [[row[0], "", " ", "", *row[4:]] for row in rows_of(campaign)]
    assert tell(campaign, written(blank), "blank.csv").repeated == 12


@pytest.mark.parametrize("columns", [[0], [1], [2], [3], [2, 3], [0, 4]])
def test_columns_that_were_sorted_apart_are_noticed(campaign, columns):
    rows = rows_of(campaign)
    moved = sorted(([row[at] for at in columns] for row in rows), reverse=True)
    sheet = [row.copy() for row in rows]
    for row, cells in zip(sheet, moved, strict=True):
        for at, cell in zip(columns, cells, strict=True):
            row[at] = cell
    at_home = sum(one[:4] == other[:4] for one, other in zip(rows, sheet, strict=True))
    report = tell(campaign, written(sheet))
    assert report.new == at_home < 6
    assert len(report.aside) == 12 - at_home
    assert all("the cells of the row do not belong together" in reason for _, reason in report.aside)
    assert verdicts(campaign).items() <= expected(campaign).items() if columns != [0, 4] else True


def test_left_and_right_that_changed_places_are_noticed(campaign):
    rows = [[row[0], row[1], row[3], row[2], *row[4:]] for row in rows_of(campaign)]
    report = tell(campaign, written(rows))
    assert (report.new, len(report.aside)) == (0, 12)
    assert "under left where q" in report.aside[0][1]


def test_cells_that_were_shifted_down_or_to_the_side_are_noticed(campaign):
    rows = rows_of(campaign)
    down = [[row[0], *(rows[at - 1][1:4] if at else row[1:4]), *row[4:]] for at, row in enumerate(rows)]
    report = tell(campaign, written(down))
    assert report.new == 1
    assert len(report.aside) == 11
    aside = [[row[0], row[2], row[3], row[4], row[4], *row[5:]] for row in rows[6:]]
    assert len(tell(campaign, written(aside), "aside.csv").aside) == 6


def test_a_sorted_answer_column_is_told_of(campaign):
    campaign.ask(20)
    rows = rows_of(campaign)
    by_answer = sorted(rows, key=lambda row: row[4])
    assert tell(campaign, written(by_answer), "rows.csv").notes == ()
    apart = [[*row[:4], other[4], *row[5:]] for row, other in zip(rows, by_answer, strict=True)]
    (note,) = tell(campaign, written(apart), "column.csv").notes
    assert "in blocks (10 left, then 10 right)" in note


def test_a_quote_that_is_not_closed_is_noticed(campaign):
    rows = rows_of(campaign)
    lines = written([[*row[:1], "", "", "", *row[4:]] for row in rows]).splitlines()
    lines[4] = lines[4].replace(",left,", ',"left,').replace(",right,", ',"right,')
    report = tell(campaign, "\r\n".join(lines) + "\r\n")
    assert report.new == 3
    ((place, reason),) = report.aside
    assert place == "row 5"
    assert "it has swallowed the rows of" in reason
    assert "and 5 more" in reason
    assert any("8 of the 12 questions of batch 1 are not in this file" in note for note in report.notes)


def test_ids_within_the_comment_of_another_row_are_noticed(campaign):
    rows = rows_of(campaign)
    rows[2][6] = "\n".join(",".join(row) for row in rows[3:6])
    report = tell(campaign, written(rows[:3] + rows[6:]))
    assert report.new == 8
    assert report.aside[0][0] == "row 4"
    assert rows[3][0] in report.aside[0][1]


def test_a_text_without_its_quotes_makes_a_row_too_long(campaign):
    rows = rows_of(campaign)
    loose = [*rows[0][:2], "one", " two", *rows[0][3:]]
    report = tell(campaign, written([loose, *rows[1:]]))
    assert report.new == 11
    assert "it shows 'one' under left" in report.aside[0][1]
    loose[-1] = "a comment"
    assert "expected 7 cells, got 8" in tell(campaign, written([loose, *rows[1:]]), "more.csv").aside[0][1]
    assert tell(campaign, written([[*row, "", ""] for row in rows]), "wide.csv").aside == ()


def test_a_file_that_was_cut_has_only_what_was_said(campaign):
    data = written(rows_of(campaign)).encode()
    right = expected(campaign)
    for at, end in enumerate(range(60, len(data), 97)):
        try:
            tell(campaign, data[:end], f"cut-{at}.csv")
        except InvalidInputError:
            continue
        assert verdicts(campaign).items() <= right.items()
    report = tell(campaign, data[: data.rindex(b"q") + 14], "last.csv")
    assert (
        any("is not in this file" in note or "are not in this file" in note for note in report.notes)
        or report.aside
    )


def test_a_cut_within_a_row_is_said(campaign):
    row = rows_of(campaign)[0]
    with pytest.raises(InvalidInputError, match="it was cut off"):
        tell(campaign, f"question,prompt,left,right,answer\r\n{row[0]},{row[1]}")


# --- other headers ---


@pytest.mark.parametrize(
    "above", ["sep=;\r\n", "sep=\t\r\n", "My labels;;;;;;\r\n;;;;;;\r\n", "Batch 1, for Ann\n\n"]
)
def test_a_line_above_the_header_makes_no_difference(campaign, above):
    delimiter = "\t" if "\t" in above else ";"
    report = tell(campaign, above + written(rows_of(campaign), delimiter))
    assert (report.new, report.aside) == (12, ())
    assert verdicts(campaign) == expected(campaign)


FRENCH = ("question", "invite", "gauche", "droite", "réponse", "annotateur", "commentaire")


@pytest.mark.parametrize("header", [FRENCH, ("Frage", *FRENCH[1:]), ("Код", "", "", "", "Ответ", "", "")])
@pytest.mark.parametrize("above", ["", "Une page\r\n"])
def test_a_translated_header_is_found_by_the_ids_below_it(campaign, header, above):
    rows = rows_of(campaign)
    report = tell(campaign, above + written(rows, header=header))
    assert (report.new, report.aside) == (12, ())
    assert verdicts(campaign) == expected(campaign)
    swapped = [[row[0], row[1], row[3], row[2], *row[4:]] for row in rows]
    assert len(tell(campaign, written(swapped, header=header), "swapped.csv").aside) == 12


def test_translated_columns_in_another_order_are_told_by_what_they_have(campaign):
    rows = [[row[4], row[3], row[0], "note"] for row in rows_of(campaign)]
    report = tell(campaign, written(rows, header=("Antwort", "Rechts", "Frage", "Notiz")))
    assert (report.new, report.aside) == (12, ())
    assert verdicts(campaign) == expected(campaign)
    other = [[row[0], rows[at - 1][1], row[2], row[3]] for at, row in enumerate(rows)]
    report = tell(campaign, written(other, header=("Antwort", "Rechts", "Frage", "Notiz")), "other.csv")
    assert len(report.aside) >= 10
    assert "none of its cells has a text" in report.aside[0][1]
    with pytest.raises(InvalidInputError, match="expected a column answer beside the ids of questions"):
        tell(campaign, written([[row[2], row[1]] for row in rows], header=("Frage", "Rechts")), "none.csv")


# --- what words mean ---


def numbered(campaign, left, right):
    rows = [[row[0], {"left": left, "right": right}[row[4]]] for row in rows_of(campaign)]
    return written(rows, header=("question", "answer"))


@pytest.mark.parametrize(
    ("left", "right"), [("0", "1"), ("1", "2"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("-1", "1")]
)
def test_numbers_name_no_side_before_somebody_says_it(campaign, left, right):
    sheet = numbered(campaign, left, right)
    with pytest.raises(InvalidInputError, match="what that means is not known: say it, such as --answers"):
        tell(campaign, sheet)
    assert campaign.store.sources() == []
    assert tell(campaign, sheet, answers={left: "left", right: "right"}).new == 12
    assert verdicts(campaign) == expected(campaign)


def test_numbers_among_words_are_asked_about_too(campaign):
    rows = [[row[0], row[4]] for row in rows_of(campaign)]
    rows[3][1] = "1"
    with pytest.raises(InvalidInputError, match="have 1, and what that means is not known"):
        tell(campaign, written(rows, header=("question", "answer")))


def test_words_of_another_language_are_given_a_meaning(campaign):
    sheet = numbered(campaign, "Links", "RECHTS ")
    with pytest.raises(InvalidInputError, match="--answers links=left,rechts=right"):
        tell(campaign, sheet)
    assert tell(campaign, sheet, answers={"links": "left", "rechts": "right"}).new == 12
    assert verdicts(campaign) == expected(campaign)


def test_a_word_may_be_given_another_meaning_and_the_file_told_again(campaign):
    sheet = numbered(campaign, "a", "b")
    assert tell(campaign, sheet).new == 12
    assert tell(campaign, sheet).already
    report = tell(campaign, sheet, answers={"A": "right", "B": "left"})
    assert (report.new, report.corrected) == (12, 12)
    assert tell(campaign, sheet, answers={"B": "left", "A": "right"}).already


def test_one_word_that_nobody_knows_costs_its_row(campaign):
    rows = [[row[0], row[4]] for row in rows_of(campaign)]
    rows[3][1] = "lefft"
    report = tell(campaign, written(rows, header=("question", "answer")))
    assert report.new == 11
    assert report.aside[0][1].startswith("expected left, right, tie or skip as an answer, got 'lefft'")
    again = tell(campaign, written(rows, header=("question", "answer")), answers={"lefft": "left"})
    assert (again.new, again.repeated) == (1, 11)


def test_meanings_that_are_none(campaign):
    with pytest.raises(InvalidInputError, match="expected answers to mean left, right, tie, skip, got middle"):
        tell(campaign, numbered(campaign, "1", "2"), answers={"1": "middle"})


# --- tools ---


def argilla(campaign, change=dict):
    handed = json.loads(campaign.hand_out("argilla")[0].read_text())
    records = []
    for number, record in enumerate(handed):
        response = {"user_id": "u", "value": ("left", "right")[number % 2], "status": "submitted"}
        records.append({"id": record["id"], **change(record["fields"]), "preference": [response]})
    return json.dumps(records)


def test_a_tool_whose_template_has_left_and_right_in_each_others_place_is_noticed(campaign):
    report = tell(campaign, argilla(campaign, lambda f: {**f, "left": f["right"], "right": f["left"]}), "a.json")
    assert (report.new, len(report.aside)) == (0, 12)
    assert tell(campaign, argilla(campaign), "b.json").new == 12
    assert verdicts(campaign) == expected(campaign)


def test_texts_that_were_rewritten_in_a_tool_are_told_of(campaign):
    report = tell(campaign, argilla(campaign, lambda f: {**f, "left": "rewritten"}), "a.json")
    assert (report.new, report.aside) == (12, ())
    assert report.notes[0].startswith("Beside 12 answers the file shows other texts than were asked")
    assert "Beside 12 answers" in str(report)


# --- rows that were set aside are in the file ---


def test_a_row_that_is_set_aside_is_in_the_file(campaign):
    rows = rows_of(campaign)
    rows[0][4] = "lefft"
    rows[1] = [*rows[1], "a cell too many"]
    rows[2][1] = "another prompt"
    report = tell(campaign, written(rows))
    assert (report.new, len(report.aside)) == (9, 3)
    assert not any("not in this file" in note for note in report.notes)
    line = {"question": rows[0][0], "answer": "left", "annotator": {"name": "ana"}}
    lines = [line, *({"question": row[0], "answer": "left", "annotator": "bo"} for row in rows[1:])]
    report = tell(campaign, "\n".join(map(json.dumps, lines)), "lines.jsonl")
    assert (report.new, len(report.aside)) == (11, 1)
    assert not any("not in this file" in note for note in report.notes)
    report = tell(campaign, written(rows[3:]), "short.csv", annotator="cy", again=True)
    assert "3 of the 12 questions of batch 1 are not in this file." in report.notes


def test_a_ranking_that_is_none_is_in_the_file(pool_folder, tmp_path):
    campaign = brm.Campaign.create(tmp_path / "lists", pool_folder)
    questions = campaign.ask(Request(size=8, list_size=3, design="random"))
    words = ["A > A", "A > B > D", "best", "1"]
    rows = [[q.id, words[at] if at < len(words) else "B > A > C"] for at, q in enumerate(questions)]
    report = tell(campaign, written(rows, header=("question", "answer")))
    assert (report.new, len(report.aside)) == (4, 4)
    assert not any("not in this file" in note for note in report.notes)
    report = tell(campaign, written(rows[1:], header=("question", "answer")), "short.csv", annotator="cy")
    assert "1 of the 8 questions of batch 1 is not in this file." in report.notes
