"""Texts → embeddings, through ``transformers``: any encoder or decoder of the hub, or of a folder."""

from __future__ import annotations

from bayesrm.embedding.embedder import Embedder
from bayesrm.embedding.pool import EmbeddedPool, embed_texts, merge_shards
from bayesrm.embedding.settings import EmbeddingSettings

__all__ = ["EmbeddedPool", "Embedder", "EmbeddingSettings", "embed_texts", "merge_shards"]
