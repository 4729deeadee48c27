"""The room where engines, embedders and memories are put to work and measured.

How well a model predicts a text and does a workload; whether a memory brings back what answers a question
(:func:`score_memory`), a compressed conversation still makes its answers likely (:func:`score_answers`), an embedder
tells alike from unlike (:func:`score_embedder`) and relationships are read out of notes (:func:`score_relations`); the
labelled data for that (:func:`locomo`, :func:`qmsum`, :func:`stsb`, :func:`cranfield`, :func:`small`). Knows protocols,
texts and workloads; never sweeps or plots, nor which engine it is handed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.evaluation.answer_likelihood import score_answers
    from workbench.evaluation.compression_breakeven import break_even
    from workbench.evaluation.corpus import read_text, sample_text, wikitext
    from workbench.evaluation.counting import CountingEmbedder
    from workbench.evaluation.datasets import (
        cranfield,
        lengthened,
        locomo,
        qmsum,
        read_conversations,
        relation_notes,
        small,
        stsb,
    )
    from workbench.evaluation.embedder_score import EmbedderScore, score_embedder
    from workbench.evaluation.evidence import EvidenceScore, score_compressor
    from workbench.evaluation.memory_score import score_memory
    from workbench.evaluation.relation_score import RelationScore, score_relations
    from workbench.evaluation.scorecard import Scorecard
    from workbench.evaluation.text_perplexity import Perplexity, perplexity

_HOME = {
    "CountingEmbedder": "counting",
    "EmbedderScore": "embedder_score",
    "EvidenceScore": "evidence",
    "Perplexity": "text_perplexity",
    "RelationScore": "relation_score",
    "Scorecard": "scorecard",
    "break_even": "compression_breakeven",
    "cranfield": "datasets",
    "lengthened": "datasets",
    "locomo": "datasets",
    "perplexity": "text_perplexity",
    "qmsum": "datasets",
    "read_conversations": "datasets",
    "read_text": "corpus",
    "relation_notes": "datasets",
    "sample_text": "corpus",
    "score_answers": "answer_likelihood",
    "score_compressor": "evidence",
    "score_embedder": "embedder_score",
    "score_memory": "memory_score",
    "score_relations": "relation_score",
    "small": "datasets",
    "stsb": "datasets",
    "wikitext": "corpus",
}

__all__ = [
    "CountingEmbedder",
    "EmbedderScore",
    "EvidenceScore",
    "Perplexity",
    "RelationScore",
    "Scorecard",
    "break_even",
    "cranfield",
    "lengthened",
    "locomo",
    "perplexity",
    "qmsum",
    "read_conversations",
    "read_text",
    "relation_notes",
    "sample_text",
    "score_answers",
    "score_compressor",
    "score_embedder",
    "score_memory",
    "score_relations",
    "small",
    "stsb",
    "wikitext",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
