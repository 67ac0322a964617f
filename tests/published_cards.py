"""A few rows of each published data set, with the columns of its card."""

from __future__ import annotations


def say(*turns):
    """Messages of these roles and contents."""
    return [{"role": role, "content": content} for role, content in turns]


def parts(text):
    """A text as the parts of a message's content."""
    return [{"type": "text", "text": text, "image": None, "mimeType": None}]


CARDS = {
    "arena-conversations": [
        {
            "question_id": f"q{k}", "model_a": "koala", "model_b": "vicuna", "winner": winner, "judge": "arena_user_1",
            "conversation_a": say(("user", "Do cats swim?"), ("assistant", "Some do.")),
            "conversation_b": say(("user", "Do cats swim?"), ("assistant", "Never.")),
            "turn": 1, "anony": True, "language": "English", "tstamp": 1682351591.1,
        }
        for k, winner in enumerate(["model_a", "model_b", "tie", "tie (bothbad)"])
    ],
    "arena-conversations, 140k": [
        {
            "id": f"i{k}", "model_a": "m1", "model_b": "m2", "winner": winner, "evaluation_session_id": "s",
            "evaluation_order": 1,
            "conversation_a": [{"role": "user", "content": parts("Do cats swim?")},
                               {"role": "assistant", "content": parts("Some do.")}],
            "conversation_b": [{"role": "user", "content": parts("Do cats swim?")},
                               {"role": "assistant", "content": parts("Never.")}],
            "conv_metadata": {"turns": 1}, "language": "en", "is_code": False,
        }
        for k, winner in enumerate(["model_b", "both_bad"])
    ],
    "pku-saferlhf": [
        {
            "prompt": "How do I open a lock?", "response_0": "With a key.", "response_1": "With a hammer.",
            "prompt_source": "Safer-RLHF", "response_0_source": "Alpaca-7B", "response_1_source": "Alpaca2-7B",
            "is_response_0_safe": True, "is_response_1_safe": False, "better_response_id": better,
            "safer_response_id": 0,
        }
        for better in (1, 0)
    ],
    "helpsteer2-preference": [
        {
            "split": "train", "prompt": "Name a bird.", "response_1": "Owl.", "response_2": "Trout.",
            "preference_strength": strength, "preference_statement": "s", "preference_elaboration": "e",
            "three_most_similar_preferences": [{"statement": "s", "elaboration": "e", "strength": -2}],
            "all_preferences_unprocessed": [{"statement": "s", "elaboration": "e", "strength": -2}],
        }
        for strength in (-2, 3, 0)
    ],
    "shp": [
        {
            "post_id": "p1", "domain": "askculinary_train", "upvote_ratio": 0.98, "history": "How long do eggs keep?",
            "c_root_id_A": "a", "c_root_id_B": "b", "created_at_utc_A": 1, "created_at_utc_B": 2, "score_A": 10,
            "score_B": 40, "human_ref_A": "A week.", "human_ref_B": "A month, cold.", "labels": label,
            "seconds_difference": 9.0, "score_ratio": 4.0,
        }
        for label in (0, 1)
    ],
    "webgpt": [
        {
            "question": {"dataset": "eli5", "id": "x1", "full_text": "Why is snow white?"},
            "quotes_0": {"title": ["t"], "extract": ["e"]}, "answer_0": "It scatters light [1].",
            "tokens_0": {"prefix": [1], "completion": [2]}, "score_0": score,
            "quotes_1": {"title": ["t"], "extract": ["e"]}, "answer_1": "It is cold [1].",
            "tokens_1": {"prefix": [1], "completion": [2]}, "score_1": -score,
        }
        for score in (0.75, -0.5, 0.0)
    ],
    "nectar": [
        {
            "prompt": "\n\nHuman: Name a tree.\n\nAssistant: ",
            "answers": [
                {"answer": "Oak.", "model": "gpt-4", "rank": 1.0},
                {"answer": "Grass.", "model": "llama-2-7b", "rank": 3.0},
                {"answer": "A tree.", "model": "mistral", "rank": 2.0},
            ],
            "turns": 1, "num_responses": 3, "source": ["sharegpt"], "good_natured": True,
        }
    ],
    "summarize-from-feedback": [
        {
            "info": {"id": "t3", "post": "My cat ate my tie.", "title": "Cat", "subreddit": "pets", "site": None,
                     "article": None},
            "summaries": [{"text": "A cat ate a tie.", "policy": "sup2", "note": "fine"},
                          {"text": "Cats eat.", "policy": "ref", "note": None}],
            "choice": choice, "worker": "w1", "batch": "b", "split": "train", "extra": {"confidence": 7},
        }
        for choice in (0, 1)
    ],
    "alpaca-eval": [
        {
            "instruction": "Name a metal.", "output_1": "Iron.", "output_2": "Wood.", "generator_1": "text_davinci_003",
            "generator_2": "alpaca-7b", "dataset": "helpful_base", "annotator": "alpaca_eval_gpt4",
            "preference": preference, "price_per_example": 0.01, "time_per_example": 0.4, "raw_completion": None,
        }
        for preference in (1.0, 2.0, 1.5, 0.0, 1.25)
    ],
    "trl, skywork": [
        {
            "chosen": say(("user", "Name a fruit."), ("assistant", "Pear.")),
            "rejected": say(("user", "Name a fruit."), ("assistant", "Stone.")), "source": "magpie",
        }
    ],
    "ultrafeedback-binarized": [
        {
            "prompt": "Name a fruit.", "prompt_id": "0f1e",
            "chosen": say(("user", "Name a fruit."), ("assistant", "Pear.")),
            "rejected": say(("user", "Name a fruit."), ("assistant", "Stone.")),
            "messages": say(("user", "Name a fruit."), ("assistant", "Pear.")),
            "score_chosen": 8.5, "score_rejected": 6.0,
        }
    ],
    "ultrafeedback-binarized, no prompt": [
        {
            "chosen": say(("user", "Name a fruit."), ("assistant", "Pear.")),
            "rejected": say(("user", "Name a fruit."), ("assistant", "Stone.")),
            "score_chosen": 8.5, "score_rejected": 6.0,
        }
    ],
    "ultrafeedback-preferences": [
        {
            "source": "evol_instruct", "instruction": "Name a fruit.", "chosen_response": "Pear.",
            "rejected_response": "Stone.", "chosen_avg_rating": 4.75, "rejected_avg_rating": 2.25,
            "chosen_model": "gpt-4",
        }
    ],
    "distilabel": [
        {
            "system": "Be brief.", "input": "Name a fruit.", "chosen": "Pear.", "rejected": "Stone.",
            "generations": ["Pear.", "Stone."], "order": ["chosen", "rejected"], "rating": rating, "status": status,
            "rationale": "r", "original_chosen": "Pear.", "original_rejected": "Stone.",
        }
        for status, rating in (("unchanged", [9.0, 4.0]), ("tie", [7.0, 7.0]), ("swapped", [2.0, 8.0]))
    ],
    "trl, chosen_rating": [
        {
            "dataset": "argilla/ultrafeedback", "chosen": say(("user", "Name a fruit."), ("assistant", "Pear.")),
            "rejected": say(("user", "Name a fruit."), ("assistant", "Stone.")), "chosen_rating": 5.0,
            "rejected_rating": 3.0,
        }
    ],
    "oasst": [
        {"message_id": "r", "parent_id": None, "text": "Name a lake.", "role": "prompter", "lang": "en", "rank": None,
         "message_tree_id": "r", "tree_state": "ready_for_export", "deleted": False, "model_name": None},
        {"message_id": "a", "parent_id": "r", "text": "Como.", "role": "assistant", "lang": "en", "rank": 1.0,
         "message_tree_id": "r", "tree_state": "ready_for_export", "deleted": False, "model_name": None},
        {"message_id": "b", "parent_id": "r", "text": "Garda.", "role": "assistant", "lang": "en", "rank": 0.0,
         "message_tree_id": "r", "tree_state": "ready_for_export", "deleted": False, "model_name": None},
        {"message_id": "c", "parent_id": "b", "text": "Another?", "role": "prompter", "lang": "en", "rank": None,
         "message_tree_id": "r", "tree_state": "ready_for_export", "deleted": False, "model_name": None},
        {"message_id": "d", "parent_id": "c", "text": "Iseo.", "role": "assistant", "lang": "en", "rank": None,
         "message_tree_id": "r", "tree_state": "ready_for_export", "deleted": False, "model_name": None},
    ],
    "oasst-trees": [
        {
            "message_tree_id": "r", "tree_state": "ready_for_export",
            "prompt": {"message_id": "r", "text": "Name a lake.", "role": "prompter", "replies": [
                {"message_id": "a", "text": "Como.", "role": "assistant", "rank": 1, "replies": []},
                {"message_id": "b", "text": "Garda.", "role": "assistant", "rank": 0, "replies": [
                    {"message_id": "c", "text": "Another?", "role": "prompter", "replies": [
                        {"message_id": "d", "text": "Iseo.", "role": "assistant", "replies": []}]}]},
            ]},
        }
    ],
    "winner": [
        {"prompt": "Name a sea.", "response_a": "Baltic.", "response_b": "Sahara.", "model_a": "m1", "model_b": "m2",
         "winner": winner}
        for winner in ("model_a", "b", "Tie")
    ],
}  # fmt: skip
"""By form, and after a comma which of the data sets in it."""
