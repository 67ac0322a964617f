"""Whom to ask, and whether twice: real workers of a pool with recorded votes, several a pair.

    python tests/benchmarks/annotators.py ../shared/data/arguments --seeds 8 --out annotators.jsonl

Only workers with at least 60 votes take part, as of others nothing is known. After --known random votes a reliability
of each is fitted. --more answers follow: to new random pairs, each by a worker drawn among those who voted on it
("random") or by the one whose answer is expected to teach most ("chosen"); or to half as many of these pairs, by two
workers drawn ("twice"). Printed: 1 − Spearman within test prompts after the same number of answers, and differences to
"random" with an interval over seeds. A line a seed; what is in the file is not computed again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import bayesrm as brm
from bayesrm.design.answers import information_by_annotator, worth_of_repeat
from bayesrm.evaluation.intervals import paired_interval

VOTES_OF_A_WORKER = 60
WAYS = ("random", "chosen", "twice")


def one(folder: Path, seed: int, known: int, more: int, encoder: str) -> dict[str, float]:
    """1 − Spearman of each way, and what chosen and second answers were expected to be worth."""
    pool, test = brm.load_pool(folder / "pool"), brm.load_pool(folder / "test")
    golden = brm.load_golden(folder / "test")
    votes = brm.load_votes(folder / "pool")
    names = np.asarray(votes.annotator).astype(str)
    who, count = np.unique(names, return_counts=True)
    frequent = np.flatnonzero(np.isin(names, who[count >= VOTES_OF_A_WORKER]))
    r = np.random.default_rng(seed)
    order = r.permutation(frequent)

    def labels(rows):
        return brm.Preferences(votes.first[rows], votes.second[rows], votes.outcome[rows], names[rows])

    model = brm.RewardModel(pool, encoder, likelihood="annotators")
    warm = order[:known]
    posterior = brm.fit(model, pool, labels(warm))
    ends = np.sort(np.stack([votes.first, votes.second], axis=1), axis=1)
    _, pair = np.unique(ends, axis=0, return_inverse=True)
    by_pair: dict[int, list[int]] = {}
    for row in order[known:]:
        by_pair.setdefault(int(pair[row]), []).append(int(row))
    asked = set(pair[warm].tolist())
    new = [rows for at, rows in by_pair.items() if at not in asked and len({*names[rows]}) > 1][:more]
    some = np.array([rows[0] for rows in new])
    about = brm.Comparisons(votes.first[some], votes.second[some])
    people = sorted({*names[frequent]})
    teaches = information_by_annotator(posterior, pool, about, people)
    place = {name: at for at, name in enumerate(people)}
    best = [
        max(rows, key=lambda row, own=own: own[place[names[row]]]) for rows, own in zip(new, teaches, strict=True)
    ]
    drawn = [rows[0] for rows in new]
    second = [next(row for row in rows if names[row] != names[rows[0]]) for rows in new[: more // 2]]
    found: dict[str, float] = {}
    for way, rows in zip(WAYS, (drawn, best, drawn[: more // 2] + second), strict=True):
        fitted = brm.fit(model, pool, labels(np.concatenate([warm, rows])))
        found[way] = brm.evaluate(fitted, test, golden)["one_minus_spearman"]
    gain = [own[place[names[row]]] for row, own in zip(best, teaches, strict=True)]
    plain = [own[place[names[row]]] for row, own in zip(drawn, teaches, strict=True)]
    found["expected_of_chosen"] = float(np.mean(gain) / np.mean(plain))
    found["expected_of_repeat"] = float(np.median(worth_of_repeat(posterior, pool, about)))
    return found


def main() -> None:
    """Compute what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--known", type=int, default=800)
    parser.add_argument("--more", type=int, default=400)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--out", type=Path, default=Path("annotators.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    for seed in range(options.seeds):
        if any(line["seed"] == seed for line in lines):
            continue
        found = one(options.folder, seed, options.known, options.more, options.encoder)
        lines.append({"seed": seed} | found)
        with open(options.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    for way in WAYS:
        values = [line[way] for line in lines]
        difference = paired_interval(values, [line["random"] for line in lines])
        beside = "" if way == "random" else f", {difference} to random"
        print(f"{way}: {np.mean(values):.3f}{beside}")
    for name in ("expected_of_chosen", "expected_of_repeat"):
        print(f"{name.replace('_', ' ')}: {np.mean([line[name] for line in lines]):.2f}")


if __name__ == "__main__":
    main()
