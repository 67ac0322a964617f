"""HelpSteer2-Preference: two responses with a strength from −3 (the first is much better) to 3 (the second).

https://huggingface.co/datasets/nvidia/HelpSteer2, in its folder preference.
"""

from __future__ import annotations

from bayesrm.data.formats.helpsteer3 import HelpSteer3


class HelpSteer2Preference(HelpSteer3):
    """HelpSteer2-Preference: response_1 and response_2 with a preference_strength from -3 to 3."""

    name = "helpsteer2-preference"
    columns = "prompt, response_1, response_2, preference_strength"
    sides = ("response_1", "response_2")
    asked = "prompt"
    strength = "preference_strength"
    requires = frozenset({asked, *sides, strength})
    optional = frozenset()
    dialogues = frozenset({asked})
    example = (
        {
            "split": "train",
            "prompt": "Name a bird.",
            "response_1": "Owl.",
            "response_2": "Trout.",
            "preference_strength": -2,
            "preference_statement": "s",
            "preference_elaboration": "e",
            "three_most_similar_preferences": [{"statement": "s", "elaboration": "e", "strength": -2}],
            "all_preferences_unprocessed": [{"statement": "s", "elaboration": "e", "strength": -2}],
        },
    )
