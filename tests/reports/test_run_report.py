"""The page of runs: metrics stand right beside the design, and what all rows share stands below."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import xarray as xr

from bayesrm.reports.runs import render


def page(inferences=("laplace", "plugin"), designs=("pa-dopt", "random"), seeds=2) -> str:
    shape = (1, len(inferences), len(designs), seeds, 3)
    value = np.random.default_rng(0).random(shape)
    dims = ("scope", "inference", "design", "seed", "round")
    trajectory = xr.Dataset(
        dict.fromkeys(("one_minus_spearman", "log_loss"), (dims, value)),
        {
            "scope": ["within-prompt"],
            "inference": list(inferences),
            "design": list(designs),
            "seed": range(seeds),
            "round": range(3),
            "labels": ("round", [10, 20, 30]),
        },
    )
    tree = xr.DataTree.from_dict({"trajectory": trajectory})
    runs = len(inferences) * len(designs) * seeds
    tree.attrs.update(
        configurations=json.dumps([{"batch_size": 10}] * runs), versions=json.dumps({"bayesrm": "1"})
    )
    return render(tree, "runs")


def columns(text: str) -> list[str]:
    return re.findall(r"<th>(.*?)</th>", text[text.index("<thead>") : text.index("</thead>")])


def test_the_first_column_after_the_design_is_a_metric():
    text = page()
    assert columns(text)[:2] == ["design", "1 − Spearman within prompts"]
    assert not {"scope", "seeds", "labels", "inference"} & set(columns(text))
    assert "<td>pa-dopt<small>laplace</small></td>" in text
    assert "Scope within-prompt, 2 seeds, 30 labels." in text


@pytest.mark.parametrize(("seeds", "said"), [(1, "1 seed, 30 labels"), (3, "3 seeds, 30 labels")])
def test_one_seed_is_singular(seeds, said):
    assert said in page(seeds=seeds)


def test_tables_and_figures_that_do_not_fit_say_so():
    text = page()
    assert text.count('<div class="scroll" tabindex="0">') == 3
    assert "position: sticky" in text
    assert "background-attachment: local" in text
