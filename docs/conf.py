"""How the pages are built: ``make docs``. Nothing is downloaded, also not by who reads them."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from importlib.metadata import version as installed
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

project = "bayesrm"
author = "The bayesrm developers"
copyright = f"2026, {author}"
version = release = installed("bayesrm")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "mathml",
    "parts",
    "new_part",
    "import_picture",
    "words",
    "printed",
]
exclude_patterns = ["_build", "_ext", "generated/handoffs.md", "generated/formats.md"]
templates_path = ["_templates"]

# --- pages ----------------------------------------------------------------------------------------------------
html_theme = "furo"
html_title = "bayesrm"
html_static_path = ["_static"]
html_css_files = ["bayesrm.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(abc|collections|numpy|pandas|pyro|torch|typing|xarray)\..*")]
"""Pages of others, whose inventories would have to be downloaded."""
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# --- docstrings -----------------------------------------------------------------------------------------------
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# --- cells that are executed ----------------------------------------------------------------------------------
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "remove-warn"

_work = Path(tempfile.mkdtemp(prefix="bayesrm-docs-"))
_startup = _work / "ipython" / "profile_default" / "startup"
_startup.mkdir(parents=True)
(_startup / "where.py").write_text(
    f"""# Cells see what somebody sees who is in the root of the checkout.
import os, tempfile, warnings
warnings.filterwarnings("ignore", "IProgress not found")  # progress bars of notebooks, which pages do not have
for colours in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # pages have none
    os.environ.pop(colours, None)
os.chdir(tempfile.mkdtemp(dir={str(_work)!r}))
os.symlink({str(DOCS.parent / "data")!r}, "data")
del os, tempfile, warnings, colours


def _bash(line, cell):
    # What commands print, in one piece: IPython's %%bash passes on 100 bytes at a time, and lines broke there.
    import subprocess, sys

    done = subprocess.run(["bash", "-ec", cell], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    print(done.stdout, end="", flush=True)
    print(done.stderr, end="", flush=True, file=sys.stderr)
    done.check_returncode()


get_ipython().register_magic_function(_bash, "cell", "bash")
"""
)
(_startup.parent / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")
os.environ |= {
    "IPYTHONDIR": str(_work / "ipython"),
    "JUPYTER_RUNTIME_DIR": str(_work / "runtime"),
    "JUPYTER_PLATFORM_DIRS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(DOCS.parent), os.environ.get("PYTHONPATH")])),
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "COLUMNS": "100",
}


logging.getLogger("traitlets").setLevel(logging.WARNING)


def setup(app):
    """Leave nothing behind."""
    import shutil

    app.connect("build-finished", lambda app, error: shutil.rmtree(_work, ignore_errors=True))
