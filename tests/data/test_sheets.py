"""CSV as spreadsheets write it: separators, encodings, and what is refused with a sentence."""

from __future__ import annotations

import gzip

import pytest

from bayesrm.data.sources import read_rows
from bayesrm.data.texts import read_texts
from bayesrm.errors import InvalidInputError


@pytest.fixture
def rows(tmp_path):
    """Write bytes as a file, and read its rows; with the notes."""

    def make(data, name="rows.csv"):
        (tmp_path / name).write_bytes(data)
        notes = []
        return [row for _, row in read_rows(str(tmp_path / name), notes=notes)], notes

    return make


GERMAN = "prompt;response;note\nWas, bitte?;Käse, Öl & „Brot“;1,5\n"
ROW = {"prompt": "Was, bitte?", "response": "Käse, Öl & „Brot“", "note": "1,5"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (GERMAN.encode(), "rows.csv"),
        (b"\xef\xbb\xbf" + GERMAN.encode(), "rows.csv"),
        (GERMAN.replace("\n", "\r\n").encode(), "rows.csv"),
        (b"sep=;\r\n" + GERMAN.encode(), "rows.csv"),
        (GERMAN.replace(";", "\t").encode(), "rows.tsv"),
        (GERMAN.replace(";", "\t").encode("utf-16"), "rows.csv"),
        (gzip.compress(GERMAN.encode(), mtime=0), "rows.csv.gz"),
        ('prompt,response,note\n"Was, bitte?","Käse, Öl & „Brot“","1,5"\n'.encode(), "rows.csv"),
    ],
)
def test_every_usual_separator_and_encoding_reads_the_same(rows, data, name):
    assert rows(data, name) == ([ROW], [])


def test_windows_1252_is_read_and_said(rows):
    found, notes = rows(GERMAN.encode("cp1252"))
    assert found == [ROW]
    assert len(notes) == 1
    assert "Windows-1252" in notes[0]


def test_the_separator_is_that_of_the_header(rows):
    assert rows(b"prompt,response\na;b;c;d,e\n")[0] == [{"prompt": "a;b;c;d", "response": "e"}]
    assert rows(b'"a;b";response\nx;y\n')[0] == [{"a;b": "x", "response": "y"}]
    assert rows(b'"two\nlines";response\nx;y\n')[0] == [{"two\nlines": "x", "response": "y"}]


def test_utf8_with_a_damaged_byte_stays_utf8(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("prompt,response\nKäse?,Ja\n".encode() + b"K\xe4se?,Nein\n")
    texts = read_texts(str(path))
    assert list(texts.responses) == ["Ja"]
    assert "expected valid UTF-8 in prompt" in texts.broken[0].reason
    assert "save the file as UTF-8, which spreadsheets call CSV UTF-8" in texts.broken[0].reason


def test_a_letter_across_blocks_is_seen(rows, monkeypatch):
    from bayesrm.data import sheets

    for block in range(1, 9):
        monkeypatch.setattr(sheets, "_BLOCK", block)
        assert rows("prompt,response\nxxäöx,Ja\n".encode()) == ([{"prompt": "xxäöx", "response": "Ja"}], [])


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"prompt,response,response\na,b,c\n", "rows.csv", "got response twice"),
        (b'prompt,response\na,"b\nc,d\n', "rows.csv", "line 3 is none"),
        (GERMAN.encode("utf-16")[:-1], "rows.csv", "expected UTF-16"),
        (gzip.compress(GERMAN.encode() * 99, mtime=0)[:60], "rows.csv.gz", "cannot be read to its end"),
        (b"no gzip", "rows.jsonl.gz", "cannot be read to its end"),
        (b'[{"a": 1}', "rows.json", "damaged"),
    ],
)
def test_a_file_that_cannot_be_read_ends_in_a_sentence(rows, data, name, reason):
    with pytest.raises(InvalidInputError, match=reason):
        rows(data, name)


def test_a_name_that_is_none(tmp_path):
    for name in ("x" * 5000, "a/" * 3000 + "x.csv", str(tmp_path / ("y" * 300)) + ".csv"):
        with pytest.raises(InvalidInputError, match="expected"):
            list(read_rows(name))


def test_columns_of_one_name_in_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"]), tmp_path / "rows.parquet"
    )
    with pytest.raises(InvalidInputError, match="got prompt twice"):
        list(read_rows(str(tmp_path / "rows.parquet")))


def test_the_model_that_wrote_an_answer_is_its_generator(tmp_path):
    (tmp_path / "rows.csv").write_text("prompt;response;model\nSea?;Wet;m1\nSea?;Dry;\n")
    assert read_texts(str(tmp_path / "rows.csv")).generators == ["m1", None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_sheet_that_ends_within_a_row_is_told_of(rows, encoding):
    whole = "prompt,response\nWas?,Käse\n"
    found, notes = rows((whole + "Wer?,niem").encode(encoding))
    assert found[1] == {"prompt": "Wer?", "response": "niem"}
    assert any("ends without a line end: if it was cut off" in note for note in notes)
    assert not any("line end" in note for note in rows(whole.encode(encoding))[1])
