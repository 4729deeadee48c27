"""``workbench memory``: what lies in a memory's folder, and how to carry it. Thin, as :mod:`workbench.cli` is.

Names of sessions are data: what a terminal would act on is printed escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workbench.errors import InvalidSettings, UnknownName, UsageError

if TYPE_CHECKING:
    from workbench.interfaces import Memory, Recollection
    from workbench.memory.base import LoggedMemory
    from workbench.memory.transcript import Transcript

memory_app = typer.Typer(help="Look into a memory's folder, and carry sessions out of it and into it.")

Folder = Annotated[Path, typer.Argument(help="A memory's folder.", exists=True, file_okay=False)]
NewFolder = Annotated[Path, typer.Argument(help="A memory's folder; made if it is not there.", file_okay=False)]
Session = Annotated[str, typer.Argument(help="The session's name.")]
Strategy = Annotated[str, typer.Option(help="Which memory opens the folder: the one it belongs to.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@memory_app.command("list")
def list_sessions(folder: Folder, as_json: AsJson = False) -> None:
    """List the sessions: their messages, and when the first and the last was said."""
    with _log_of(folder) as memory:
        rows = [_row(memory, session) for session in memory.sessions()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['messages']:>8,}  {_day(row['first'])}  {_day(row['last'])}  {shown(row['session'])}")
    typer.echo(
        f"{len(rows)} {'session' if len(rows) == 1 else 'sessions'}, {sum(row['messages'] for row in rows):,} messages",
        err=True,
    )


@memory_app.command()
def recall(
    folder: Folder,
    query: Annotated[str, typer.Argument(help="What is to be answered.")],
    session: Annotated[str, typer.Option(help="The session's name.")] = "default",
    strategy: Strategy = "hybrid",
    k: Annotated[int, typer.Option("-k", help="Messages at most.")] = 10,
    relationships: Annotated[bool, typer.Option("--relationships", help="Begin with who stands how to whom.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which messages of a session a memory would put before a model for a query, and why."""
    _check_folder(folder)
    with _opened(folder, strategy) as memory:
        _check_known(memory, session)
        found = memory.recall(query, session=session, k=k, include_relationships=relationships)
    if as_json:
        typer.echo(json.dumps([_as_dict(one) for one in found]))
        return
    for one in found:
        place = "note" if one.index is None else f"{one.index:,}"
        speaker = shown(one.message.name or one.message.role)
        typer.echo(f"{place:>8}  {one.score:8.3f}  {_day(one.at)}  {speaker}: {shown(one.message.content)}")
        typer.echo(f"{'':>8}  {shown(one.reason)}", err=True)


@memory_app.command("export")
def export(
    folder: Folder,
    session: Session,
    file: Annotated[Path, typer.Argument(help="The JSON file to write.", dir_okay=False)],
    conversation: Annotated[
        bool, typer.Option("--conversation", help="Only what was said, not all that has happened.")
    ] = False,
) -> None:
    """Write a session to a JSON file."""
    from workbench.memory.transfer import export_session, save_conversation

    with _log_of(folder) as memory:
        _check_known(memory, session)
        (save_conversation if conversation else export_session)(memory, session, file)
        typer.echo(f"{file}: {memory.count(session):,} messages of {shown(session)}")


@memory_app.command("import")
def import_(
    folder: NewFolder,
    file: Annotated[Path, typer.Argument(help="An exported session, a conversation or a list of messages (JSON).")],
    session: Annotated[str | None, typer.Option(help="Its name here; else the one in the file.")] = None,
    on_conflict: Annotated[
        Literal["error", "rename", "replace"], typer.Option(help="If there is a session of that name.")
    ] = "error",
    strategy: Strategy = "archive",
) -> None:
    """Make a session of a JSON file: all of it, or nothing is changed."""
    from workbench.memory.transfer import import_session

    with _opened(folder, strategy) as memory:
        name = import_session(memory, file, session, on_conflict)
        typer.echo(f"{shown(name)}: {memory.count(name):,} messages")


@memory_app.command()
def forget(
    folder: Folder,
    session: Session,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    strategy: Strategy = "archive",
) -> None:
    """Delete a session for good: its messages, and what the memory made of them."""
    _check_folder(folder)
    with _opened(folder, strategy) as memory:
        _check_known(memory, session)
        if not yes:
            typer.confirm(f"Delete {shown(session)} and its {memory.count(session):,} messages?", abort=True)
        memory.forget(session)
    typer.echo(f"{shown(session)} is deleted")


@memory_app.command()
def schema(
    conversation: Annotated[bool, typer.Option("--conversation", help="Of a conversation, not of a session.")] = False,
) -> None:
    """Print the JSON schema of exported files."""
    from workbench.memory.transfer import json_schema

    kind = "workbench-conversation" if conversation else "workbench-session"
    typer.echo(json.dumps(json_schema(kind), indent=1))


def shown(text: str) -> str:
    """As it is safe to print: escaped where it holds what a terminal acts on, or nothing one could see."""
    return text if text.isprintable() and text.strip() else repr(text)


@contextmanager
def _log_of(folder: Path) -> Iterator[LoggedMemory[Transcript]]:
    """The folder's event log, through the memory that needs least."""
    from workbench.memory.baselines import FullMemory

    _check_folder(folder)
    with FullMemory(folder=folder) as memory:
        yield memory


@contextmanager
def _opened(folder: Path, strategy: str) -> Iterator[Memory]:
    from workbench.registry import memories

    make = memories.get(strategy)
    try:
        memory = make(folder=folder)
    except TypeError as error:  # a memory that needs more than a folder, as a summary needs an engine
        raise InvalidSettings(f"{strategy} cannot be opened with a folder alone: {error}. Choose another.") from error
    try:
        yield memory
    finally:
        memory.close()


def _check_folder(folder: Path) -> None:
    if not (folder / "events.sqlite").exists():
        raise UsageError(f"{folder} is no memory's folder: it has no events.sqlite. Name the folder of a memory.")


def _check_known(memory: Memory, session: str) -> None:
    if session not in memory.sessions():
        raise UnknownName("session", session, map(shown, memory.sessions()))


def _row(memory: LoggedMemory[Transcript], session: str) -> dict[str, Any]:
    times = [event.at for event in memory.events(session) if event.kind == "message"]
    return {"session": session, "messages": len(times), "first": times[0], "last": times[-1]}


def _as_dict(found: Recollection) -> dict[str, Any]:
    return {
        "index": found.index,
        "score": found.score,
        "at": found.at,
        "reason": found.reason,
        "message": found.message.to_dict(),
    }


def _day(at: float | None) -> str:
    """The date, in UTC; blank if there is none that a calendar has."""
    try:
        return " " * 10 if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return " " * 10
