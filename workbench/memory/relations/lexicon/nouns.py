"""Nouns that name a feeling (her hatred of Karl) and nouns that name a person by a bond (Tom's creditor).

Knows nothing of the constructions they stand in.
"""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.lexicon import rows, word_list, word_set
from workbench.memory.relations.lexicon.morphology import plural

#: A feeling or state held towards somebody → its type.
FEELING_NOUNS: Final = {noun: kind for kind, text in rows("feeling_nouns.txt") for noun in text.split()}
#: Feeling nouns that name a bond both ways when no holder is given ("the alliance between A and B").
MUTUAL_FEELINGS: Final = word_set(
    """
    feud vendetta coalition league companionship fellowship marriage rancour aversion
    alliance pact rivalry competition friendship amity kinship camaraderie comradeship enmity animosity hatred
    distrust mistrust trust love respect affection hostility antipathy loathing suspicion contempt admiration
    """
)

#: Symmetric bonds: noun → type. Both edges, unless the sentence is one-sided.
MUTUAL_NOUNS: Final = {noun: kind for kind, text in rows("mutual_nouns.txt") for noun in text.split()}
#: Bonds with a direction: noun → (type, "owner" or "holder").
DIRECTED_NOUNS: Final[dict[str, tuple[str, str]]] = {
    noun: (key.split()[0], key.split()[1]) for key, text in rows("directed_nouns.txt") for noun in text.split()
}
#: Plural → singular, of every bond noun.
SINGULAR: Final = {plural(noun): noun for noun in (*MUTUAL_NOUNS, *DIRECTED_NOUNS)} | {
    "kin": "kin",
    "kinfolk": "kin",
    "folks": "parent",
}

#: Adjectives that end a bond ("her former ally", "his ex-wife") or doubt it.
ENDED: Final = word_set(
    """
    former ex old-time erstwhile onetime one-time sometime supposed alleged would-be prospective so-called
    imaginary fictional future putative purported potential possible pretend self-styled presumed ex-best bygone
    """
)

MALE_NOUNS: Final = word_set(
    """
    brother father son husband uncle nephew grandfather grandson stepbrother stepfather stepson half-brother
    brother-in-law father-in-law son-in-law dad papa daddy grandpa grandad granddad kinsman groom bridegroom man
    boy lad lord king prince duke baron count earl sir mr mister emperor monk abbot friar fellow gentleman knight
    squire chap bloke guy widower godfather great-uncle foster-father foster-brother foster-son hubby master
    viscount marquis marquess don herr monsieur tsar sultan pan stepson boyfriend fiancé sire wizard priest
    fisherman ferryman foreman nobleman bannerman shieldman manservant cowboy grand-father grandfather count
    """
)
FEMALE_NOUNS: Final = word_set(
    """
    sister mother daughter wife aunt auntie niece grandmother granddaughter stepsister stepmother stepdaughter
    half-sister sister-in-law mother-in-law daughter-in-law mum mom mama mummy mam grandma gran granny nan nana
    kinswoman bride woman girl lass lady queen princess duchess baroness countess dame mrs ms miss madam madame
    empress nun abbess witch widow godmother great-aunt foster-mother foster-sister foster-daughter missus
    mistress viscountess marchioness frau mademoiselle tsarina sultana girlfriend fiancée matron nurse governess
    priestess seamstress heiress noblewoman shieldmaiden maid hostess actress señora sorceress enchantress
    huntress mère donna doña señorita contessa
    """
)
#: Persons named only by what they are: read like a pronoun.
PERSON_NOUNS: Final = word_set(
    """
    man woman boy girl lad lass fellow gentleman lady chap bloke guy creature wretch rascal scoundrel
    """
)

#: What one perceives of a person: to fear or hate it is to fear or hate the person.
TRACES: Final = word_set(
    """
    sight sound mention thought name presence smell face voice look return approach footsteps footstep step wrath
    temper anger gaze shadow stare glare touch memory guts fury vengeance rage arrival eyes tongue laugh whistle
    visits company
    """
)
#: Adjectives that tell what the owner of a phrase feels for the person it names ("his trusted steward Karl").
FELT: Final = {
    **dict.fromkeys(word_list("trusted trusty trustworthy"), "trust"),
    **dict.fromkeys(word_list("beloved adored cherished darling dearly-loved"), "love"),
    **dict.fromkeys(word_list("hated despised loathed detested"), "hate"),
    **dict.fromkeys(word_list("feared dreaded"), "fear"),
    **dict.fromkeys(word_list("respected admired revered esteemed"), "respect"),
}
#: Feeling nouns that name one bond of two ("their rivalry", "the marriage of A and B").
SHARED: Final = word_set(
    "rivalry friendship alliance pact marriage wedding kinship enmity animosity feud vendetta camaraderie"
)


def is_bond(word: str) -> bool:
    """Whether `word` is a bond noun, singular or plural."""
    return word in SINGULAR or word in MUTUAL_NOUNS or word in DIRECTED_NOUNS
