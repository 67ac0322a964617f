"""``bayesrm campaign``: ask people, take their answers, fit, look whether it is worth going on, and again.

One file a command.
"""

from importlib import import_module

COMMANDS = (
    "init",
    "ask",
    "label",
    "tell",
    "fit",
    "status",
    "untell",
    "rename",
    "release",
    "close",
    "labels",
)
"""The modules of this package that define a command, in the order in which ``--help`` lists them."""

for _command in COMMANDS:
    import_module(f"bayesrm.cli.campaign.{_command}")
