"""Value types: checked where they are made, with messages that say what was expected and what came."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import bayesrm as brm
from bayesrm import types
from bayesrm.errors import BayesRMError, InvalidInputError

EMBEDDINGS = np.arange(12.0).reshape(4, 3)
PROMPT = np.array(["b", "a", "b", "c"])
FIRST, SECOND, OUTCOME = np.array([0, 2, 1]), np.array([1, 0, 3]), np.array([1.0, 0.0, 0.5])


def _with(row: int, value: float) -> np.ndarray:
    embeddings = EMBEDDINGS.copy()
    embeddings[row, 1] = value
    return embeddings


@pytest.mark.parametrize(
    ("embeddings", "prompt", "texts", "message"),
    [
        (np.zeros((2, 3, 4)), PROMPT, None, r"shape \(response, embedding\), got \(2, 3, 4\).*load_pool"),
        (np.zeros(3), PROMPT, None, r"got \(3,\)"),
        (np.zeros((4, 3), int), PROMPT, None, "floating-point embeddings, got int64"),
        (np.full((4, 3), "x"), PROMPT, None, "floating-point"),
        (np.zeros((4, 3), complex), PROMPT, None, "floating-point embeddings, got complex128"),
        (np.zeros((0, 3)), PROMPT[:0], None, r"a pool with responses, got .* \(0, 3\)"),
        (np.zeros((4, 0)), PROMPT, None, r"\(4, 0\)"),
        (EMBEDDINGS, PROMPT[:3], None, r"one prompt label for each of the 4 responses, got shape \(3,\)"),
        (EMBEDDINGS, np.zeros((4, 1), int), None, r"got shape \(4, 1\)"),
        (EMBEDDINGS, PROMPT, ["one", "two"], "expected 4 texts, one a response, got 2"),
        (_with(2, np.nan), PROMPT, None, r"NaN or infinity in 1 of 4 responses \(the first is response 2\)"),
        (_with(1, -np.inf), PROMPT, None, "the first is response 1"),
        (_with(3, 1e300), PROMPT, None, "the first is response 3"),
    ],
)
def test_pool_rejects(embeddings, prompt, texts, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.ResponsePool(embeddings, prompt, texts)


def test_errors_are_value_errors_of_one_family():
    assert issubclass(InvalidInputError, (BayesRMError, ValueError))


@pytest.mark.parametrize(
    "embeddings",
    [
        EMBEDDINGS,
        EMBEDDINGS.astype(np.float16),
        EMBEDDINGS.tolist(),
        np.asfortranarray(EMBEDDINGS),
        torch.tensor(EMBEDDINGS, requires_grad=True),
        torch.tensor(EMBEDDINGS, dtype=torch.bfloat16),
        torch.tensor(EMBEDDINGS, dtype=torch.float16),
    ],
    ids=["float64", "float16", "list", "fortran", "tensor with gradient", "bfloat16", "torch float16"],
)
def test_pool_takes_any_floating_array(embeddings):
    pool = brm.ResponsePool(embeddings, torch.tensor([7, 5, 7, 6]))
    assert (len(pool), pool.dim, pool.n_prompts) == (4, 3, 3)
    rows = pool.rows(np.array([2, 0]))
    assert rows.dtype == np.float32
    assert np.array_equal(rows, EMBEDDINGS[[2, 0]])


def test_ragged_prompts_in_any_order():
    pool = brm.ResponsePool(EMBEDDINGS, PROMPT)
    assert pool.prompts.tolist() == ["a", "b", "c"]
    assert pool.group.tolist() == [1, 0, 1, 2]
    assert [members.tolist() for members in pool.members] == [[1], [0, 2], [3]]
    assert repr(pool) == "ResponsePool(4 responses of dimension 3 to 3 prompts)"


def test_members_partition_a_large_ragged_pool():
    prompt = np.random.default_rng(0).integers(0, 300, 5000)
    pool = brm.ResponsePool(np.zeros((5000, 1)), prompt)
    assert np.array_equal(np.sort(np.concatenate(pool.members)), np.arange(5000))
    for label, members in zip(pool.prompts, pool.members, strict=True):
        assert np.array_equal(members, np.flatnonzero(prompt == label))


def test_pools_are_equal_by_content_and_not_hashable():
    assert brm.ResponsePool(EMBEDDINGS, PROMPT) == brm.ResponsePool(EMBEDDINGS.copy(), PROMPT.copy())
    assert brm.ResponsePool(EMBEDDINGS, PROMPT) != brm.ResponsePool(EMBEDDINGS + 1, PROMPT)
    assert brm.ResponsePool(EMBEDDINGS, PROMPT) != brm.ResponsePool(EMBEDDINGS, PROMPT[::-1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(brm.ResponsePool(EMBEDDINGS, PROMPT))


def test_large_memory_map_is_not_read_when_made_and_checked_when_read(tmp_path):
    dim = 1024
    rows = types.EAGER_CHECK_BYTES // (4 * dim) + 1
    file = tmp_path / "embeddings.npy"
    sparse = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(rows, dim))
    sparse[rows // 2, 3] = np.nan
    sparse.flush()
    del sparse
    embeddings = np.load(file, mmap_mode="r")
    pool = brm.ResponsePool(embeddings, np.arange(rows) // 10)
    assert pool.embeddings is embeddings
    assert not pool.rows(np.array([0, rows - 1])).any()
    with pytest.raises(InvalidInputError, match=f"the first is response {rows // 2}"):
        pool.rows(np.arange(rows // 2 - 1, rows // 2 + 2))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [1], "first and second of the same length, got 2 and 1"),
        ([0, 3], [1, 3], "got response 3 twice in pair 1"),
        ([0, -2], [1, 1], "first to be indices of at least 0, got -2"),
        ([0], [-1], "second to be indices of at least 0, got -1"),
        ([0.0], [1], "first to be integers .* got float64"),
        ([True], [False], "integers .* got bool"),
        ([[0]], [[1]], r"one-dimensional array of indices, got shape \(1, 1\)"),
        (0, 1, r"got shape \(\)"),
    ],
)
@pytest.mark.parametrize("cls", [brm.Comparisons, brm.Selection])
def test_comparisons_reject(cls, first, second, message):
    with pytest.raises(InvalidInputError, match=message):
        cls(first, second)


@pytest.mark.parametrize("kind", [list, np.int32, np.uint8, torch.tensor])
def test_comparisons_take_integers_of_any_kind(kind):
    convert = (lambda index: index.astype(kind)) if isinstance(kind, type) and kind is not list else kind
    comparisons = brm.Comparisons(convert(FIRST), convert(SECOND))
    assert comparisons.first.dtype == comparisons.second.dtype == np.int64
    assert comparisons.first.tolist() == FIRST.tolist()
    assert len(comparisons) == 3
    assert len(brm.Comparisons([], [])) == 0


def test_no_dates_are_no_indices():
    assert len(types.as_index([], "first")) == 0
    with pytest.raises(InvalidInputError, match=r"expected first to be integers .* got datetime64"):
        types.as_index(np.array([], "datetime64[s]"), "first")


def test_comparisons_outside_the_pool():
    pool = brm.ResponsePool(EMBEDDINGS, PROMPT)
    types.require_within(brm.Comparisons([0, 3], [3, 1]), pool)
    types.require_within(brm.Comparisons([], []), pool)
    with pytest.raises(InvalidInputError, match=r"second to be indices below 4.* got 4: do these pairs belong"):
        types.require_within(brm.Comparisons([0, 3], [4, 1]), pool)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"outcome": [1.0, 2.0, 0.0]}, "between 0 .* and 1 .* got 2.0 in comparison 1"),
        ({"outcome": [-0.1, 1.0, 0.0]}, "got -0.1 in comparison 0"),
        ({"outcome": [1.0, 0.0, np.nan]}, "got nan in comparison 2"),
        ({"outcome": [1.0, 0.0]}, r"one outcome for each of the 3 comparisons, got \(2,\)"),
        ({"outcome": np.ones((3, 1))}, r"got \(3, 1\)"),
        ({}, "one outcome for each of the 3 comparisons"),
        (
            {"outcome": OUTCOME, "annotator": ["me"]},
            r"one annotator for each of the 3 comparisons, got shape \(1,\)",
        ),
        ({"outcome": OUTCOME, "weight": [1.0, 1.0]}, "one weight for each of the 3"),
        ({"outcome": OUTCOME, "weight": [1.0, 0.0, 1.0]}, "weights that are positive and finite"),
        ({"outcome": OUTCOME, "weight": [1.0, -1.0, 1.0]}, "weights that are positive and finite"),
        ({"outcome": OUTCOME, "weight": [1.0, np.inf, 1.0]}, "weights that are positive and finite"),
        ({"outcome": OUTCOME, "weight": [1.0, np.nan, 1.0]}, "weights that are positive and finite"),
    ],
)
def test_preferences_reject(columns, message):
    with pytest.raises(InvalidInputError, match=message):
        brm.Preferences(FIRST, SECOND, **columns)


def test_preferences_take_booleans_and_tensors_as_outcomes():
    assert brm.Preferences(FIRST, SECOND, [True, False, True]).outcome.tolist() == [1.0, 0.0, 1.0]
    half = brm.Preferences(torch.tensor(FIRST), SECOND, torch.tensor([1.0, 0.0, 0.5], dtype=torch.bfloat16))
    assert half.outcome.tolist() == OUTCOME.tolist()
    assert half.outcome.dtype == np.float64


def test_none_is_empty_and_neutral():
    preferences = brm.Preferences(FIRST, SECOND, OUTCOME, weight=[1.0, 2.0, 3.0])
    none = brm.Preferences.none()
    assert len(none) == 0
    for joined in (none.append(preferences), preferences.append(none)):
        for column in ("first", "second", "outcome", "weight"):
            assert np.array_equal(getattr(joined, column), getattr(preferences, column))
        assert joined.annotator is None


def test_append_keeps_order_and_fills_what_only_one_side_has():
    left = brm.Preferences(FIRST, SECOND, OUTCOME, annotator=["x", "y", "z"])
    right = brm.Preferences([3], [2], [0.0], weight=[2.5])
    both = left.append(right)
    assert both.first.tolist() == [0, 2, 1, 3]
    assert both.second.tolist() == [1, 0, 3, 2]
    assert both.outcome.tolist() == [1.0, 0.0, 0.5, 0.0]
    assert both.annotator.tolist() == ["x", "y", "z", ""]
    assert both.weight.tolist() == [1.0, 1.0, 1.0, 2.5]
    assert len(left) == 3
    assert left.weight is None


SAME_PEOPLE = [
    np.array([1, 2, 3], dtype=object),
    np.array([1.0, 2.0, 3.0]),
    np.array([1, 2, 3], np.float32),
    np.array([1, 2, 3], np.uint64),
    np.array([1, 2, 3], np.int8),
]


@pytest.mark.parametrize("ids", SAME_PEOPLE, ids=lambda ids: str(ids.dtype))
def test_whole_numbers_are_the_same_annotators_in_every_array(ids):
    given = brm.Preferences(FIRST, SECOND, OUTCOME, annotator=ids)
    assert given.annotator.dtype == np.int64
    for other in ([4, 5, 6], ["ann", "bob", "eve"], None):
        more = brm.Preferences(FIRST, SECOND, OUTCOME, annotator=other)
        told = ["", "", ""] if other is None else [str(each) for each in other]
        assert given.append(more).annotator.astype(str).tolist() == ["1", "2", "3", *told]
        assert more.append(given).annotator.astype(str).tolist() == [*told, "1", "2", "3"]
    assert brm.Preferences.none().append(given).annotator.astype(str).tolist() == ["1", "2", "3"]


def test_names_of_annotators_in_an_object_array_can_stand_beside_numbers():
    named = brm.Preferences([0], [1], [1.0], annotator=np.array(["ann"], dtype=object))
    numbered = brm.Preferences([0], [1], [1.0], annotator=[7])
    assert named.append(numbered).annotator.tolist() == ["ann", "7"]
    assert numbered.append(named).annotator.tolist() == ["7", "ann"]


def test_numbers_of_annotators_that_are_too_large_for_an_int64_are_kept():
    large = brm.Preferences([0], [1], [1.0], annotator=np.array([2**64 - 1], np.uint64))
    assert large.append(brm.Preferences([0], [1], [1.0], annotator=[7])).annotator.tolist() == [
        str(2**64 - 1),
        "7",
    ]


def test_annotators_in_bytes_are_read_as_utf8():
    given = brm.Preferences([0, 2], [1, 3], [1.0, 0.0], annotator=np.array(["Zo\u00eb".encode(), b"ann"]))
    assert given.annotator.tolist() == ["Zo\u00eb", "ann"]


@pytest.mark.parametrize(
    ("annotator", "told"),
    [
        ([1.0, np.inf], "inf at 1"),
        ([1.0, 2.5], "2.5 at 1"),
        ([1.0, 2.0**63], "9.22.*e.18 at 1"),
        ([1 + 0j, 2], r"complex \(1\+0j\) at 0"),
        (np.array(["2020-01-01", "NaT"], "datetime64[ns]"), "NaT"),
        (np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"), "2020-01-01.* at 0"),
        (np.array([1, 2], "timedelta64[s]"), "1.* at 0"),
        (np.array([b"ann", b"Zo\xeb"]), "Zo.* at 1"),
    ],
)
def test_annotators_that_are_neither_texts_nor_whole_numbers(annotator, told):
    with pytest.raises(InvalidInputError, match=f"a text or a whole number as the annotator of each .*{told}"):
        brm.Preferences([0, 2], [1, 3], [1.0, 0.0], annotator=annotator)


@pytest.mark.parametrize("label", [np.inf, np.nan, 1j, np.datetime64("NaT")])
def test_prompts_that_are_no_labels(label):
    with pytest.raises(InvalidInputError, match="a text or a whole number as the prompt of each response"):
        brm.ResponsePool(EMBEDDINGS, np.array([label] * 4))


@pytest.mark.parametrize(
    ("index", "positions"),
    [
        (1, [1]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        ([2, 0], [2, 0]),
        (np.array([True, False, True]), [0, 2]),
        ([], []),
    ],
)
def test_getitem(index, positions):
    taken = brm.Preferences(FIRST, SECOND, OUTCOME, annotator=["x", "y", "z"], weight=[1.0, 2.0, 3.0])[index]
    assert taken.first.tolist() == FIRST[positions].tolist()
    assert taken.second.tolist() == SECOND[positions].tolist()
    assert taken.outcome.tolist() == OUTCOME[positions].tolist()
    assert taken.annotator.tolist() == np.array(["x", "y", "z"])[positions].tolist()
    assert taken.weight.tolist() == np.array([1.0, 2.0, 3.0])[positions].tolist()


def test_getitem_outside():
    with pytest.raises(IndexError):
        brm.Preferences(FIRST, SECOND, OUTCOME)[3]


@pytest.mark.parametrize(
    "value",
    [
        brm.ResponsePool(EMBEDDINGS, PROMPT),
        brm.Comparisons(FIRST, SECOND),
        brm.Preferences(FIRST, SECOND, OUTCOME),
        brm.Selection(FIRST, SECOND, gain=OUTCOME),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frozen(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.first = value.prompt = None


def test_preferences_do_not_change_with_the_arrays_they_were_made_of():
    columns = [FIRST.copy(), SECOND.copy(), OUTCOME.copy()]
    weight = np.ones(3)
    preferences = brm.Preferences(*columns, weight=weight)
    for column in (*columns, weight):
        column[:] = 0
    assert preferences.first.tolist() == FIRST.tolist()
    assert preferences.outcome.tolist() == OUTCOME.tolist()
    assert preferences.weight.tolist() == [1.0, 1.0, 1.0]


def test_selection_shortfall():
    assert brm.Selection(
        FIRST, SECOND, gain=np.array([3.0, 2.0, 1.0]), certificate=6.5
    ).shortfall == pytest.approx(0.5)
    assert brm.Selection(FIRST, SECOND, gain=np.array([3.0, 2.0, 1.0]), certificate=6.0 - 1e-15).shortfall == 0.0
    assert brm.Selection(FIRST, SECOND, gain=np.array([3.0, 2.0, 1.0])).shortfall is None


def test_selection_needs_a_gain_for_each_pair():
    with pytest.raises(InvalidInputError, match="gain"):
        brm.Selection(FIRST, SECOND, gain=np.array([1.0, 2.0]))
