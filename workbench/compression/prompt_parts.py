"""The parts of a written prompt: headings, guidelines sentence by sentence, and examples.

Knows the forms people write prompts in (Markdown, lists, tags, dialogues), not what the guidelines say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from workbench.compression.pieces import SENTENCE_END

_HEADING = re.compile(r"\s*(?:#{1,6}\s+\S|\*\*[^*]+\*\*:?\s*$|={3,}|-{3,}|[A-Z][A-Z0-9 &/'-]{3,}:?\s*$|\[[^\]]+\]\s*$)")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\(?(?:\d{1,3}|[a-z])[.)])\s+")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_EXAMPLE = re.compile(
    r"\s*(?:#+\s*|[-*]\s+)?\**\s*(?:(?:good|bad|wrong|right|correct|incorrect)\s+)?(?:example|sample|demonstration)"
    r"(?:\s+(?:\d+|[A-Z]))?(?:\s*\([^)]*\))?(?:\s*[:.\u2013\u2014-][^\n]*)?\**\s*$",
    re.IGNORECASE,
)
_TAG = re.compile(r"\s*<(example|sample)\b[^>]*>", re.IGNORECASE)
_SPEAKER = re.compile(
    r"\s*(?:[-*]\s+)?\**(user|customer|client|guest|patient|student|human|caller|player|visitor|q|question|input|request|"
    r"assistant|agent|bot|ai|a|answer|output|response|reply|tutor|support|narrator)\**\s*:",
    re.IGNORECASE,
)
# only of something quoted: "Broken box -> hand it over" is a rule, not an example
_ARROW = re.compile(r"\s*(?:[-*]\s+)?[\"'`\u201c].*[\"'`\u201d]\s*(?:->|=>|\u2192)\s*(\S.*)$")
_SENTENCE = re.compile(rf"\S.*?(?:{SENTENCE_END}|\x01|\Z)", re.DOTALL)
_WRAPPED = 60  # a line as long as this goes on in the next one


@dataclass(frozen=True, slots=True)
class Line:
    """A line and where it is, its line break included."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Part:
    """Something that can go.

    Attributes:
        kind: a "guideline", an "example", or what is "fixed" (code).
        spans: (start, end) of the sentences, or one of the whole.
        outer: (start, end) of the whole: the lines, bullet and all.
        leads: indices of the heading and the line that leads in, into the leads of the prompt.
        sort: of an example: examples of one sort show the same.
    """

    kind: Literal["guideline", "example", "fixed"]
    spans: list[tuple[int, int]]
    outer: tuple[int, int]
    leads: tuple[int, ...] = ()
    sort: str = ""


@dataclass(slots=True)
class Parts:
    """A prompt taken apart: its parts in order, and the headings and lead-ins they stand below."""

    parts: list[Part] = field(default_factory=list)
    leads: list[Line] = field(default_factory=list)


def taken_apart(text: str) -> Parts:
    """The parts of a prompt."""
    return _Reader(text).read()


class _Reader:
    """One pass over the lines."""

    def __init__(self, text: str) -> None:
        self.text, self.found = text, Parts()
        self.lines = [Line(match.start(), match.end(), match[0]) for match in re.finditer(r"[^\n]*\n|[^\n]+\Z", text)]
        self.heading: int | None = None
        self.lead: int | None = None

    def read(self) -> Parts:
        at = 0
        while at < len(self.lines):
            at = self._block(at)
        return self.found

    def _block(self, at: int) -> int:
        """Take in what begins at line ``at``; the line after it."""
        text = self.lines[at].text
        if not text.strip():
            following = self.lines[at + 1].text if at + 1 < len(self.lines) else ""
            self.lead = self.lead if _ITEM.match(following) else None
            return at + 1
        if _FENCE.match(text):
            return self._add(at, self._until_fence(at + 1), "fixed")
        if _TAG.match(text):
            return self._example(at, self._until_tag(at), "tag")
        if _EXAMPLE.match(text):
            return self._example(at, self._until_example_ends(at + 1), _untitled(text.split(":")[0]))
        if self._is_dialogue(at):
            return self._example(at, self._until_blank(at), "dialogue")
        if (arrow := _ARROW.match(text)) is not None:
            return self._example(at, at + 1, f"arrow {arrow[1].strip()}")
        if _HEADING.match(text):
            self.heading, self.lead = self._hold(at), None
            return at + 1
        if text.rstrip().rstrip("*").endswith(":") and not _SPEAKER.match(text):
            self.lead = self._hold(at)
            return at + 1
        return self._guideline(at)

    def _hold(self, at: int) -> int:
        self.found.leads.append(self.lines[at])
        return len(self.found.leads) - 1

    def _leads(self) -> tuple[int, ...]:
        return tuple(lead for lead in (self.heading, self.lead) if lead is not None)

    def _add(self, at: int, end: int, kind: Literal["example", "fixed"], sort: str = "") -> int:
        outer = (self.lines[at].start, self.lines[end - 1].end)
        self.found.parts.append(Part(kind, [outer], outer, self._leads(), sort))
        return end

    def _example(self, at: int, end: int, sort: str) -> int:
        speakers = {match[1].lower() for line in self.lines[at:end] if (match := _SPEAKER.match(line.text))}
        return self._add(at, end, "example", f"{self.heading} {sort} {sorted(speakers)}")

    def _guideline(self, at: int) -> int:
        """An item with the lines it goes on in, or a paragraph."""
        item = _ITEM.match(self.lines[at].text)
        end = at + 1
        while end < len(self.lines) and self._goes_on(self.lines[end].text):
            end += 1
        start, stop = self.lines[at].start + (item.end() if item else 0), self.lines[end - 1].end
        said = list(self.text[start:stop])
        for line in self.lines[at : end - 1]:  # \x01 stands for a line break that ends a sentence
            if len(line.text) < _WRAPPED and not self.text[line.end : line.end + 40].lstrip()[:1].islower():
                said[line.end - 1 - start] = "\x01"
        spans = [
            (start + match.start(), start + match.start() + len(match[0].rstrip("\x01 \n\t")))
            for match in _SENTENCE.finditer("".join(said))
        ]
        self.found.parts.append(
            Part(
                "guideline", [span for span in spans if span[1] > span[0]], (self.lines[at].start, stop), self._leads()
            )
        )
        if item is None:
            self.lead = None
        return end

    def _goes_on(self, text: str) -> bool:
        ends = (_ITEM, _HEADING, _FENCE, _TAG, _EXAMPLE, _SPEAKER, _ARROW)
        return bool(text.strip()) and not any(one.match(text) for one in ends) and not text.rstrip().endswith(":")

    def _is_dialogue(self, at: int) -> bool:
        if not _SPEAKER.match(self.lines[at].text):
            return False
        block = self.lines[at : self._until_blank(at)]
        return len({match[1].lower() for line in block if (match := _SPEAKER.match(line.text))}) > 1

    def _until_blank(self, at: int) -> int:
        return next((n for n in range(at, len(self.lines)) if not self.lines[n].text.strip()), len(self.lines))

    def _until_fence(self, at: int) -> int:
        ends = (n + 1 for n in range(at, len(self.lines)) if _FENCE.match(self.lines[n].text))
        return next(ends, len(self.lines))

    def _until_tag(self, at: int) -> int:
        ends = (
            n + 1 for n in range(at, len(self.lines)) if re.search(r"</(?:example|sample)>", self.lines[n].text, re.I)
        )
        return next(ends, self._until_blank(at))

    def _until_example_ends(self, at: int) -> int:
        """An example under its own title: its lines, and after a blank line only what is clearly still of it."""
        while at < len(self.lines):
            text = self.lines[at].text
            if _EXAMPLE.match(text) or _TAG.match(text) or (_HEADING.match(text) and not _SPEAKER.match(text)):
                break
            if _FENCE.match(text):
                at = self._until_fence(at + 1)
                continue
            if not text.strip():
                following = self.lines[at + 1].text if at + 1 < len(self.lines) else ""
                if not (_SPEAKER.match(following) or _FENCE.match(following)):
                    break
            at += 1
        return at


def _untitled(title: str) -> str:
    """An example's title without its number, its letter and its topic: "Example 3 (refund)" is an "example"."""
    return " ".join(re.findall(r"[a-z]{2,}", re.sub(r"\([^)]*\)|[\u2013\u2014-].*", "", title.lower())))
