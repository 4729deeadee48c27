"""The process that holds Chroma: answers one request after the other until nobody asks any more.

Started by :mod:`workbench.memory.chroma.process`; imports no numpy, so that it is there at once. Holds a lock of its
own on the archives: when its parent was killed it may still be writing while the next parent starts.
"""

from __future__ import annotations

import array
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from workbench.errors import StorageFull, StoreCorrupt, StoreInUse
from workbench.memory.chroma.archives import Archives
from workbench.memory.chroma.client import spare_the_package
from workbench.memory.chroma.frames import read_frame, write_frame
from workbench.storage.locks import FolderLock

_PREDECESSOR_ENDS_WITHIN_S = 60.0


def main() -> None:
    """``python -m workbench.memory.chroma.child FOLDER MOST_OPEN``."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native code prints is no answer
    folder, most_open = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    spare_the_package()
    lock = FolderLock(folder)
    _acquire(lock)
    archives = Archives(folder, most_open=most_open)
    try:
        _serve(archives, sys.stdin.buffer, answers)
    except BrokenPipeError:
        answers = open(os.devnull, "wb")  # noqa: SIM115 - the parent is gone, and the interpreter flushes at the end
    finally:
        archives.close()
        lock.release()


def _acquire(lock: FolderLock) -> None:
    deadline = time.monotonic() + _PREDECESSOR_ENDS_WITHIN_S
    while True:
        try:
            lock.acquire()
        except StoreInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _serve(archives: Archives, requests: IO[bytes], answers: IO[bytes]) -> None:
    while (frame := read_frame(requests)) is not None:
        try:
            answer = {"answer": _answer(archives, *frame)}
        except Exception as error:  # whatever it is, it is told to whoever asked, and the next request is another one
            answer = _told(error)
        write_frame(answers, answer)


def _answer(archives: Archives, request: Mapping[str, Any], body: bytes) -> Any:
    operation, values = request["op"], dict(request["values"])
    if operation == "write":
        return archives.write(**values, vectors=_rows(body, request["dimensions"]))
    if operation == "similar":
        return archives.similar(**values, vector=_rows(body, request["dimensions"])[0])
    if operation == "clean":
        return archives.clean(**values)
    if operation == "delete":
        return archives.delete(**values)
    raise ValueError(f"nobody knows how to {operation!r}")


def _rows(body: bytes, dimensions: int) -> list[list[float]]:
    numbers = array.array("f", body)
    if sys.byteorder == "big":  # pragma: no cover - no such machine here
        numbers.byteswap()
    return [numbers[start : start + dimensions].tolist() for start in range(0, len(numbers), dimensions)]


def _told(error: Exception) -> dict[str, str]:
    kind = "full" if isinstance(error, StorageFull) else "corrupt" if isinstance(error, StoreCorrupt) else "other"
    return {"error": kind, "text": f"{error}" if kind != "other" else f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
