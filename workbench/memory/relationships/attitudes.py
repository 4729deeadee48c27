"""Words that speak of an attitude, by type: what a question asks about, and whether a message is worth a second look.

A net with wide meshes, not an extractor: it says which types a text may be about, never who stands how to whom.
"""

from __future__ import annotations

import re

from workbench.memory.relationships.statements import TYPES

_STEMS = {
    "trust": r"trust|rel(?:y|ies|ied) on|confid(?:e|ence|ant)|faith in|believes? in|count(?:s|ed)? on",
    "distrust": r"distrust|mistrust|suspic|suspect|betray|treach|wary|doubts?\b",
    "love": r"lov(?:e|es|ed|er|ers|ing)\b|ador|in love|belov|cherish|fond of|dot(?:e|es|ed) on",
    "hate": r"hat(?:e|es|ed|red|ing)\b|loath|despis|detest|abhor|resent|contempt|can(?:no|')t stand",
    "fear": r"fear|afraid|scared|terrif|dread|frighten",
    "alliance": r"alli(?:ed|es|ance)|ally|league with|pact|truce|sworn to|vassal|side[sd]? with|join(?:s|ed)? forces",
    "rivalry": r"rival|enem(?:y|ies)|foes?\b|feud|compet|nemesis|at odds|adversar",
    "friendship": r"friend|befriend|pals?\b|buddy|buddies|companion|close to|comrade|gets? along",
    "family": (
        r"famil|brother|sister|sibling|mother|father|parents?\b|sons?\b|daughter|wife|husband|spouse|married|marri|"
        r"uncle|aunt|cousin|nephew|niece|grand(?:mother|father|son|daughter)|in-law|kin\b"
    ),
    "debt": r"ow(?:e|es|ed|ing)\b|debt|borrow|lent\b|lends?\b|loan|indebted|repa(?:y|id)",
    "respect": r"respect|admir|look(?:s|ed)? up to|esteem|rever(?:e|es|ed)\b|venerat",
}
_EACH = {kind: re.compile(rf"\b(?:{stems})", re.IGNORECASE) for kind, stems in _STEMS.items()}
_ANY = re.compile(rf"\b(?:{'|'.join(_STEMS.values())})", re.IGNORECASE)
_GENERAL = re.compile(
    r"relation|feel(?:s|ing|ings)?\b|think(?:s)? (?:of|about)|stand(?:s)? (?:to|towards?)|attitude", re.IGNORECASE
)


def speaks_of_attitude(text: str) -> bool:
    """Whether any word in it could."""
    return _ANY.search(text) is not None


def asked_about(text: str) -> set[str]:
    """Types a question may be about; all of them where it asks how somebody stands to somebody at all."""
    if _GENERAL.search(text):
        return set(TYPES)
    return {kind for kind, pattern in _EACH.items() if pattern.search(text)}
