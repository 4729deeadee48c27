"""The inflected forms of English verbs and nouns: regular spelling rules and a table of the irregular ones.

Knows nothing of meaning.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from workbench.memory.relations.lexicon import word_set

#: base: past, past participle (the rest is regular).
IRREGULAR_TEXT: Final = """
be was been; have had had; do did done; go went gone; say said said; get got got; make made made; know knew known;
think thought thought; take took taken; see saw seen; come came come; give gave given; find found found; tell told
told; become became become; leave left left; feel felt felt; put put put; bring brought brought; begin began begun;
keep kept kept; hold held held; write wrote written; stand stood stood; hear heard heard; let let let; mean meant
meant; set set set; meet met met; run ran run; pay paid paid; sit sat sat; speak spoke spoken; lie lay lain; lead
led led; read read read; grow grew grown; lose lost lost; fall fell fallen; send sent sent; build built built;
understand understood understood; draw drew drawn; break broke broken; spend spent spent; cut cut cut; rise rose
risen; drive drove driven; buy bought bought; wear wore worn; choose chose chosen; sing sang sung; win won won;
forget forgot forgotten; forgive forgave forgiven; swear swore sworn; fight fought fought; bear bore borne; throw
threw thrown; teach taught taught; catch caught caught; sell sold sold; shake shook shaken; hide hid hidden; eat
ate eaten; drink drank drunk; lend lent lent; owe owed owed; bend bent bent; kneel knelt knelt; bow bowed bowed;
dream dreamt dreamt; sleep slept slept; ride rode ridden; steal stole stolen; strike struck struck; bind bound
bound; cling clung clung; shrink shrank shrunk; freeze froze frozen; fly flew flown; sweep swept swept; stick stuck
stuck; hang hung hung; weep wept wept; wed wed wed; beat beat beaten; bite bit bitten; blow blew blown; forsake
forsook forsaken; overcome overcame overcome; withdraw withdrew withdrawn; dig dug dug; feed fed fed; hurt hurt
hurt; shut shut shut; spit spat spat; split split split; wake woke woken; light lit lit; seek sought sought; shoot
shot shot; swim swam swum; tear tore torn; creep crept crept; deal dealt dealt; flee fled fled; burn burnt burnt;
learn learnt learnt; mistake mistook mistaken; repay repaid repaid; rebuild rebuilt rebuilt; withhold withheld
withheld; outsell outsold outsold; outgrow outgrew outgrown; undo undid undone; retell retold retold; outdo outdid
outdone; outbid outbid outbid; shed shed shed; uphold upheld upheld; foresee foresaw foreseen; spread spread
spread; cost cost cost;
"""

_VOWELS = frozenset("aeiou")
#: Verbs of more than one syllable whose last consonant doubles, and final "l" in British spelling.
_DOUBLING: Final = word_set(
    """
    abhor admit commit prefer refer regret rebel compel forget occur abet confer defer equip transfer
    idol hero-worship quarrel travel marvel worship kidnap rival counsel cancel grovel fulfil label
    signal snivel
    """
)


class Form(NamedTuple):
    """One reading of a written word: the verb it belongs to and base, s, past, pp or ing."""

    lemma: str
    kind: str


def _doubles(verb: str) -> bool:
    if verb in _DOUBLING:
        return True
    short = sum(letter in _VOWELS for letter in verb) == 1
    return short and len(verb) > 2 and verb[-1] not in "aeiouwxyh" and verb[-2] in _VOWELS and verb[-3] not in _VOWELS


def third_person(verb: str) -> str:
    """Trust → trusts, despise → despises, envy → envies, pass → passes."""
    if verb.endswith(("s", "x", "z", "ch", "sh")) or verb in ("go", "do"):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def past(verb: str) -> str:
    """Trust → trusted, love → loved, envy → envied, abhor → abhorred."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return verb + (verb[-1] if _doubles(verb) else "") + "ed"


def gerund(verb: str) -> str:
    """Trust → trusting, love → loving, lie → lying, abhor → abhorring."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if _doubles(verb) else "") + "ing"


def plural(noun: str) -> str:
    """Ally → allies, brother-in-law → brothers-in-law, wife → wives."""
    head, dash, rest = noun.partition("-in-law")
    if dash:
        return plural(head) + dash + rest
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith("man") and noun not in ("human", "shaman"):
        return noun[:-2] + "en"
    return third_person(noun)


_PLURALS: Final = {
    "wife": "wives", "child": "children", "grandchild": "grandchildren", "godchild": "godchildren",
    "stepchild": "stepchildren", "foster-child": "foster-children", "midwife": "midwives", "half": "halves",
}  # fmt: skip


def _irregular() -> dict[str, tuple[str, str]]:
    rows = (row.split() for row in IRREGULAR_TEXT.replace("\n", " ").split(";") if row.strip())
    return {base: (simple, participle) for base, simple, participle in rows}


_IRREGULAR: Final = _irregular()


def forms(verb: str) -> list[tuple[str, Form]]:
    """Every written form of `verb` with its reading; the British and the American spelling where they part."""
    simple, participle = _IRREGULAR.get(verb, (past(verb), past(verb)))
    found = [(verb, "base"), (third_person(verb), "s"), (gerund(verb), "ing"), (simple, "past"), (participle, "pp")]
    if verb in ("burn", "learn", "dream", "kneel", "light"):
        found += [(past(verb), "past"), (past(verb), "pp")]
    if verb == "get":
        found.append(("gotten", "pp"))
    if verb.endswith("ise"):
        american = verb[:-3] + "ize"
        found += [(american, "base"), (third_person(american), "s"), (gerund(american), "ing")]
        found += [(past(american), "past"), (past(american), "pp")]
    return [(written, Form(verb, kind)) for written, kind in found]


def table(verbs: set[str]) -> dict[str, tuple[Form, ...]]:
    """Written word → its readings, for all of `verbs`."""
    found: dict[str, list[Form]] = {}
    for verb in sorted(verbs):
        for written, form in forms(verb):
            if form not in found.setdefault(written, []):
                found[written].append(form)
    be = {"am": "base", "is": "s", "are": "base", "were": "past", "has": "s"}
    for written, kind in be.items():
        found[written] = [Form("have" if written == "has" else "be", kind)]
    found.pop("haves", None)
    found.pop("bes", None)
    return {written: tuple(readings) for written, readings in found.items()}
