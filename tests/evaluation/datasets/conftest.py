"""A data folder to put files into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


class DataFolder:
    """Writes data sets where WORKBENCH_DATA points."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, content: Any) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return DataFolder(tmp_path)
