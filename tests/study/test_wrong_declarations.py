"""A study's TOML with something wrong in it is refused in one sentence that names the file."""

from __future__ import annotations

import pytest

from bayesrm.errors import InvalidInputError
from bayesrm.study.declaration import load_study

DECLARED = """
title = "t"
question = "q"

[settings]
rounds = 2

[grid]
seed = 2

[grid.design]
shared = ["a"]

[tiny]
grid = { design = ["a"] }
"""


@pytest.fixture
def cells(tmp_path):
    """What a study of these bytes has."""
    (tmp_path / "wrong.py").touch()
    (tmp_path / "axes").mkdir()
    (tmp_path / "axes" / "design.toml").write_text('a = { design = "random" }\nb = { design = "bald" }\n')

    def load(declared: str | bytes, tiny: bool = False):
        data = declared if isinstance(declared, bytes) else declared.encode()
        (tmp_path / "wrong.toml").write_bytes(data)
        study = load_study("wrong", tiny=tiny, folder=tmp_path)
        return study.cells(tmp_path / "out", {"pool": (tmp_path / "pool", None)})

    return load


def test_what_is_declared_is_two_cells(cells):
    assert len(cells(DECLARED)) == 2
    assert len(cells(DECLARED, tiny=True)) == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('shared = ["a"]', f"shared = {wrong}")
        for wrong in ("[{a = 1}]", "[[1]]", "[nan]", "1", "[]", "{}", '["c"]', '"a"', "[1979-05-27]")
    ]
    + [('["a"] }', f"{wrong} }}") for wrong in ("[{a = 1}]", "[[1]]", "1", "[]", "{}", "[1979-05-27]")]
    + [
        ("seed = 2", f"seed = {wrong}")
        for wrong in ("99999999999999999999", "10001", "0", "-1", "[-1]", "nan", "true", "{}", "[1, 1]", "[[1]]")
    ]
    + [("rounds = 2", f"rounds = {wrong}") for wrong in ("nan", "-1", "inf", "'x'", "[]", "{}", "1979-05-27")]
    + [
        ("rounds = 2", "unknown = 2"),
        ("[grid]", "unknown = 1\n[grid]"),
        ('title = "t"', ""),
        ('"t"', '"t'),
        ("t", "\0"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(cells, right, wrong):
    with pytest.raises(InvalidInputError) as refused:
        cells(DECLARED.replace(right, wrong, 1), tiny=right.startswith('["a"]'))
    assert "wrong.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", [b"\xff", b"title = " + b"[" * 5000])
def test_what_is_no_toml_is_refused(cells, data):
    with pytest.raises(InvalidInputError, match="is no valid TOML"):
        cells(data)
