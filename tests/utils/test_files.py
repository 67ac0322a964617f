"""Writing whole files: what is no file stays what it is."""

from __future__ import annotations

import os

import pytest

from bayesrm.errors import InvalidInputError
from bayesrm.utils.files import write_json


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of Unix")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    """Root could replace /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InvalidInputError, match="pipe is a device or a pipe: give the name of a file"):
        write_json(path, {})
    assert path.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(InvalidInputError, match="is a folder: give the name of a file in it"):
        write_json(tmp_path, {})
    assert tmp_path.is_dir()
