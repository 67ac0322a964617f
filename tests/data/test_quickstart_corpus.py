"""The quickstart corpus is consistent, reproducible and neither trivial nor hopeless to learn from.

No model is needed: texts and golden reward are generated again, embeddings are read as they are stored.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = Path(__file__).parents[2] / "data"
QUICKSTART = DATA / "quickstart"
SPLITS = ("pool", "test")
PROMPTS = {"pool": 300, "test": 100}
TEN_MEGABYTES = 10_000_000
TOLERANCE_OF_CARD = 0.02
LARGEST_WORD_CORRELATION = 0.35
DANGEROUS = r"bleach|ammonia|socket|cable|pills|whisky|stop your|raw dried|rm -rf|kill -9|reset --hard"

sys.path.insert(0, str(DATA))

from quickstart_corpus import corpus, probes  # noqa: E402
from quickstart_corpus.banks import FAMILIES, WRITTEN_FAMILIES, load_items  # noqa: E402
from quickstart_corpus.profiles import Attributes  # noqa: E402
from quickstart_corpus.reward import Request, golden_reward  # noqa: E402


@pytest.fixture(scope="module", params=SPLITS)
def split(request: pytest.FixtureRequest) -> str:
    """Every test that asks for a split runs on both."""
    return str(request.param)


@pytest.fixture(scope="module")
def regenerated() -> dict[str, pd.DataFrame]:
    """Texts and golden reward made again from the seed in the card."""
    return dict(zip(SPLITS, corpus.generate(card("pool")["seed"]), strict=True))


def card(name: str) -> dict:
    """The card of a split."""
    return json.loads((QUICKSTART / name / "card.json").read_text(encoding="utf-8"))


def responses(name: str) -> pd.DataFrame:
    """The responses of a split."""
    return pd.read_parquet(QUICKSTART / name / "responses.parquet")


def attributes(name: str) -> pd.DataFrame:
    """What went into the golden reward of a split."""
    return pd.read_parquet(QUICKSTART / name / "attributes.parquet")


def golden(name: str) -> np.ndarray:
    """The golden reward of a split."""
    return np.load(QUICKSTART / name / "golden.npy", allow_pickle=False)


def embeddings(name: str) -> np.ndarray:
    """The embeddings of a split."""
    return np.load(QUICKSTART / name / "embeddings.npy", allow_pickle=False)


def as_split(name: str) -> probes.Split:
    """A split in the form that the probes take."""
    return probes.Split(
        embeddings(name).astype(np.float64),
        golden(name).astype(np.float64),
        responses(name)["prompt_id"].to_numpy(np.int64),
        attributes(name)["item"].to_numpy(np.int64),
    )


def test_files_match_the_checksums_of_the_card(split: str) -> None:
    for name, expected in card(split)["checksums"].items():
        assert hashlib.sha256((QUICKSTART / split / name).read_bytes()).hexdigest() == expected, name


def test_all_files_have_one_row_a_response(split: str) -> None:
    rows = card(split)["sizes"]["responses"]
    assert embeddings(split).shape == (rows, 384)
    assert embeddings(split).dtype == np.float16
    assert golden(split).shape == (rows,)
    assert golden(split).dtype == np.float32
    assert len(responses(split)) == rows
    assert len(attributes(split)) == rows


def test_responses_have_the_columns_of_a_pool(split: str) -> None:
    table = responses(split)
    assert list(table.columns) == ["prompt_id", "prompt", "response", "generator", "source"]
    assert table["prompt_id"].dtype == np.int32
    assert set(table["source"]) == set(FAMILIES)


def test_rows_of_a_prompt_are_contiguous_and_differ(split: str) -> None:
    table = responses(split)
    assert (np.diff(table["prompt_id"]) >= 0).all()
    assert table["prompt_id"].nunique() == table["prompt"].nunique() == PROMPTS[split]
    assert not table.duplicated(["prompt", "response"]).any()
    words = table["response"].str.split().str.len()
    assert words.between(corpus.FEWEST_WORDS, corpus.MOST_WORDS).all()


def test_pool_is_ragged_and_test_is_not() -> None:
    assert set(responses("pool").groupby("prompt_id").size()) == {10, 11, 12}
    assert set(responses("test").groupby("prompt_id").size()) == {40}


def test_everything_together_is_small() -> None:
    assert sum(path.stat().st_size for path in QUICKSTART.rglob("*") if path.is_file()) < TEN_MEGABYTES


def test_no_prompt_is_in_pool_and_test() -> None:
    assert not set(responses("pool")["prompt"]) & set(responses("test")["prompt"])


def test_embeddings_are_finite_and_of_unit_length(split: str) -> None:
    norms = np.linalg.norm(embeddings(split).astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=2e-3)


def test_golden_is_standardised_over_the_pool() -> None:
    assert np.isfinite(golden("pool")).all()
    assert np.isfinite(golden("test")).all()
    assert abs(golden("pool").mean(dtype=np.float64)) < 1e-5
    assert abs(golden("pool").std(dtype=np.float64) - 1.0) < 1e-5
    assert abs(golden("test").mean()) < 0.2
    assert 0.8 < golden("test").std() < 1.2


def test_golden_varies_within_prompts(split: str) -> None:
    within = probes.subtract_prompt_means(
        golden(split).astype(np.float64), responses(split)["prompt_id"].to_numpy(np.int64)
    )
    assert within.std() > 0.6 * golden(split).std()


def test_texts_are_reproduced_to_the_character(split: str, regenerated: dict[str, pd.DataFrame]) -> None:
    again = regenerated[split]
    for column in ("prompt_id", "prompt", "response", "generator", "source"):
        assert list(again[column]) == list(responses(split)[column]), column


def test_golden_and_attributes_are_reproduced_exactly(split: str, regenerated: dict[str, pd.DataFrame]) -> None:
    again = regenerated[split]
    np.testing.assert_array_equal(again["golden"], golden(split))
    stored = attributes(split)
    pd.testing.assert_frame_equal(again[list(stored.columns)], stored, check_exact=True)


def test_prompts_about_one_item_share_its_number() -> None:
    """Folds over items keep such prompts together, so that penalties are chosen for items never seen."""
    stored = attributes("pool")
    assert (stored.groupby("prompt_id")["item"].nunique() == 1).all()
    prompts_of_items = stored.groupby("item")["prompt_id"].nunique()
    assert len(prompts_of_items) == 120
    assert set(prompts_of_items) == {1, 3}


def test_another_seed_gives_other_texts(regenerated: dict[str, pd.DataFrame]) -> None:
    other, _ = corpus.generate(1)
    assert set(other["response"]).isdisjoint(regenerated["pool"]["response"][:50]) or (
        list(other["response"]) != list(regenerated["pool"]["response"])
    )


def test_no_placeholder_is_left_in_the_texts(split: str) -> None:
    table = responses(split)
    assert not table["response"].str.contains(r"\{topic|\{other|\[[^\]`]*\|", regex=True).any()


def test_wrong_points_do_not_name_what_hurts() -> None:
    """A guard against the worst, no proof: the banks were also read through for it."""
    points = [point for family in WRITTEN_FAMILIES for item in load_items(family) for point in item.bad]
    assert not [point for point in points if re.search(DANGEROUS, point, re.IGNORECASE)]


def test_card_gives_the_linear_probe() -> None:
    measured = probes.linear_figures(as_split("pool"), as_split("test"))
    stated = card("pool")["figures"]["probes_fitted_on_pool_scored_on_test"]
    for name, value in measured.items():
        assert abs(value - stated[name]) < TOLERANCE_OF_CARD, (name, value, stated[name])


def test_linear_probe_explains_a_part_and_the_nonlinear_probe_more() -> None:
    stated = card("test")["figures"]["probes_fitted_on_pool_scored_on_test"]
    assert 0.25 < stated["linear_r2_overall"] < 0.65
    assert 0.4 < stated["linear_spearman_within"] < 0.7
    assert stated["nonlinear_r2_within"] > stated["linear_r2_within"] + 0.03


def test_more_labels_teach_more() -> None:
    curve = card("pool")["figures"]["one_minus_spearman_within_test_prompts_by_number_of_labels"]
    losses = [curve[str(count)] for count in probes.LABEL_COUNTS]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] - losses[-1] > 0.1


def test_no_single_word_gives_the_golden_reward_away(split: str) -> None:
    words = responses(split)["response"].str.lower().str.findall(r"[a-z']+").map(set)
    rewards = golden(split).astype(np.float64)
    rewards = (rewards - rewards.mean()) / rewards.std()
    worst = max((abs(correlation(words, word, rewards)), word) for word in set.union(*words))
    assert worst[0] < LARGEST_WORD_CORRELATION, worst


def correlation(words: pd.Series, word: str, rewards: np.ndarray) -> float:
    """Correlation of the presence of a word with rewards of mean 0 and sd 1, at least five times present."""
    present = np.fromiter((word in row for row in words), dtype=bool, count=len(words))
    share = present.mean()
    if present.sum() < 5 or share == 1.0:
        return 0.0
    return float(rewards[present].sum() / len(rewards) / np.sqrt(share * (1 - share)))


PERFECT = Attributes(4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, False)
WRONG = Attributes(0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, False)


def reward(family: str, attributes: Attributes, words: int = 80) -> float:
    """Golden reward of an answer to a prompt of middling difficulty."""
    return golden_reward(Request(family, "none", 0.5), attributes, words, 0.0)


def test_length_helps_right_answers_and_hurts_wrong_ones() -> None:
    assert reward("facts", PERFECT, 120) > reward("facts", PERFECT, 60)
    assert reward("facts", WRONG, 120) < reward("facts", WRONG, 60)


def test_hedging_suits_health_and_not_facts() -> None:
    hedged = Attributes(4, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, False)
    assert reward("health", hedged) > reward("health", PERFECT)
    assert reward("facts", hedged) < reward("facts", PERFECT)


def test_refusing_is_right_only_where_help_would_harm() -> None:
    refusing = Attributes(0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, False)
    helping_with_harm = Attributes(0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, False)
    assert reward("harmful", refusing) > reward("harmful", helping_with_harm)
    assert reward("howto", refusing) < reward("howto", WRONG)


def test_nothing_rescues_an_answer_that_is_off_topic() -> None:
    charming = Attributes(0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, False)
    assert reward("travel", charming) < reward("travel", WRONG)


def test_a_reward_by_hand() -> None:
    """Four right points in 60 words, no frills: 1.5 for accuracy and coverage, nothing else."""
    assert reward("facts", PERFECT, 60) == pytest.approx(1.5)
