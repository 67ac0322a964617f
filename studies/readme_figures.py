"""The figures of studies/README.md, from the folders of finished studies.

    make studies
    python studies/readme_figures.py --runs runs

The studies' own figures made small enough for a repository: narrower, and of figure 1 some rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

FIGURES = {
    "annotation_efficiency_within": "annotation_efficiency/figures/within_prompt.png",
    "annotation_efficiency_across": "annotation_efficiency/figures/cross_prompt.png",
    "annotator_noise": "annotator_noise/figures/at_the_end.png",
    "bayes_vs_plugin": "bayes_vs_plugin/figures/choose_and_estimate.png",
    "candidates_or_optimiser": "candidates_or_optimiser/figures/learning_curves.png",
    "posterior_fidelity": "posterior_fidelity/figures/distance_to_nuts.png",
    "two_dimensional": "two_dimensional/figures/figure_1.png",
}
ROWS = {"two_dimensional": (13, (0, 1, 2, 3, 7, 10, 12))}
"""Figure → how many rows it has, and which are shown."""
WIDTH, LARGEST = 1000, 150_000
"""Pixels, and bytes: beyond those a figure gets a palette of 256 colours."""
NARROW = {"two_dimensional": 500, "annotator_noise": 520}


def small(image: Image.Image, width: int) -> Image.Image:
    """Narrower."""
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    return image.convert("RGB")


def some_rows(image: Image.Image, rows: int, kept: tuple[int, ...]) -> Image.Image:
    """Rows of equal height, some of them, under one another."""
    height = image.height / rows
    edges = [(round(row * height), round((row + 1) * height)) for row in kept]
    stacked = Image.new("RGB", (image.width, sum(bottom - top for top, bottom in edges)), "white")
    at = 0
    for top, bottom in edges:
        stacked.paste(image.crop((0, top, image.width, bottom)), (0, at))
        at += bottom - top
    return stacked


def main() -> None:
    """Write those figures whose study is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures")
    asked = parser.parse_args()
    for name, source in FIGURES.items():
        if not (asked.runs / source).exists():
            print(f"There is no {asked.runs / source}: {name} is left as it was.")
            continue
        image = Image.open(asked.runs / source)
        path = asked.out / f"{name}.png"
        shown = some_rows(image, *ROWS[name]) if name in ROWS else image
        image = small(shown, NARROW.get(name, WIDTH))
        image.save(path, optimize=True)
        if path.stat().st_size > LARGEST:
            image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"Written: {path}, {path.stat().st_size / 1000:.0f} kB.")


if __name__ == "__main__":
    main()
