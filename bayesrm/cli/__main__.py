"""``python -m bayesrm.cli``."""

from bayesrm.cli import main

main()
