"""Inputs and outputs: compile_commands.json, names of results, and files written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from irwright.errors import InputError, StorageError
from irwright.files import Input, as_input, plan_outputs, read_compile_commands, read_ir, write_output


def write_commands(folder: Path, entries: object) -> Path:
    path = folder / "compile_commands.json"
    path.write_text(json.dumps(entries))
    return path


def test_entries_keep_their_flags_and_folder(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "a.c").touch()
    entries = [
        {
            "directory": str(tmp_path / "build"),
            "file": "../a.c",
            "command": "cc -I../inc '-DX=\"y z\"' -o a.o -c ../a.c",
        },
        {
            "directory": str(tmp_path),
            "file": str(tmp_path / "b.cpp"),
            "arguments": ["c++", "-O2", "--", str(tmp_path / "b.cpp")],
        },
        {"directory": str(tmp_path), "file": "boot.S", "command": "cc -c boot.S"},
    ]
    first, second = read_compile_commands(write_commands(tmp_path, entries))
    assert first.flags == ("-I../inc", '-DX="y z"', "-o", "a.o", "-c")
    assert (first.path, first.directory) == (Path("../a.c"), tmp_path / "build")
    assert (second.flags, second.stem) == (("-O2",), "b")
    assert first.name == str(tmp_path / "a.c")
    assert read_compile_commands(tmp_path, [tmp_path / "a.c"]) == [first]


def test_bad_compile_commands(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"compile_commands\.json: can't be read: No such file"):
        read_compile_commands(tmp_path)
    path = write_commands(tmp_path, [{"file": "a.c"}])
    with pytest.raises(InputError, match=r"is no compile_commands\.json \('directory'\); run cmake or bear again"):
        read_compile_commands(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"is no compile_commands\.json"):
        read_compile_commands(path)
    write_commands(tmp_path, [])
    with pytest.raises(InputError, match="names no C or C\\+\\+ source"):
        read_compile_commands(path)
    write_commands(tmp_path, [{"directory": str(tmp_path), "file": "a.c", "command": "cc a.c"}])
    with pytest.raises(InputError, match=r"z\.c: has no entry in .*compile_commands\.json"):
        read_compile_commands(path, [Path("z.c")])


def test_ir_is_known_by_its_name_or_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int x;")
    (tmp_path / "module").write_bytes(b"BC\xc0\xde1234")
    assert read_ir(as_input(tmp_path / "a.c")) is None
    assert read_ir(as_input(str(tmp_path / "module"))) == b"BC\xc0\xde1234"
    assert read_ir(as_input(b"; text")) == b"; text"


def test_one_input_gets_the_name_given(tmp_path: Path) -> None:
    item = as_input(tmp_path / "a.c")
    assert plan_outputs([item], None, "obj") == [None]
    assert plan_outputs([item], tmp_path / "out.o", "obj") == [tmp_path / "out.o"]
    assert plan_outputs([item], tmp_path, "ll") == [tmp_path / "a.ll"]
    assert plan_outputs([item], f"{tmp_path}/new/", "asm") == [tmp_path / "new" / "a.s"]


def test_equal_stems_get_their_folders_names(tmp_path: Path) -> None:
    paths = [
        tmp_path / "net" / "util.c",
        tmp_path / "disk" / "util.c",
        tmp_path / "main.c",
        tmp_path / "x" / "net" / "util.c",
    ]
    planned = plan_outputs([as_input(path) for path in paths], tmp_path / "out", "bc")
    assert [path.name for path in planned if path] == ["net-util.bc", "disk-util.bc", "main.bc", "net-util-2.bc"]


def test_outputs_that_can_not_be_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.ll").touch()
    with pytest.raises(StorageError, match=r"a\.ll: is the input; name another file with -o"):
        plan_outputs([as_input(tmp_path / "a.ll")], tmp_path, "ll")
    with pytest.raises(StorageError, match="can't be written: there is no folder"):
        plan_outputs([as_input("a.c")], tmp_path / "no" / "a.o", "obj")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"is no folder to write 2 results to \(File exists\)"):
        plan_outputs([as_input("a.c"), as_input("b.c")], tmp_path / "file", "obj")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="can't be written: no permission"):
        plan_outputs([as_input("a.c")], tmp_path / "a.o", "obj")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.o"
    write_output(target, b"old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError) as raised:
        write_output(target, b"new")
    assert str(raised.value) == f"{target}: can't be written: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["a.o"]
    assert target.read_bytes() == b"old"


def test_a_full_device() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(StorageError, match="/dev/full: can't be written: No space left on device"):
        write_output(Path("/dev/full"), b"data")


def test_names_of_ir_in_memory() -> None:
    assert Input(name="<stdin>", data=b"").stem == "stdin"


def test_ir_in_memory_is_called_after_no_folder() -> None:
    assert Input(name="lib/deep/a.c:f", data=b"BC").stem == "a.c:f"
    assert Input(name="<stdin>", data=b"BC").stem == "stdin"
