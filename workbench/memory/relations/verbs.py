"""Relations told by a verb: each verb of a sentence against the templates of its lemma.

Knows the lexicon's flags (cannot, would, unpaid …); what a match means is settled in `reading`.
"""

from __future__ import annotations

from workbench.memory.relations.lexicon import nouns
from workbench.memory.relations.lexicon.modality_words import UNPAID
from workbench.memory.relations.matching import Match
from workbench.memory.relations.phrases import Verb
from workbench.memory.relations.reading import Reader, refs_of
from workbench.memory.relations.templates import Template, by_head


class VerbReader:
    """Reads the verbs of one sentence."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.clauses = reader.clauses

    def read(self) -> None:
        """Every verb no earlier match has used."""
        for verb in self.clauses.verbs:
            if verb.lemma == "do" and self._stands_for_verb(verb):
                self._echo(verb)
            elif verb.head not in self.reader.claimed:
                self._verb(verb)

    def _verb(self, verb: Verb) -> None:
        if verb.lemma in ("feel", "have", "bear", "hold") and self._what_one_feels(verb):
            return
        for template in by_head().get(verb.lemma, ()):
            # What follows "be" is read as an adjective.
            found = None if verb.lemma == "be" and not template.noun else self._try(template, verb)
            if found is not None and verb.lemma == "serve" and self._at_table(found.end):
                continue
            if found is not None and self.reader.use(template, found, verb):
                return

    def _try(self, template: Template, verb: Verb) -> Match | None:
        if not self._flag_ok(template.flag, verb):
            return None
        if template.noun:
            return self._noun_subject(template, verb)
        if verb.passive and "be" not in template.head:
            return self.reader.matcher.match(template, verb.end, verb.subject, None, passive=True)
        found = self.reader.matcher.match(template, verb.end, verb.subject, verb)
        reduced = verb.kind in ("past", "pp") and not verb.words
        if found is None and reduced:
            return self.reader.matcher.match(template, verb.end, verb.subject, None, passive=True)
        return found

    def _at_table(self, i: int) -> bool:
        """As in "served Jon soup", "served him with a writ": something is served, nobody's service meant."""
        return self.clauses.low(i) in ("with", "up") or self.clauses.chunk_at(i) is not None

    def _noun_subject(self, template: Template, verb: Verb) -> Match | None:
        """As in "X's heart belongs to Y": the owner of the subject fills the slot."""
        subject = verb.subject[-1] if verb.subject else None
        if subject is None or subject.owner is None:
            return None
        feeling = nouns.FEELING_NOUNS.get(subject.noun, "") if "{n}" in template.noun else ""
        if not feeling and subject.noun not in template.noun:
            return None
        found = self.reader.matcher.match(template, verb.end, verb.subject, verb)
        if found is not None:
            found.type = feeling or found.type
            found.put(template.subject, [subject.owner])
        return found

    def _flag_ok(self, flag: str, verb: Verb) -> bool:
        if not flag:
            return True
        negative = verb.negations % 2 == 1 or any(chunk.pronoun in ("nobody", "nothing") for chunk in verb.subject)
        wanted = {
            "cannot": verb.modal in ("can", "could") and negative,
            "can": verb.modal in ("can", "could") and not negative,
            "could": verb.modal == "could" and not negative,
            "would": verb.modal == "would" and not negative and not verb.perfect and not self._conditional(),
            "wouldnot": verb.modal in ("would", "will") and negative,
            "not": negative,
            "never": negative,
            "dare": "dare" in verb.words,
            "unpaid": flag == "unpaid" and bool(UNPAID.search(self.reader.note)),
            "must": verb.modal == "must",
        }
        return wanted[flag]

    def _conditional(self) -> bool:
        """Whether an "if" or "had he …" governs the sentence: its "would" is then no idiom."""
        low = self.clauses.low
        if any(low(i) == "if" and low(i - 1) not in ("even", "as") for i in range(len(self.clauses.tokens))):
            return True
        return any(
            verb.inverted and verb.words[:1] in (("had",), ("were",), ("should",)) for verb in self.clauses.verbs
        )

    def _what_one_feels(self, verb: Verb) -> bool:
        """As in "What she feels for Karl is hatred", "hatred is what she feels for Karl"."""
        low = self.clauses.low
        start = verb.subject[0].first if verb.subject else 0
        if low(start - 1) != "what" or low(verb.end) not in ("for", "toward", "towards"):
            return False
        filled = self.reader.matcher.slot(verb.end + 1, Match())
        order = [*range(verb.end, len(self.clauses.tokens)), *range(start)]
        felt = [i for i in order if low(i) in nouns.FEELING_NOUNS]
        noun = next((i for i in felt if low(i - 1) not in ("not", "no", "never", "neither", "nor")), None)
        self.reader.claimed.update(felt)
        standing = self.reader.modality.of(verb, verb.head)
        if filled is None or noun is None or not standing.real:
            return False
        self.reader.claimed.add(noun)
        self.reader.edges.add(
            refs_of(verb.subject),
            refs_of(filled[0]),
            nouns.FEELING_NOUNS[low(noun)],
            self.reader.evidence(verb.head),
            denied=standing.denied,
        )
        return True

    # -- "so does Karl" ----------------------------------------------------

    def _stands_for_verb(self, verb: Verb) -> bool:
        following = self.clauses.chunk_at(verb.end)
        return bool(self.reader.told) and bool(verb.subject) and (following is None or not following.refs)

    def _echo(self, verb: Verb) -> None:
        """As in "Aoife does", "so does her brother", "but Jon does not": the last relation with another subject."""
        told = self.reader.told[-1]
        standing = self.reader.modality.of(verb, verb.head)
        if not told.type or not standing.real:
            return
        subject = refs_of(verb.subject)
        same = any(
            self.clauses.low(j) in ("so", "nor", "neither", "as", "too", "likewise")
            for j in range(max(0, verb.start - 2), verb.start + 1)
        )
        denied = standing.denied if self.clauses.low(verb.start - 1) not in ("nor", "neither") else True
        if same and not denied:
            denied = told.denied
        targets = [entity for entity in told.others if entity not in subject]
        pair = (subject, targets) if told.subject_is_source else (targets, subject)
        self.reader.edges.add(
            *pair,
            told.type,
            self.reader.evidence(verb.head),
            denied=denied != told.template_denies,
        )
