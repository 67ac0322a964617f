"""Prompts, answers, attributes and golden reward, all from one seed and without any model."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from .banks import Item, Phrases, load_phrases, split_items
from .profiles import PROFILES, Profile, draw
from .reward import Request, golden_reward
from .writer import write_answer

IDIOSYNCRASY_SD = 0.15
DIFFICULTY_SD = 0.06
FAMILY_DIFFICULTY = {
    "arithmetic": 0.80,
    "coding": 0.60,
    "cooking": 0.30,
    "facts": 0.40,
    "harmful": 0.75,
    "health": 0.45,
    "howto": 0.25,
    "law": 0.65,
    "opinions": 0.50,
    "travel": 0.30,
    "writing": 0.45,
}
WISHES = {"brief": 0.15, "thorough": 0.15, "none": 0.7}
POOL_ANSWERS = 12
RAGGED_PROMPTS = 12
FEWEST_WORDS, MOST_WORDS = 15, 150


@dataclass(frozen=True)
class Prompt:
    """A prompt with the item behind it."""

    text: str
    item: Item
    item_id: int
    request: Request


def generate(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pool and test as tables with a row a response.

    Columns are prompt_id, prompt, response, generator, source, golden and the attributes. The golden reward
    is standardised with the pool's mean and standard deviation in both tables.
    """
    rng = np.random.default_rng(seed)
    phrases = load_phrases()
    pool_items, test_items = split_items(rng)
    pool = answers(prompts_of_pool(pool_items, phrases, rng), pool_items, phrases, rng, repeats_a_profile=0)
    test = answers(prompts_of_test(test_items, phrases, rng), test_items, phrases, rng, repeats_a_profile=2)
    mean, sd = pool["golden"].mean(), pool["golden"].std(ddof=0)
    for table in (pool, test):
        table["golden"] = ((table["golden"] - mean) / sd).astype(np.float32)
    return pool, test


def prompts_of_pool(items: list[Item], phrases: Phrases, rng: np.random.Generator) -> list[Prompt]:
    """Every way of asking about every item of the pool: 300 prompts."""
    asks = [(ask, item) for item in items for ask in item.asks]
    return shuffled_prompts(asks, phrases, rng)


def prompts_of_test(items: list[Item], phrases: Phrases, rng: np.random.Generator) -> list[Prompt]:
    """Nine prompts of each written family and ten of arithmetic: 100 prompts."""
    asks: list[tuple[str, Item]] = []
    for family in dict.fromkeys(item.family for item in items):
        of_family = [(ask, item) for item in items if item.family == family for ask in item.asks[:2]]
        asks += of_family if family == "arithmetic" else of_family[:9]
    return shuffled_prompts(asks, phrases, rng)


def shuffled_prompts(asks: list[tuple[str, Item]], phrases: Phrases, rng: np.random.Generator) -> list[Prompt]:
    """Prompts in random order, some with a wish for a brief or a thorough answer."""
    prompts = []
    item_ids = {item: number for number, item in enumerate(dict.fromkeys(item for _, item in asks))}
    for place in rng.permutation(len(asks)):
        text, item = asks[place]
        wish = str(rng.choice(list(WISHES), p=list(WISHES.values())))
        if wish != "none":
            text = f"{text} {phrases[wish][rng.integers(len(phrases[wish]))]}"
        difficulty = FAMILY_DIFFICULTY[item.family] + DIFFICULTY_SD * float(rng.standard_normal())
        request = Request(item.family, wish, float(np.clip(difficulty, 0.0, 1.0)))
        prompts.append(Prompt(text, item, item_ids[item], request))
    return prompts


def answers(
    prompts: list[Prompt],
    items: list[Item],
    phrases: Phrases,
    rng: np.random.Generator,
    *,
    repeats_a_profile: int,
) -> pd.DataFrame:
    """Answers to all prompts: 12 different profiles each, or every profile ``repeats_a_profile`` times."""
    is_pool = repeats_a_profile == 0
    ragged = set(rng.permutation(len(prompts))[:RAGGED_PROMPTS].tolist()) if is_pool else set()
    rows = []
    for prompt_id, prompt in enumerate(prompts):
        writers = rng.permutation(np.repeat(np.arange(len(PROFILES)), max(1, repeats_a_profile)))
        if is_pool:
            missing = int(rng.integers(1, 3)) if prompt_id in ragged else 0
            writers = writers[: POOL_ANSWERS - missing]
        left_out = (prompt.item.family, "harmful", "arithmetic")
        elsewhere = [item for item in items if item.family not in left_out]
        seen: set[str] = set()
        for writer in writers:
            row = answer(prompt, PROFILES[writer], elsewhere, phrases, seen, rng)
            seen.add(str(row["response"]))
            rows.append({"prompt_id": np.int32(prompt_id)} | row)
    return pd.DataFrame(rows)


def answer(
    prompt: Prompt,
    profile: Profile,
    elsewhere: list[Item],
    phrases: Phrases,
    seen: set[str],
    rng: np.random.Generator,
) -> dict[str, object]:
    """One answer of an allowed length that is not among the ``seen`` ones, with its attributes and reward."""
    request = prompt.request
    while True:
        attributes = draw(profile, family=request.family, difficulty=request.difficulty, rng=rng)
        other = elsewhere[rng.integers(len(elsewhere))]
        text = write_answer(prompt.item, other, attributes, phrases, rng)
        words = len(text.split())
        if text not in seen and FEWEST_WORDS <= words <= MOST_WORDS:
            break
    idiosyncrasy = IDIOSYNCRASY_SD * float(rng.standard_normal())
    return {
        "prompt": prompt.text,
        "response": text,
        "generator": profile.name,
        "source": request.family,
        "golden": golden_reward(request, attributes, words, idiosyncrasy),
        **asdict(attributes),
        "words": words,
        "wish": request.wish,
        "difficulty": request.difficulty,
        "item": np.int16(prompt.item_id),
        "idiosyncrasy": idiosyncrasy,
    }
