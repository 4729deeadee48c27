"""Sampling by purpose.

Values follow what model makers and llama.cpp recommend for the purpose: greedy for facts, min-p with a higher
temperature for invention (arXiv 2407.01082), a light repetition penalty where texts get long.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workbench.interfaces.generation import Sampling

presets: Mapping[str, Sampling] = MappingProxyType(
    {
        "chat": Sampling(temperature=0.7, top_k=40, top_p=0.95, min_p=0.05),
        "assistant": Sampling(temperature=0.4, top_k=40, top_p=0.9, min_p=0.05),
        "factual": Sampling(temperature=0.0),
        "creative": Sampling(temperature=1.1, top_k=0, top_p=1.0, min_p=0.05, repeat_penalty=1.05, repeat_last_n=128),
        "storytelling": Sampling(
            temperature=0.9, top_k=0, top_p=0.98, min_p=0.05, repeat_penalty=1.08, repeat_last_n=256
        ),
    }
)
