"""Models of a few thousand weights with tokenizers of a few hundred words, in folders for ``from_pretrained``."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from bayesrm import rng

CORPUS = [
    "What color is the sky? It is blue, of course, and at night it is black with stars.",
    "Human: why do cats sleep all day?\n\nAssistant: they hunt at dawn and dusk, and rest in between.",
    "Write a long letter to a friend about the sea, the wind and the weather in the north.",
]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


def tokenizer(
    special: list[str], left: bool = False, chat: bool = False, words: bool = False
) -> PreTrainedTokenizerFast:
    """Byte-level pairs, or pieces of words between [CLS] and [SEP]."""
    if words:
        # The library's trainer numbers pieces in another order in each process, and weights go by number.
        splitter = pre_tokenizers.BertPreTokenizer()
        seen = {word for text in CORPUS for word, _ in splitter.pre_tokenize_str(text)}
        letters = {letter for word in seen for letter in word}
        pieces = [*special, *sorted(seen | letters | {f"##{letter}" for letter in letters})]
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        inner.add_special_tokens(special)
        inner.pre_tokenizer = splitter
    else:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(CORPUS, trainer)
    if words:
        ends = [(token, inner.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
        )
        names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    else:
        names = {"bos_token": "<bos>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        padding_side="left" if left else "right",
        chat_template=CHAT if chat else None,
        model_max_length=64,
        **names,
    )


def save(model: type, config: object, tokens: PreTrainedTokenizerFast, folder: Path, seed: int = 0) -> Path:
    """Random weights from a seed, spread enough that texts differ."""
    with rng.fenced(seed):
        made = model(config)
        for weight in made.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.3)
    made.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def bert(folder: Path, head: bool = False, labels: int = 1, seed: int = 0) -> Path:
    """An encoder, with a reward head or without."""
    tokens = tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], words=True)
    config = BertConfig(
        vocab_size=len(tokens), max_position_embeddings=64, num_labels=labels, pad_token_id=0, **SIZES
    )
    return save(BertForSequenceClassification if head else BertModel, config, tokens, folder, seed)


def llama(folder: Path, head: bool = False, chat: bool = True, left: bool = False, seed: int = 0) -> Path:
    """A decoder whose tokenizer has a chat template and no padding token."""
    tokens = tokenizer(["<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|system|>"], left=left, chat=chat)
    config = LlamaConfig(
        vocab_size=len(tokens), max_position_embeddings=64, num_key_value_heads=2, num_labels=1,
        bos_token_id=0, eos_token_id=1, pad_token_id=None, **SIZES,
    )  # fmt: skip
    return save(LlamaForSequenceClassification if head else LlamaModel, config, tokens, folder, seed)


def gpt2(folder: Path) -> Path:
    """A decoder with learned positions, whose tokenizer has no chat template."""
    tokens = tokenizer(["<bos>", "<eos>"])
    config = GPT2Config(
        vocab_size=len(tokens), n_positions=64, n_embd=16, n_layer=3, n_head=2, bos_token_id=0, eos_token_id=1
    )
    return save(GPT2Model, config, tokens, folder)
