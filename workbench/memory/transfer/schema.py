"""What the two kinds of file have to look like, as pydantic models; their JSON schema is made of the same models.

Knows shapes and ranges of one value at a time; what must agree across a file is checked by :mod:`.session`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, JsonValue, Tag

from workbench.errors import UnknownName
from workbench.interfaces import Message
from workbench.storage import write_json

CONVERSATION, SESSION = "workbench-conversation", "workbench-session"
VERSIONS = {CONVERSATION: 1, SESSION: 1}
"""The version written, and the newest that is read, of each format."""

Index = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    """Nothing is converted, and a key nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Open(BaseModel):
    """What a strategy notes besides is kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class SavedMessage(_Strict):
    """One message, as :meth:`Message.to_dict` has it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: str | None = None
    tool_calls: list[dict[str, JsonValue]] = Field(default_factory=list)
    tool_call_id: str | None = None

    def message(self) -> Message:
        """As the package knows it."""
        return Message(self.role, self.content, self.name, tuple(self.tool_calls), self.tool_call_id)


class TimedMessage(SavedMessage):
    """A message and when it was said, in seconds since 1970; ``None``: not known."""

    at: FiniteFloat | None = None


class IndexedMessage(SavedMessage):
    """A message at its place in a session."""

    index: Index


class FeedbackData(_Open):
    """How much a message helped."""

    index: Index
    value: float = Field(ge=-1, le=1)


class RecallData(_Open):
    """What was asked for and found: (index, score) pairs."""

    query: str
    k: int = Field(ge=1)
    found: list[Annotated[list[JsonValue], Field(min_length=2, max_length=2)]]


class SummaryData(_Open):
    """A summary of the messages before ``upto``."""

    text: str
    upto: Index


class RelationData(_Open):
    """One statement about an edge of the relationship graph."""

    source: str
    target: str
    type: str


class ReadData(_Open):
    """Messages before ``upto`` have been read for relations; (index, names) of the unclear ones."""

    upto: Index
    unclear: list[Annotated[list[JsonValue], Field(min_length=2, max_length=2)]]


class EnrichedData(_Open):
    """An engine has looked at a message."""

    index: Index


class TrialData(_Open):
    """A weighting was tried, and adopted or not."""

    adopted: bool
    weights: dict[str, FiniteFloat] = Field(default_factory=dict)


class RollbackData(_Open):
    """A weighting was taken back."""

    to: Index


class _Event(_Strict):
    at: FiniteFloat = Field(description="seconds since 1970")


class MessageEvent(_Event):
    """Something was said."""

    kind: Literal["message"]
    data: IndexedMessage


class FeedbackEvent(_Event):
    """Somebody said how much a message helped."""

    kind: Literal["feedback"]
    data: FeedbackData


class RecallEvent(_Event):
    """Something was recalled."""

    kind: Literal["recall"]
    data: RecallData


class SummaryEvent(_Event):
    """An engine summed up what was said."""

    kind: Literal["summary"]
    data: SummaryData


class RelationEvent(_Event):
    """A relationship was stated."""

    kind: Literal["relation"]
    data: RelationData


class ReadEvent(_Event):
    """Messages were read for relations."""

    kind: Literal["relations-read"]
    data: ReadData


class EnrichedEvent(_Event):
    """An engine had a second look for relations."""

    kind: Literal["relations-enriched"]
    data: EnrichedData


class TrialEvent(_Event):
    """A memory that learns has tried something."""

    kind: Literal["trial"]
    data: TrialData


class RollbackEvent(_Event):
    """A memory that learns has gone back."""

    kind: Literal["rollback"]
    data: RollbackData


KNOWN_KINDS = (
    "message",
    "feedback",
    "recall",
    "summary",
    "relation",
    "relations-read",
    "relations-enriched",
    "trial",
    "rollback",
)


class OtherEvent(_Event):
    """An event of a kind that only its strategy knows."""

    kind: str = Field(min_length=1, json_schema_extra={"not": {"enum": list(KNOWN_KINDS)}})
    data: dict[str, JsonValue]


def _kind(event: Any) -> str:
    kind = event.get("kind") if isinstance(event, dict) else getattr(event, "kind", None)
    return kind if kind in KNOWN_KINDS else "other"


AnyEvent = Annotated[
    Annotated[MessageEvent, Tag("message")]
    | Annotated[FeedbackEvent, Tag("feedback")]
    | Annotated[RecallEvent, Tag("recall")]
    | Annotated[SummaryEvent, Tag("summary")]
    | Annotated[RelationEvent, Tag("relation")]
    | Annotated[ReadEvent, Tag("relations-read")]
    | Annotated[EnrichedEvent, Tag("relations-enriched")]
    | Annotated[TrialEvent, Tag("trial")]
    | Annotated[RollbackEvent, Tag("rollback")]
    | Annotated[OtherEvent, Tag("other")],
    Discriminator(_kind),
]


class _File(_Strict):
    version: int
    session: str = Field(description="the session's name, any text")
    session_utf8: str | None = Field(
        default=None,
        pattern=r"^([0-9a-f]{2})*$",
        description="the name's bytes in hex, where JSON cannot carry it exactly (UTF-8 with surrogates passed)",
    )

    @property
    def name(self) -> str:
        """The session's name, exactly."""
        if self.session_utf8 is None:
            return self.session
        return bytes.fromhex(self.session_utf8).decode("utf-8", "surrogatepass")


class ConversationFile(_File):
    """What was said in one session."""

    format: Literal["workbench-conversation"]
    messages: list[TimedMessage]


class SessionFile(_File):
    """All that has happened in one session, oldest first."""

    format: Literal["workbench-session"]
    events: list[AnyEvent]


MODELS: dict[str, type[ConversationFile] | type[SessionFile]] = {CONVERSATION: ConversationFile, SESSION: SessionFile}


def heading(kind: str, name: str) -> dict[str, Any]:
    """The keys that every file begins with."""
    head = {"format": kind, "version": VERSIONS[kind], "session": name}
    try:
        name.encode()
    except UnicodeEncodeError:  # two halves of a surrogate pair side by side would be read back as one character
        head["session_utf8"] = name.encode("utf-8", "surrogatepass").hex()
    return head


def json_schema(kind: str = SESSION) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a format, for other programs that write or check such files.

    Args:
        kind: "workbench-session" or "workbench-conversation".

    Raises:
        UnknownName: another.
    """
    if kind not in MODELS:
        raise UnknownName("file format", kind, MODELS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MODELS[kind].model_json_schema()}


def write_schema(path: Path | str, kind: str = SESSION) -> None:
    """Write :func:`json_schema` to a file."""
    write_json(path, json_schema(kind))
