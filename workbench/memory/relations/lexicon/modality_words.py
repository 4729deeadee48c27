"""Words that tell whether a clause holds now: verbs that embed a clause, adverbs of hearsay, of the past, of fancy."""

from __future__ import annotations

import re
from typing import Final

from workbench.memory.relations.lexicon import text_of, word_set

#: Embedding verbs after which the clause is a fact, whatever is denied of the verb itself ("did not know that").
FACTIVE: Final = word_set(
    """
    know realise discover learn find notice see understand recognise remember recall forget admit
    confess reveal acknowledge confirm prove show observe perceive concede grasp sense appreciate
    mention note overhear hear gather figure regret resent mind ignore conceal hide guess establish
    accept explain remind inform strike dawn betray matter mean ensure record report-fact feel
    """
)
#: Saying counts when the speaker speaks of himself.
SAYING: Final = word_set(
    """
    say tell swear declare announce assure write whisper answer reply insist state repeat vow cry shout
    murmur mutter explain add call promise
    """
)
#: Infinitives and gerunds after these are true.
IMPLICATIVE: Final = word_set(
    """
    come begin start learn grow continue manage get happen dare choose tend turn prove keep go remain
    bother deign help teach lead cause make force compel persuade convince bring let enjoy admit confess
    like love hate prefer regret have resume stay forbear live end drive choose elect need-not hear see
    watch feel know find fall
    """
)
#: … after these they are denied.
DENYING: Final = word_set(
    """
    fail refuse cease stop quit decline deny avoid forget neglect lack forswear disclaim abandon give
    """
)
#: Adjectives (after "be") whose infinitive is true.
TRUE_ADJECTIVES: Final = word_set(
    """
    glad proud happy right wrong foolish wise sworn bound content known pleased honoured ashamed lucky
    sad sorry first last only alone enough obliged old young quick not stupid mad fool delighted
    relieved
    """
)

#: Nouns and adjectives whose that-clause nobody vouches for ("the lie that", "the story that").
DOUBTED: Final = word_set(
    """
    claim claims lie lies idea notion theory hope hopes wish suspicion belief rumour rumor false untrue possible
    likely accusation suggestion assumption possibility unlikely doubtful fear fears impression tale tales story
    stories report reports gossip charge allegation hypothesis myth legend fiction slander talk insinuation pretence
    dream delusion illusion prospect risk danger chance prediction prophecy view opinion hint whisper complaint
    probability likelihood conjecture supposition premise condition threat conviction gospel nonsense
    """
)
#: … and those that make it plain truth ("it is clear that", "it is no secret that").
PLAIN_TRUTH: Final = word_set("true clear plain obvious no secret certain evident fact well known")
#: What makes "will" tell of now.
LIFELONG: Final = (
    "as long as",
    "until his",
    "until her",
    "dying day",
    "for life",
    "rest of",
    "for ever",
    "till his",
    "till her",
    "to the grave",
    "to the end",
    "to the day",
)


def _pattern(name: str) -> re.Pattern[str]:
    lines = [line for line in text_of(name).splitlines() if line and not line.startswith("#")]
    return re.compile(r"\b(?:" + "|".join(lines) + r")\b", re.IGNORECASE)


#: Told by others; fancied, pretended or supposed; over.
HEARSAY: Final = _pattern("hearsay.txt")
FANCY: Final = _pattern("fancy.txt")
PAST: Final = _pattern("past.txt")
#: A later clause or sentence that tells how it is instead.
NOW_OTHERWISE: Final = re.compile(
    r"(?:;|,|—|\bbut|\band) (?:but |and |yet )?(?:now|today|nowadays|these days) "
    r"(?:they|he|she|it|the two|the pair)(?:'s|'re)?(?: \w+)? (?:are|is|have|has|\w+s)\b",
    re.IGNORECASE,
)
#: Where the scope of such a mark ends.
RESET: Final = re.compile(
    r";|\bbut\b|\byet\b|—|\bin truth\b|\bin fact\b|\bin reality\b|\bactually\b|\bthough\b", re.IGNORECASE
)
#: Signs that money lent has not come back.
UNPAID: Final = re.compile(
    r"\b(?:not|never|yet|still|nor|without|no|nothing|hasn't|haven't|n't)\b[^.]{0,60}"
    r"\b(?:repa(?:id|y|ying)|pa(?:id|y|ying)|returned?|settled?|seen|given (?:it )?back|owed?s?|outstanding|due)\b"
    r"|\b(?:unpaid|outstanding|overdue|repays?|owes?|pay (?:it|her|him|them) back|interest is|yet to)\b",
    re.IGNORECASE,
)
