"""The room where engines are put to work and measured: how well a model predicts a text, and how it does a workload.

Knows the ``Engine`` protocol, texts and workloads; never sweeps or plots, nor which engine it is handed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.evaluation.corpus import read_text, sample_text, wikitext
    from workbench.evaluation.text_perplexity import Perplexity, perplexity

_HOME = {
    "Perplexity": "text_perplexity",
    "perplexity": "text_perplexity",
    "read_text": "corpus",
    "sample_text": "corpus",
    "wikitext": "corpus",
}

__all__ = ["Perplexity", "perplexity", "read_text", "sample_text", "wikitext"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
