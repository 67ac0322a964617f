"""Lists: sets of K answers to one prompt that are ranked at once; a pair is a list of two.

``information`` says what a ranking tells, ``worth`` what a list adds to a batch under a design, ``groups`` which lists
there are, ``greedy`` and ``sampled`` choose, and ``selection`` is what is chosen.
"""
