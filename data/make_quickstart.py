"""Make the quickstart corpus: `python data/make_quickstart.py` regenerates `data/quickstart/{pool,test}`.

What: 300 pool prompts with 10 to 12 answers each and 100 test prompts with 40 answers each, in eleven
families of topics, with a golden reward that is a known nonlinear function of what each answer is like.

How: word banks and pretend models give the texts (`quickstart_corpus.corpus`), the attributes of each
answer give the golden reward (`quickstart_corpus.reward`), MiniLM gives the embeddings
(`quickstart_corpus.embed`), and probes measure how much of the reward the embeddings show
(`quickstart_corpus.probes`). One seed decides everything. Embedding needs the optional dependencies `pip
install -e '.[corpus]'` and takes a few minutes on one CPU core.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from quickstart_corpus.build import Json, make_card, write_split
from quickstart_corpus.corpus import generate
from quickstart_corpus.embed import embed, model_folder
from quickstart_corpus.probes import Split, learning_curve, probe_figures
from rich.console import Console

DEFAULT_OUT = Path(__file__).parent / "quickstart"
DEFAULT_SEED = 20261123


def main() -> None:
    """Generate, embed, measure and write."""
    arguments = parse_arguments()
    console = Console()
    model_folder()
    pool, test = generate(arguments.seed)
    console.print(f"Generated {len(pool)} pool answers and {len(test)} test answers.")
    embeddings = {
        name: embed(list(table["prompt"]), list(table["response"]), f"Embedding the {name}")
        for name, table in (("pool", pool), ("test", test))
    }
    console.print("Measuring how much of the golden reward the embeddings show.")
    figures = measure(pool, test, embeddings["pool"], embeddings["test"], arguments.seed)
    for name, table in (("pool", pool), ("test", test)):
        card = make_card(name, table, embeddings[name].shape[1], arguments.seed, figures)
        write_split(arguments.out / name, table, embeddings[name], card)
    console.print(figures)
    console.print(f"Wrote the pool and the test split to {arguments.out}.")


def parse_arguments() -> argparse.Namespace:
    """Where to write and which seed to start from."""
    parser = argparse.ArgumentParser(description="Make the quickstart corpus.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write pool/ and test/ into")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of all random numbers")
    return parser.parse_args()


def measure(
    pool: pd.DataFrame,
    test: pd.DataFrame,
    pool_embeddings: NDArray[np.float16],
    test_embeddings: NDArray[np.float16],
    seed: int,
) -> Json:
    """Probe figures and learning curve, from the numbers exactly as they are stored."""
    splits = [
        Split(
            embeddings.astype(np.float64),
            table["golden"].to_numpy(np.float64),
            table["prompt_id"].to_numpy(np.int64),
            table["item"].to_numpy(np.int64),
        )
        for table, embeddings in ((pool, pool_embeddings), (test, test_embeddings))
    ]
    curve = learning_curve(*splits, np.random.default_rng(seed))
    return {
        "probes_fitted_on_pool_scored_on_test": rounded(probe_figures(*splits)),
        "one_minus_spearman_within_test_prompts_by_number_of_labels": rounded(curve),
    }


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Three decimals are enough for a card."""
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    main()
