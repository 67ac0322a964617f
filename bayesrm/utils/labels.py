"""Texts and whole numbers that say to which prompt a response belongs, or who answered."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from bayesrm.errors import InvalidInputError
from bayesrm.utils.wording import told

_LARGEST = 2.0**63


def require_labels(name: str, of: str, labels: Shaped[np.ndarray, "label"]) -> None:
    """Raise InvalidInputError where one is missing, or is something that has no order.

    Parameters
    ----------
    name
        What the labels are, such as "annotator".
    of
        What has one each, such as "comparison".
    labels
        (label,) any array.
    """
    if labels.dtype.kind in "fcmM":
        wrong = np.full(labels.shape, True) if labels.dtype.kind == "c" else ~np.isfinite(labels)
    elif labels.dtype.kind == "O" and labels.size:
        wrong = ~(
            _are(int | np.integer, labels) if isinstance(labels.flat[0], int | np.integer) else _are(str, labels)
        )
    else:
        return
    _refuse(name, of, labels, wrong)


def as_labels(name: str, of: str, labels: Shaped[np.ndarray, "label"]) -> Shaped[np.ndarray, "label"]:
    """Labels of which the same are equal, whatever array they came in: 7, 7.0 and an object 7 are one int64.

    Parameters
    ----------
    name, of, labels
        As of :func:`require_labels`; bytes are taken for UTF-8.

    Returns
    -------
    labels
        (label,) int64 where they are whole numbers, unless one is too large for that; else texts.

    Raises
    ------
    InvalidInputError
        Where one is neither a text nor a whole number.
    """
    require_labels(name, of, labels)
    kind = labels.dtype.kind
    if kind in "mMV":
        _refuse(name, of, labels, np.full(labels.shape, True))
    if kind == "S":
        readable = np.array([_is_utf8(label) for label in labels.tolist()], bool)
        _refuse(name, of, labels, ~readable)
        return np.char.decode(labels, "utf-8")
    if kind == "f":
        _refuse(name, of, labels, (labels != np.floor(labels)) | (np.abs(labels) >= _LARGEST))
        return labels.astype(np.int64)
    whole = kind == "O" and labels.size and isinstance(labels.flat[0], int | np.integer)
    if kind in "iu" or whole:
        small = not labels.size or (labels.min() >= -_LARGEST and labels.max() < _LARGEST)
        return labels.astype(np.int64 if small else str)
    return labels


def join_labels(left: Shaped[np.ndarray, "left"], right: Shaped[np.ndarray, "right"]) -> Shaped[np.ndarray, "_"]:
    """Labels of :func:`as_labels` one after the other; texts where one side has texts."""
    sides = [left, right]
    if left.dtype.kind != right.dtype.kind:
        sides = [side.astype(str) for side in sides]
    return np.concatenate(sides)


def _refuse(name: str, of: str, labels: Shaped[np.ndarray, "label"], wrong: Bool[np.ndarray, "label"]) -> None:
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        label = labels[at] if labels.dtype.kind in "mM" else labels.tolist()[at]
        raise InvalidInputError(
            f"expected a text or a whole number as the {name} of each {of}, got {told(label)} at {at}"
        )


def _are(kind: Any, labels: Shaped[np.ndarray, "label"]) -> Bool[np.ndarray, "label"]:
    return np.array([isinstance(label, kind) and not isinstance(label, bool) for label in labels.tolist()], bool)


def _is_utf8(label: bytes) -> bool:
    try:
        label.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
