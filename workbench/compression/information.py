"""What a piece of a conversation is worth when nothing is asked: how much it tells for its length.

Information is the sum of the terms' idf (Spärck Jones 1972), to which names, numbers and times add: they are what is
asked for later and what nobody can guess. Centrality, the usual measure (see
:mod:`workbench.compression.centrality`), keeps no more of labelled evidence than chance does: what resembles
everything else is small talk. Knows texts only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.compression.reading import Reader
from workbench.interfaces import FloatArray
from workbench.ranking.bm25 import Bm25Index
from workbench.ranking.fusion import standardised

_PARTICULAR = 4.0
"""What a name, a number or a time is worth: about as much as a word that one piece in fifty holds."""
_OVERHEAD_CHARACTERS = 20.0
"""What a message takes besides its text (role, marks), in characters."""


def information(texts: Sequence[str], reader: Reader) -> FloatArray:
    """Information for its length of every piece of a conversation, standardised: (pieces,)."""
    if not texts:
        return np.zeros(0, np.float32)
    found = [reader.terms(text) for text in texts]
    index = Bm25Index()
    index.extend(found)
    idf = {term: index.idf(term) for term in set().union(*found)}
    told = [
        sum(map(idf.__getitem__, set(terms))) + _PARTICULAR * reader.particulars(text)
        for text, terms in zip(texts, found, strict=True)
    ]
    lengths = np.array([len(text) for text in texts]) + _OVERHEAD_CHARACTERS
    return standardised((np.array(told) / lengths).astype(np.float32))
