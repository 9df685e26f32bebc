"""Heads of GGUF files: those that llama.cpp's own package writes are read, broken and hostile ones refused."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.errors import InputError
from irwright.models.gguf_file import GGUFHead, read_head


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gguf = pytest.importorskip("gguf", reason="needs the extra `train`: pip install 'irwright[train]'")
    import numpy as np

    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(77)
    writer.add_token_list(["a", "b"])
    writer.add_token_scores([0.5, 1.0])
    writer.add_string("irwright.format", "native")
    writer.add_string("tokenizer.huggingface.json", "{}")
    writer.add_tensor("x", np.ones((3, 64), dtype=np.float32))
    q8 = gguf.quants.quantize(np.ones((2, 32), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("y", q8, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_written_file_is_read(written: Path) -> None:
    head = read_head(written)
    assert (head.architecture, head.context, head.tokenizer, head.is_native) == ("llama", 77, "{}", True)
    assert head.num_tensors == 2


def test_a_file_cut_anywhere_is_refused(written: Path, tmp_path: Path) -> None:
    data = written.read_bytes()
    cut = tmp_path / "cut.gguf"
    padding = 32  # behind the last weights
    for end in range(0, len(data) - padding, 7):
        cut.write_bytes(data[:end])
        with pytest.raises(InputError):
            read_head(cut)
    cut.write_bytes(data[:-200])
    with pytest.raises(InputError, match=r"cut\.gguf: cut short: [\d,]+ bytes of weights are missing"):
        read_head(cut)


@given(st.data())
def test_spoiled_bytes_are_read_or_refused(data: st.DataObject) -> None:
    good = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(4, len(good) - 1))] = data.draw(st.integers(0, 255))
    _read(bytes(good))


@given(st.binary(max_size=300))
def test_anything_is_refused(data: bytes) -> None:
    _read(b"GGUF\x03\0\0\0" + data)


_GOOD = (
    b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    + struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, 3) + b"abc"
    + struct.pack("<Q", 1) + b"l" + struct.pack("<IIQ", 9, 4, 2) + b"\0" * 8
    + struct.pack("<Q", 1) + b"t" + struct.pack("<IQIQ", 1, 32, 8, 0) + b"\0" * 100
)  # fmt: skip


def _read(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(InputError):
            assert isinstance(read_head(Path(file.name)), GGUFHead)


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(InputError, match=r"m\.gguf: no model \(No such file or directory\)"):
        read_head(path)
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(InputError, match="not a GGUF file"):
        read_head(path)
    path.write_bytes(b"GGUF" + struct.pack("<I", 9) + b"\0" * 50)
    with pytest.raises(InputError, match="GGUF of version 9; 2 and 3 are read"):
        read_head(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1) + b"\0" * 50)
    with pytest.raises(InputError, match=r"broken GGUF \(1152921504606846976 of something in 74 bytes\)"):
        read_head(path)
