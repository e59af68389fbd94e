"""The folder of the sockets is ours alone, or it is not used."""

from __future__ import annotations

from pathlib import Path

import pytest

from workspace.hosts.supervisor import make_private


def test_the_folder_is_open_to_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sockets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        make_private(tmp_path / "sockets")
