"""The folder of a local stack: one owner, ports and secrets that stay."""

import base64
import socket
import stat
from pathlib import Path

import pytest

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder that was just made."""
    folder = DataFolder(tmp_path / "stack")
    folder.create()
    return folder


def test_ports_are_distinct_and_survive_a_restart(data: DataFolder) -> None:
    """The second start gets the ports of the first one, below the range for outgoing connections."""
    first = data.ports(["a", "b", "c"], wanted={})
    assert len(set(first.values())) == 3
    assert all(20_000 <= port <= 32_000 for port in first.values())
    assert DataFolder(data.path).ports(["a", "b", "c"], wanted={}) == first


def test_a_kept_port_gives_way_to_another_name_that_wants_it(data: DataFolder) -> None:
    """In the same call and in a later one, although nothing listens on it yet."""
    kept = data.ports(["a"], wanted={})["a"]
    together = data.ports(["a", "b"], wanted={"b": kept})
    assert (together["a"] != kept, together["b"]) == (True, kept)
    data.ports(["c"], wanted={"c": together["a"]})
    assert data.ports(["a"], wanted={})["a"] not in (kept, together["a"])


def test_a_port_that_somebody_else_took_is_replaced(data: DataFolder) -> None:
    """A kept port in use gives way to a new one, which is kept from then on."""
    kept = data.ports(["a"], wanted={})["a"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", kept))
        taken.listen()
        replaced = data.ports(["a"], wanted={})["a"]
    assert replaced != kept
    assert data.ports(["a"], wanted={})["a"] == replaced


def test_a_wanted_port_is_taken_as_it_is(data: DataFolder) -> None:
    """What the caller asks for wins over what was kept, and no other name gets it."""
    kept = data.ports(["a", "b"], wanted={})
    chosen = data.ports(["a", "b"], wanted={"a": kept["b"]})
    assert chosen["a"] == kept["b"] != chosen["b"]


def test_secrets_are_made_once_and_closed_to_others(data: DataFolder) -> None:
    """Keys stay the same for the life of the folder, in a file for its owner only."""
    secrets = data.secrets()
    assert DataFolder(data.path).secrets() == secrets
    assert len(base64.b64decode(secrets["notifier_secret_key"])) == 32
    assert stat.S_IMODE((data.path / "secrets.json").stat().st_mode) == 0o600
    data.write_state({"connection": secrets})
    assert stat.S_IMODE((data.path / "state.json").stat().st_mode) == 0o600
    assert not data.path.stat().st_mode & 0o044


def test_one_stack_per_folder(data: DataFolder) -> None:
    """While one holds the folder another is refused and can find out who holds it."""
    assert data.lock_holder() is None
    with data.locked():
        assert data.lock_holder() is not None
        with pytest.raises(AlreadyRunning, match=str(data.path)), DataFolder(data.path).locked():
            pass
    assert data.lock_holder() is None
    with data.locked():
        pass


def test_wipe_deletes_what_the_stack_made_and_nothing_else(data: DataFolder) -> None:
    """A folder which holds somebody's file loses only what the stack put there."""
    data.secrets()
    data.ports(["a"], wanted={})
    data.log("engine").write_text("line\n")
    (data.path / "notes.txt").write_text("mine")
    data.wipe()
    assert [entry.name for entry in data.path.iterdir()] == ["notes.txt"]
    (data.path / "notes.txt").unlink()
    data.wipe()
    assert not data.path.exists()


def test_a_file_in_place_of_the_folder_has_no_stack(tmp_path: Path) -> None:
    """Asked, it says so; starting one says why it cannot."""
    (tmp_path / "file").touch()
    data = DataFolder(tmp_path / "file")
    assert (data.lock_holder(), data.read_state()) == (None, {})


@pytest.mark.parametrize("content", ["", "[]", "null"])
def test_damaged_files_are_told(data: DataFolder, content: str) -> None:
    """A record of what runs is made anew; keys, without which the data cannot be read, are not."""
    for name in ("state.json", "secrets.json"):
        (data.path / name).write_text(content)
    assert data.read_state() == {}
    with pytest.raises(StackError, match=r"secrets\.json is damaged"):
        data.secrets()
