"""BatchBALD against batchbald_redux, the implementation that the paper used, on the same posterior draws.

    python tests/benchmarks/batchbald.py --out batchbald.json          # 20,000 pairs, batch of 50, 100 draws
    python tests/benchmarks/batchbald.py --pairs 2000 --batch 15      # the same in seconds

batchbald-redux is no dependency of the project: install it beside the project to run this. Both get the same draws, and
times are the processor's, of one thread. The batches are then held against each other by their joint information under
these draws, estimated far more closely than either estimates it while choosing, and by that under the Gaussian
posterior itself, ½ log det(I + W^½ K W^½).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # before batchbald_redux is imported

import numpy as np
import torch
from batchbald_redux.batchbald import get_batchbald_batch
from run import posterior_and_candidates

import bayesrm as brm
from bayesrm import rng
from bayesrm.design import CRITERIA
from bayesrm.design.base import Design
from bayesrm.design.candidates.sets import CandidateSet
from bayesrm.design.selectors.greedy import Greedy

DRAWS = 100


def log_probabilities(posterior: brm.RewardPosterior, candidates: CandidateSet) -> torch.Tensor:
    """(pair, draw, outcome) under the very draws that the design takes with seed 0."""
    rewards = posterior.sample_rewards(
        candidates.pool, candidates.responses, DRAWS, rng.stream(0, "batchbald")
    ).double()
    first, second = candidates.pairs_at(np.arange(len(candidates)))
    logit = (rewards[:, first] - rewards[:, second]).T
    return torch.nn.functional.logsigmoid(torch.stack([-logit, logit], dim=2))


def ours(
    posterior: brm.RewardPosterior, candidates: CandidateSet, size: int, configurations: int
) -> tuple[list[int], list[float], float]:
    """Positions, gains and seconds."""
    design = Design(CRITERIA["batchbald"](draws=DRAWS, configurations=configurations), Greedy())
    start = time.process_time()
    batch = design.select(posterior, candidates, size)
    seconds = time.process_time() - start
    ends = zip(candidates.first.tolist(), candidates.second.tolist(), strict=True)
    where = {pair: k for k, pair in enumerate(ends)}
    chosen = [where[pair] for pair in zip(batch.first.tolist(), batch.second.tolist(), strict=True)]
    return chosen, batch.gain.tolist(), seconds


def theirs(log_p: torch.Tensor, size: int, configurations: int) -> tuple[list[int], list[float], float]:
    """Positions, joint information after each, and seconds."""
    torch.manual_seed(0)
    start = time.process_time()
    batch = get_batchbald_batch(log_p, size, configurations, dtype=log_p.dtype)
    return batch.indices, batch.scores, time.process_time() - start


def joint_information(log_p: torch.Tensor, chosen: list[int], samples: int = 100_000) -> tuple[float, float]:
    """I(y_C; k) = E log p(y_C | k) / p(y_C) with its standard error, over sampled draws k and answers y_C."""
    generator = torch.Generator().manual_seed(1)
    log_p = log_p[chosen].double()
    values = []
    for _ in range(samples // 5_000):
        draw = torch.randint(DRAWS, (5_000,), generator=generator)
        first = (
            torch.rand((5_000, len(chosen)), generator=generator, dtype=torch.float64) < log_p[:, draw, 1].T.exp()
        )
        # log p(y | k) of every draw k: a sum over the batch of either outcome's.
        joint = first.double() @ log_p[:, :, 1] + (~first).double() @ log_p[:, :, 0]
        values.append(joint.gather(1, draw[:, None])[:, 0] - joint.logsumexp(dim=1) + np.log(DRAWS))
    value = torch.cat(values)
    return float(value.mean()), float(value.std() / len(value) ** 0.5)


def gaussian_information(posterior: brm.RewardPosterior, candidates: CandidateSet, chosen: list[int]) -> float:
    """½ log det(I + W^½ K W^½) of a batch, in nats, whose ceiling is not log K."""
    objective = CRITERIA["batchbald-gaussian"]().objective(posterior, candidates)
    return float(objective.gains(candidates.block_at(np.array(chosen))).sum())


def agreement() -> dict[str, Any]:
    """200 pairs, a batch of 5: both enumerate, so both choose the same; sampled, redux agrees within its error."""
    posterior, candidates = posterior_and_candidates(200, 64)
    log_p = log_probabilities(posterior, candidates)
    chosen, gains, _ = ours(posterior, candidates, 5, 1024)
    others, information, _ = theirs(log_p, 5, 1024)
    assert chosen == others, f"ours are {chosen}, theirs {others}"
    np.testing.assert_allclose(np.cumsum(gains), information, atol=1e-9)
    # With 1,600 samples redux still enumerates; below 32 it samples, and 16 a draw is what it is usually given.
    exact, error = joint_information(log_p, chosen)
    assert abs(exact - information[-1]) < 5 * error
    return {
        "pairs": 200,
        "batch": 5,
        "ours": float(np.sum(gains)),
        "batchbald_redux": information[-1],
        "sampled": exact,
        "sampled_standard_error": error,
    }


def speed(pairs: int, size: int, theirs_size: int, configurations: int) -> dict[str, Any]:
    """Seconds of both for the same batch size and number of configurations, and what the batches are worth."""
    posterior, candidates = posterior_and_candidates(pairs, 64)
    log_p = log_probabilities(posterior, candidates)
    mine, _, seconds = ours(posterior, candidates, size, configurations)
    others, _, their_seconds = theirs(log_p.float(), theirs_size, configurations)
    # Like with like: where redux was given fewer picks, ours is timed for as many, too.
    same_seconds = seconds if theirs_size == size else ours(posterior, candidates, theirs_size, configurations)[2]
    result: dict[str, Any] = {
        "pairs": pairs,
        "draws": DRAWS,
        "configurations": configurations,
        "batch": size,
        "seconds": seconds,
        "batch_of_batchbald_redux": theirs_size,
        "seconds_for_that": same_seconds,
        "reference_seconds": their_seconds,
        "times_faster": their_seconds / same_seconds,
        "log_draws": float(np.log(DRAWS)),
    }
    for name, chosen in (("ours", mine[:theirs_size]), ("batchbald_redux", others)):
        value, error = joint_information(log_p, chosen)
        result[f"joint_information_{name}"] = value
        result[f"joint_information_{name}_standard_error"] = error
        result[f"gaussian_information_{name}"] = gaussian_information(posterior, candidates, chosen)
    return result


def main() -> None:
    """Run both comparisons, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--redux-batch", type=int, help="fewer picks for batchbald_redux, which is slow")
    parser.add_argument("--configurations", type=int, default=1_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        "agreement": agreement(),
        "speed": speed(
            arguments.pairs, arguments.batch, arguments.redux_batch or arguments.batch, arguments.configurations
        ),
    }
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
