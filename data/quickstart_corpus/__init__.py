"""The generator of the quickstart corpus; `data/make_quickstart.py` is its entry point."""
