"""OpenAssistant's message trees: replies to a message, ranked by people from 0, the best.

A message a row, with the message that it replies to; or, in the files called trees, a tree a row. The prompt of a reply
is all that was said before it. https://huggingface.co/datasets/OpenAssistant/oasst1 and oasst2
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bayesrm.data.conversation import Conversation, Turn, as_conversation, require_text
from bayesrm.data.formats.base import Answer, Format, Item, Row, all_pairs, several_answers
from bayesrm.data.values import optional_id, optional_number
from bayesrm.errors import InvalidInputError

ROLES = {"prompter": "user", "assistant": "assistant"}
Numbered = tuple[int, Row]


class OpenAssistant(Format):
    """OpenAssistant's messages: replies of the assistant to the same message are compared by their ranks."""

    name = "oasst"
    columns = "message_id, parent_id, text, role (prompter or assistant), rank"
    requires = frozenset({"message_id", "parent_id", "text", "role"})
    optional = frozenset({"rank", "model_name", "deleted"})
    dialogues = frozenset()
    across_rows = True
    example = (
        {
            "message_id": "r",
            "parent_id": None,
            "text": "Name a lake.",
            "role": "prompter",
            "lang": "en",
            "rank": None,
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "deleted": False,
            "model_name": None,
        },
        {
            "message_id": "a",
            "parent_id": "r",
            "text": "Como.",
            "role": "assistant",
            "lang": "en",
            "rank": 1.0,
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "deleted": False,
            "model_name": None,
        },
        {
            "message_id": "b",
            "parent_id": "r",
            "text": "Garda.",
            "role": "assistant",
            "lang": "en",
            "rank": 0.0,
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "deleted": False,
            "model_name": None,
        },
        {
            "message_id": "c",
            "parent_id": "b",
            "text": "Another?",
            "role": "prompter",
            "lang": "en",
            "rank": None,
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "deleted": False,
            "model_name": None,
        },
        {
            "message_id": "d",
            "parent_id": "c",
            "text": "Iseo.",
            "role": "assistant",
            "lang": "en",
            "rank": None,
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "deleted": False,
            "model_name": None,
        },
    )

    def read(self, row: Row) -> Item:
        """A row alone has no prompt."""
        raise InvalidInputError("expected the rows of a tree together: a message alone has no prompt")

    def items(
        self, rows: Iterable[tuple[int, Row | InvalidInputError]]
    ) -> Iterator[tuple[int, Item | InvalidInputError]]:
        """An item for every message that the assistant replied to; all rows are read first."""
        messages: dict[int | str, Numbered] = {}
        replies: dict[int | str, list[Numbered]] = {}
        for number, row in rows:
            try:
                if isinstance(row, InvalidInputError):
                    raise row
                key, parent = optional_id(row.get("message_id")), optional_id(row.get("parent_id"))
                if key is None or key in messages:
                    raise InvalidInputError(f"expected a message_id of its own, got {row.get('message_id')!r:.60}")
                messages[key] = number, row
                if parent is not None and str(row.get("role")) == "assistant":
                    replies.setdefault(parent, []).append((number, row))
            except InvalidInputError as error:
                yield number, error
        for parent, answers in replies.items():
            try:
                yield answers[0][0], _item(_path(parent, messages), answers)
            except InvalidInputError as error:
                for number, _ in answers:
                    yield number, error


class OpenAssistantTrees(Format):
    """OpenAssistant's trees: a row has a prompt with its replies, and theirs."""

    name = "oasst-trees"
    columns = "message_tree_id, prompt (a message with text, role and replies)"
    requires = frozenset({"message_tree_id", "prompt", "tree_state"})
    dialogues = frozenset()
    containers = frozenset({"prompt"})
    own_prompt = True
    across_rows = True
    example = (
        {
            "message_tree_id": "r",
            "tree_state": "ready_for_export",
            "prompt": {
                "message_id": "r",
                "text": "Name a lake.",
                "role": "prompter",
                "replies": [
                    {"message_id": "a", "text": "Como.", "role": "assistant", "rank": 1, "replies": []},
                    {
                        "message_id": "b",
                        "text": "Garda.",
                        "role": "assistant",
                        "rank": 0,
                        "replies": [
                            {
                                "message_id": "c",
                                "text": "Another?",
                                "role": "prompter",
                                "replies": [
                                    {"message_id": "d", "text": "Iseo.", "role": "assistant", "replies": []}
                                ],
                            }
                        ],
                    },
                ],
            },
        },
    )

    def read(self, row: Row) -> Item:
        """A tree has several prompts."""
        raise InvalidInputError("expected a tree to be read as several prompts")

    def items(
        self, rows: Iterable[tuple[int, Row | InvalidInputError]]
    ) -> Iterator[tuple[int, Item | InvalidInputError]]:
        """An item for every message in the tree that the assistant replied to."""
        for number, row in rows:
            try:
                if isinstance(row, InvalidInputError):
                    raise row
                root = row.get("prompt")
                if not isinstance(root, Mapping):
                    raise InvalidInputError("expected a message with replies in prompt")
                yield from _tree(number, root)
            except InvalidInputError as error:
                yield number, error


def _tree(number: int, root: Row) -> Iterator[tuple[int, Item | InvalidInputError]]:
    waiting: list[tuple[Row, tuple[Row, ...]]] = [(root, ())]
    while waiting:
        message, before = waiting.pop()
        path = (*before, message)
        given = message.get("replies") or []
        replies = [reply for reply in given if isinstance(reply, Mapping)] if isinstance(given, list) else []
        answers = [(number, reply) for reply in replies if str(reply.get("role")) == "assistant"]
        try:
            if answers:
                yield number, _item(_conversation(path), answers)
        except InvalidInputError as error:
            yield number, error
        waiting += [(reply, path) for reply in reversed(replies)]


def _path(key: int | str, messages: Mapping[int | str, Numbered]) -> Conversation:
    """All that was said up to a message, from the first."""
    path: list[Row] = []
    seen: set[int | str] = set()
    at: int | str | None = key
    while at is not None:
        if at not in messages or at in seen:
            raise InvalidInputError(
                f"expected the message {str(at)!r:.60} that was replied to, and it is not there"
            )
        seen.add(at)
        row = messages[at][1]
        path.append(row)
        at = optional_id(row.get("parent_id"))
    return _conversation(tuple(reversed(path)))


def _conversation(path: tuple[Row, ...]) -> Conversation:
    turns = [
        Turn(ROLES.get(str(row.get("role")), str(row.get("role"))), require_text(row.get("text"), "text"))
        for row in path
    ]
    return as_conversation(turns)


def _item(prompt: Conversation, answers: list[Numbered]) -> Item:
    notes: list[str] = []
    texts = [None if str(row.get("deleted")).lower() == "true" else row.get("text") for _, row in answers]
    found = several_answers(texts, "text", [row.get("model_name") for _, row in answers], notes)
    ranks = [optional_number(answers[place][1].get("rank"), "rank", notes) for place in found]
    rows = {place: answers[place][0] for place in found}
    return Item(
        prompt,
        tuple(Answer(one.text, one.generator, place, rows[place]) for place, one in found.items()),
        all_pairs([None if rank is None else -rank for rank in ranks]),
        notes=tuple(notes),
    )
