"""Answering here: a page on the loopback interface, and the same in a terminal.

A desk says who answers what next and keeps what they say; the page and the terminal show it.
"""
