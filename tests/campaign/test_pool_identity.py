"""A campaign's pool is the one that it began with, to the last embedding, text and label, or it is refused."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pandas as pd
import pytest

import bayesrm as brm
from bayesrm.campaign import source
from bayesrm.data.directory import EMBEDDINGS, RESPONSES
from bayesrm.data.fingerprint import content_digest
from bayesrm.errors import InvalidInputError


@pytest.fixture
def pool(tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "pool"
    prompt = np.repeat(np.arange(100), 5)
    texts = [f"text {k}" for k in range(500)]
    brm.save_pool(folder, brm.ResponsePool(random.standard_normal((500, 4)).astype(np.float32), prompt, texts))
    return folder


def change_embedding(folder):
    embeddings = np.load(folder / EMBEDDINGS, mmap_mode="r+")
    embeddings[1, 2] += 1  # not one of those that are looked at each time
    embeddings.flush()


def change_text(folder):
    table = pd.read_parquet(folder / RESPONSES)
    table.loc[3, "response"] = "text 4"
    table.to_parquet(folder / RESPONSES, index=False)


def swap_prompts(folder):
    table = pd.read_parquet(folder / RESPONSES)
    table["prompt_id"] = table["prompt_id"].map({0: 1, 1: 0}).fillna(table["prompt_id"]).astype(int)
    table.to_parquet(folder / RESPONSES, index=False)


@pytest.mark.parametrize("change", [change_embedding, change_text, swap_prompts])
def test_a_changed_pool_is_refused(pool, tmp_path, change):
    brm.Campaign.create(tmp_path / "campaign", pool)
    change(pool)
    with pytest.raises(InvalidInputError, match="was changed since"):
        brm.Campaign.open(tmp_path / "campaign")


def test_a_change_that_hides_its_time_is_found_when_all_is_read(command, pool, tmp_path):
    folder = tmp_path / "campaign"
    brm.Campaign.create(folder, pool)
    assert "to the last embedding and letter" in command("campaign", "status", folder, "--verify")[1]
    before = (pool / EMBEDDINGS).stat()
    change_embedding(pool)
    os.utime(pool / EMBEDDINGS, ns=(before.st_atime_ns, before.st_mtime_ns))
    brm.Campaign.open(folder)
    with pytest.raises(InvalidInputError, match="was changed since"):
        brm.Campaign.open(folder, verify=True)
    status, _, complaint = command("campaign", "status", folder, "--verify")
    assert (status, "was changed since" in complaint) == (2, True)


def test_a_pool_that_was_copied_is_read_once(pool, tmp_path, monkeypatch):
    folder = tmp_path / "campaign"
    brm.Campaign.create(folder, pool)
    read = []
    monkeypatch.setattr(source, "content_digest", lambda *pool: read.append(1) or content_digest(*pool))
    brm.Campaign.open(folder)
    assert read == []
    shutil.copytree(pool, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    os.utime(tmp_path / "elsewhere" / EMBEDDINGS, ns=(1, 1))
    for _ in range(2):
        brm.Campaign.open(folder, tmp_path / "elsewhere")
    assert read == [1]
