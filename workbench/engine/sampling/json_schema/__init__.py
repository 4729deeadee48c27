"""JSON schema → GBNF: every text the grammar allows is valid under the schema, and what cannot be promised is refused.

The other way round less is promised: of several ways to write a value (order of keys, escapes, digits) the grammar
allows the usual ones. Knows JSON Schema 2020-12 (and what draft 7 spells otherwise); nothing of models or tokens.
Nothing is fetched: a ``$ref`` must point into the schema itself.
"""

from __future__ import annotations

from workbench.engine.sampling.json_schema.convert import schema_to_gbnf

__all__ = ["schema_to_gbnf"]
