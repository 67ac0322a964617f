"""The digest of labels, by which a campaign knows whether its posterior is of today's answers."""

from __future__ import annotations

import hashlib

import numpy as np

import bayesrm as brm
from bayesrm.campaign.fitting import labels_digest


def _labels(**columns) -> brm.Preferences:
    return brm.Preferences([0, 2], [1, 3], [1.0, 1.0], **columns)


def test_the_same_bytes_in_another_column_are_other_labels():
    """Choices 0 and 1 are, as bytes, the weights 0 and 5e-324."""
    choice = np.array([0, 1], dtype=np.int64)
    found = {
        labels_digest(labels)
        for labels in (
            _labels(),
            _labels(choice=choice),
            _labels(weight=[1.0, 1.0]),
            _labels(annotator=["a", "b"]),
        )
    }
    assert len(found) == 4
    plain, weights = _labels(choice=choice), _labels()
    object.__setattr__(weights, "weight", choice.view(np.float64))
    assert labels_digest(plain) != labels_digest(weights)


def test_labels_without_choices_have_the_digest_that_campaigns_of_before_keep():
    """The columns, and the names of annotators as JSON."""
    labels = _labels(weight=[1.0, 0.5], annotator=["a", "b"])
    columns = b"".join(each.tobytes() for each in (labels.first, labels.second, labels.outcome, labels.weight))
    assert labels_digest(labels) == hashlib.sha256(columns + b'["a", "b"]').hexdigest()
