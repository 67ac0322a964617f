"""What is said of a batch before it is asked costs no fit beside that of the ask."""

from __future__ import annotations

import pytest

import bayesrm as brm
from bayesrm import rng
from bayesrm.campaign import campaign as campaign_module
from bayesrm.campaign.asking import Request
from bayesrm.campaign.fitting import model_of


@pytest.fixture
def fits(monkeypatch):
    """How many labels each fit was to."""
    counted: list[int] = []
    plain = campaign_module.fit_model

    def counting(model, pool, labels, *rest, **options):
        counted.append(len(labels))
        return plain(model, pool, labels, *rest, **options)

    monkeypatch.setattr(campaign_module, "fit_model", counting)
    return counted


def answered(campaign, folder, questions=None):
    """Tell an answer to each question, every other one left."""
    questions = campaign.store.questions() if questions is None else questions
    rows = [f"{q.id},{'left' if k % 2 else 'right'}" for k, q in enumerate(questions)]
    file = folder / f"answers of {len(questions)}.csv"
    file.write_text("question,answer\n" + "\n".join(rows) + "\n")
    campaign.tell(file)


@pytest.mark.parametrize("list_size", [2, 4])
def test_what_can_be_saved_is_told_from_the_fit_of_the_ask(asked, fits, tmp_path, list_size):
    campaign = asked(12)
    answered(campaign, tmp_path)
    fits.clear()
    campaign.ask(Request(size=3, design="pa-dopt", list_size=list_size))
    found = campaign.room()
    assert fits == [12]
    seed = rng.child(int(campaign.settings["seed"]), "room")
    labels = campaign.preferences()
    anew = campaign.fit(model_of(campaign.configuration, campaign.pool, labels, True), labels=labels)
    pairs = brm.candidates(campaign.pool, size=None, prompts=12, seed=seed, exclude=campaign.asked())
    assert found.headroom == brm.headroom(anew, pairs)


def test_other_labels_are_fitted_anew(asked, fits, tmp_path):
    campaign = asked(12)
    answered(campaign, tmp_path)
    fits.clear()
    first = campaign.room().headroom
    questions = campaign.ask(Request(size=3, design="pa-dopt"))
    assert fits == [12]
    answered(campaign, tmp_path, questions)
    assert campaign.room().headroom != first
    assert fits == [12, 15]


def test_a_design_that_needs_no_labels_leaves_the_fit_to_what_is_said(asked, fits, tmp_path):
    campaign = asked(12)
    answered(campaign, tmp_path)
    fits.clear()
    campaign.ask(Request(size=3, design="random"))
    campaign.room()
    assert fits == [12]  # that to none was remembered from the batch before
