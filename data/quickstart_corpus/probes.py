"""How much of the golden reward can be read off the embeddings, and how fast.

Three questions, the same for our corpus and for any real pool that is stored in the same format:

* ``probe_figures`` fits a linear probe (ridge regression) and a nonlinear one (kernel ridge regression)
  on every response of the pool and scores both on the test prompts. "Overall" keeps the differences
  between prompts, "within" subtracts the prompt means of golden reward and embeddings first. With d the
  deviation of an embedding from its prompt's mean m, the nonlinear probe has the kernel k(d, d') (1/2 +
  k(m, m')), so that what counts may depend on the topic, plus k(m, m') for the overall level; k is
  Gaussian.
* ``learning_curve`` asks what comparisons alone would teach: it draws Bradley-Terry labels, P(first
  preferred) = sigmoid(2 (g_i - g_j)), on random pairs within pool prompts, fits a ridge-regularised
  logistic regression on the embedding differences and reports 1 - Spearman within the test prompts.

Ridge penalties are chosen on the pool by five-fold cross-validation over items, never over responses or prompts:
prompts about the same item share their right and wrong points, so folds that part them would prefer too small a
penalty. In a pool without items every prompt is an item of its own. The form and width of the kernel and the
penalty of the logistic regression are fixed; they were picked once while this corpus was designed, with the test
figures in view, so those figures describe the corpus and are no fair contest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, GroupKFold

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RIDGE_PENALTIES = [float(penalty) for penalty in np.logspace(2, 5, 7)]
KERNEL_PENALTIES = [0.1, 0.3, 1.0, 3.0]
KERNEL_GAMMA = 0.001
LABEL_COUNTS = (125, 250, 500, 1000)
LOGISTIC_C = 0.001
BRADLEY_TERRY_SCALE = 2.0
DEAD_DIMENSION = 1e-6


@dataclass(frozen=True)
class Split:
    """Embeddings, golden reward, prompt and item (what the prompt is about) of every response, row by row."""

    embeddings: FloatArray
    golden: FloatArray
    prompt_id: IntArray
    item: IntArray

    def __post_init__(self) -> None:
        lengths = {len(self.embeddings), len(self.golden), len(self.prompt_id), len(self.item)}
        if len(lengths) != 1:
            raise ValueError(f"Expected embedding, reward, prompt and item a row, got lengths {lengths}.")


def subtract_prompt_means(values: FloatArray, prompt_id: IntArray) -> FloatArray:
    """Each row minus the mean of the rows of its prompt."""
    _, index, counts = np.unique(prompt_id, return_inverse=True, return_counts=True)
    totals = np.zeros((len(counts), *values.shape[1:]))
    np.add.at(totals, index, values)
    means = (totals.T / counts).T
    return values - means[index]


def spearman_within_prompts(predicted: FloatArray, golden: FloatArray, prompt_id: IntArray) -> float:
    """Mean over prompts of the rank correlation between predicted and golden reward."""
    per_prompt = []
    for prompt in np.unique(prompt_id):
        rows = prompt_id == prompt
        per_prompt.append(spearmanr(predicted[rows], golden[rows]).statistic)
    return float(np.mean(per_prompt))


def probe_figures(pool: Split, test: Split) -> dict[str, float]:
    """Held-out R-squared and mean within-prompt Spearman of the linear and the nonlinear probe."""
    return linear_figures(pool, test) | nonlinear_figures(pool, test)


def linear_figures(pool: Split, test: Split) -> dict[str, float]:
    """Ridge regression on the embeddings, and on their deviations from the prompt means."""
    whole = standardised_like(pool.embeddings, test.embeddings)
    overall = predict(Ridge(), RIDGE_PENALTIES, *whole, pool.golden, pool.item)
    deviation = standardised_like(
        subtract_prompt_means(pool.embeddings, pool.prompt_id),
        subtract_prompt_means(test.embeddings, test.prompt_id),
    )
    pool_within = subtract_prompt_means(pool.golden, pool.prompt_id)
    within = predict(Ridge(), RIDGE_PENALTIES, *deviation, pool_within, pool.item)
    return score("linear", overall, within, test)


def nonlinear_figures(pool: Split, test: Split) -> dict[str, float]:
    """Kernel ridge regression in which the topic may change what a deviation is worth."""
    pool_deviation = subtract_prompt_means(pool.embeddings, pool.prompt_id)
    test_deviation = subtract_prompt_means(test.embeddings, test.prompt_id)
    topic = gaussian(*standardised_like(pool.embeddings - pool_deviation, test.embeddings - test_deviation))
    deviation = gaussian(*standardised_like(pool_deviation, test_deviation))
    by_topic = deviation[0] * (0.5 + topic[0]), deviation[1] * (0.5 + topic[1])
    with_level = by_topic[0] + topic[0], by_topic[1] + topic[1]
    probe = KernelRidge(kernel="precomputed")
    pool_within = subtract_prompt_means(pool.golden, pool.prompt_id)
    overall = predict(probe, KERNEL_PENALTIES, *with_level, pool.golden, pool.item)
    within = predict(probe, KERNEL_PENALTIES, *by_topic, pool_within, pool.item)
    return score("nonlinear", overall, within, test)


def score(probe: str, overall: FloatArray, within: FloatArray, test: Split) -> dict[str, float]:
    """R-squared of both predictions, and the Spearman correlation within prompts of the second."""
    true_within = subtract_prompt_means(test.golden, test.prompt_id)
    within = subtract_prompt_means(within, test.prompt_id)
    return {
        f"{probe}_r2_overall": float(r2_score(test.golden, overall)),
        f"{probe}_r2_within": float(r2_score(true_within, within)),
        f"{probe}_spearman_within": spearman_within_prompts(within, true_within, test.prompt_id),
    }


def gaussian(pool: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gaussian kernel of the pool with itself and of the test with the pool, its width fixed."""
    return rbf_kernel(pool, pool, gamma=KERNEL_GAMMA), rbf_kernel(test, pool, gamma=KERNEL_GAMMA)


def predict(
    probe: Ridge | KernelRidge,
    penalties: list[float],
    pool_features: FloatArray,
    test_features: FloatArray,
    golden: FloatArray,
    item: IntArray,
) -> FloatArray:
    """Test predictions of the probe, fitted on the pool with the penalty that left-out items prefer."""
    search = GridSearchCV(probe, {"alpha": penalties}, cv=GroupKFold(5), scoring="neg_mean_squared_error")
    return search.fit(pool_features, golden, groups=item).predict(test_features)


def standardised_like(pool: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both with the pool's mean 0 and sd 1 a dimension; dimensions that are constant in the pool become 0."""
    mean, sd = pool.mean(axis=0), pool.std(axis=0)
    alive = sd > DEAD_DIMENSION
    scale = np.where(alive, 1.0 / np.where(alive, sd, 1.0), 0.0)
    return (pool - mean) * scale, (test - mean) * scale


def learning_curve(pool: Split, test: Split, rng: np.random.Generator, repeats: int = 10) -> dict[str, float]:
    """Mean of 1 - Spearman within test prompts for each number of labels, over ``repeats`` draws of pairs."""
    pool_features, test_features = standardised_like(pool.embeddings, test.embeddings)
    losses: dict[int, list[float]] = {count: [] for count in LABEL_COUNTS}
    for _ in range(repeats):
        first, second = random_pairs_within_prompts(pool.prompt_id, max(LABEL_COUNTS), rng)
        gap = pool.golden[first] - pool.golden[second]
        first_preferred = rng.random(len(gap)) < 1.0 / (1.0 + np.exp(-BRADLEY_TERRY_SCALE * gap))
        differences = pool_features[first] - pool_features[second]
        for count in LABEL_COUNTS:
            model = LogisticRegression(C=LOGISTIC_C, fit_intercept=False, max_iter=1000)
            model.fit(differences[:count], first_preferred[:count])
            predicted = test_features @ model.coef_[0]
            losses[count].append(1.0 - spearman_within_prompts(predicted, test.golden, test.prompt_id))
    return {str(count): float(np.mean(values)) for count, values in losses.items()}


def random_pairs_within_prompts(
    prompt_id: IntArray, count: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Rows of ``count`` pairs: a prompt at random, then two different responses to it at random."""
    rows_of = [np.flatnonzero(prompt_id == prompt) for prompt in np.unique(prompt_id)]
    chosen = rng.integers(len(rows_of), size=count)
    pairs = np.array([rng.choice(rows_of[prompt], size=2, replace=False) for prompt in chosen])
    return pairs[:, 0], pairs[:, 1]
