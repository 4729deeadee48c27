"""Ranking texts for a query: words, BM25, vectors, their fusion, and what a question asks for.

Knows texts and scores; never a conversation's storage, nor what is done with what ranks first.
"""

from workbench.ranking.bm25 import Bm25Index
from workbench.ranking.dense import DenseIndex
from workbench.ranking.fusion import standardised
from workbench.ranking.words import terms

__all__ = ["Bm25Index", "DenseIndex", "standardised", "terms"]
