"""Two ways through a turn: the fast one asks the model at once, the slow one recalls and uses tools before.

A rule router is certain or it is slow: it knows a few kinds of messages that need nothing of what was said, and takes
every sign of a reference to the past, to somebody, to a time or to something to be done as a reason against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

LONGEST_FAST = 80
"""Characters beyond which nothing is simple."""


@dataclass(frozen=True, slots=True)
class Route:
    """A decision and why."""

    path: Literal["fast", "slow"]
    reason: str

    @property
    def fast(self) -> bool:
        """Without recall and tools."""
        return self.path == "fast"

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Router(Protocol):
    """Decides by what the user says and what was said right before it; must return at once. Threads: any."""

    def route(self, text: str, before: str = "") -> Route:
        """Which way.

        Args:
            text: the user's message.
            before: the answer it follows; empty for the first.
        """
        ...


_SLOW_WITHOUT_ROUTER = Route("slow", "no router")


class RuleRouter:
    """Fast for greetings, thanks, short acknowledgements, sums, and definitions of a common word; English.

    When in doubt slow: what is lost by it is some milliseconds, by the other mistake the answer.
    """

    def route(self, text: str, before: str = "") -> Route:
        """Which way, and the rule that said so."""
        plain = " ".join(text.replace("\u2019", "'").split())
        if not plain:
            return Route("slow", "nothing said")
        if len(plain) > LONGEST_FAST:
            return Route("slow", "long")
        for reason, pattern in _KINDS:
            if pattern.fullmatch(plain):
                doubt = _doubt(plain) if reason == "definition" else None
                if reason == "acknowledgement" and before.rstrip().endswith("?"):
                    doubt = "answers a question"
                return Route("slow", doubt) if doubt else Route("fast", reason)
        return Route("slow", _doubt(plain) or "no simple kind")


def decide(router: Router | None, text: str, before: str) -> Route:
    """What the router says; without one everything goes the slow way."""
    return _SLOW_WITHOUT_ROUTER if router is None else router.route(text, before)


_END = r"[\s.!?,\u2026)(:;-]*"
_EMOJI = r"[\s\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F]*"


def _kind(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(alternatives)}){_END}{_EMOJI}{_END}", re.IGNORECASE)


_SO = r"(?:so |very )?much|a lot|a million|again|indeed|for (?:that|your help|the help|everything)"
_FINE = r"great|good|nice|cool|perfect|awesome|excellent|wonderful|fantastic|brilliant|lovely|amazing|super"
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "greeting",
        _kind(
            r"(?:hi|hello|hey|howdy|greetings|hiya)(?:,? (?:there|again|everyone|all|you))?",
            r"good (?:morning|afternoon|evening|day)(?:,? (?:to you|everyone|all))?",
            r"(?:(?:hi|hello|hey)(?: there)?[,.!]? )?how are you(?: (?:doing|today|doing today))?",
        ),
    ),
    (
        "farewell",
        _kind(
            r"(?:good)?bye(?:[- ]?bye)?(?:,? (?:for now|now|then))?",
            r"good night",
            r"see (?:you|ya)(?: (?:soon|later|around))?",
            r"take care",
            r"have a (?:nice|good|great|lovely) (?:day|evening|night|weekend|one)",
        ),
    ),
    (
        "thanks",
        _kind(
            rf"(?:(?:ok(?:ay)?|{_FINE}|oh|ah)[,.!]? )?(?:many )?(?:thanks|thank you|thx|ty|cheers)(?:,? (?:{_SO}))*",
            r"(?:i )?(?:really )?appreciate (?:it|that|your help)",
        ),
    ),
    (
        "acknowledgement",
        _kind(
            rf"(?:ok(?:ay)?|alright|all right|got it|i see|understood|makes sense|fair enough|sounds good|{_FINE}|wow|"
            r"interesting|haha(?:ha)*|lol|hm+|ah+|oh+|noted|no problem|no worries|you're welcome)"
            rf"(?:,? (?:{_FINE}|got it|then|i see))?",
            rf"that(?:'s| is) (?:{_FINE}|interesting|funny)",
        ),
    ),
    (
        "arithmetic",
        _kind(
            r"(?:(?:what(?:'s| is)|calculate|compute|how much is) )?"
            r"\(*-?\d[\d,.]*\)*"
            r"(?: ?(?:[-+*/x\u00d7\u00f7^%]|plus|minus|times|multiplied by|divided by|mod) ?\(*-?\d[\d,.]*\)*)+"
            r"(?: ?=)?",
            r"(?:what(?:'s| is) )?(?:the )?(?:square|cube) root of \d[\d,.]*",
            r"(?:what(?:'s| is) )?\d[\d,.]* ?(?:%|percent) of \d[\d,.]*",
        ),
    ),
    (
        "definition",
        _kind(
            r"(?:define|what does) (?:the (?:word|term) )?['\"]?[a-z][a-z-]+['\"]?(?: mean)?",
            r"what(?:'s| is) an? [a-z][a-z-]+(?: [a-z][a-z-]+)?",
            r"what(?:'s| is) the (?:definition|meaning) of (?:an? )?['\"]?[a-z][a-z-]+['\"]?",
        ),
    ),
)

_DOUBTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "refers to somebody or to something said",
        re.compile(
            r"\b(?:i|me|my|mine|we|us|our|ours|you|your|yours|he|him|his|she|her|hers|they|them|their|theirs|it|its|"
            r"this|that|these|those|there|here|one|ones|same|other|another|else|again|above|former|latter)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "refers to a time",
        re.compile(
            r"\b(?:\d{1,2}:\d\d|today|tonight|tomorrow|yesterday|now|next|last|ago|before|after|earlier|later|previous|"
            r"previously|first|recent|recently|already|still|yet|date|day|time|week|month|year|when|monday|tuesday|"
            r"wednesday|thursday|friday|saturday|sunday|current|currently|latest|new|news)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "asks to remember or to do something",
        re.compile(
            r"\b(?:remember|remind|recall|forget|forgot|note|save|store|tell|told|say|said|mention|mentioned|plan|name|"
            r"named|called|address|number|password|status|state|inventory|weather|price|list|score|balance|going|up|"
            r"wrong|left|missing|happening|on|favou?rite|best)\b",
            re.IGNORECASE,
        ),
    ),
    ("speaks of something particular", re.compile(r"\b(?:the|some|any)\b(?! (?:word|term|definition|meaning)\b)")),
)
_NAME = re.compile(r"(?<=\S )[A-Z][\w'-]*|\b[A-Z]{2,}\b|\w'(?:s|d|ll|ve)\b")


def _doubt(text: str) -> str | None:
    """A sign that it is not simple."""
    for reason, pattern in _DOUBTS:
        if pattern.search(text):
            return reason
    bare = re.sub(r"(?i)\bwhat's\b", "what is", text)
    return "has a name in it" if _NAME.search(bare) else None
