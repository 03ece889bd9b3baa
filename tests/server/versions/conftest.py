"""What these tests share."""

from pathlib import Path

import pytest

from server.versions.directory import Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)
