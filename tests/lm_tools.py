"""Small made-up examples and models that tests of language models share; importing it skips where torch is missing."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`: pip install 'irwright[train]'")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # their dependencies' own, at import
    pytest.importorskip("transformers")

from irwright.labels.examples import example_columns  # noqa: E402
from irwright.lm.model import Llama, build  # noqa: E402
from irwright.lm.presets import preset  # noqa: E402
from irwright.lm.tokenizer import STAGES, Tokenizer, train_tokenizer  # noqa: E402
from irwright.shards import ShardFolder, encode  # noqa: E402

torch.set_num_threads(1)

VOCABULARY = 640
LISTS = ("sroa,early-cse", "default<Oz>", "iroutliner,default<Oz>", "gvn-hoist,simplifycfg<hoist-common-insts>")


def function_text(rng: random.Random) -> str:
    """A little IR."""
    lines = [
        f"  %{n} = {rng.choice(('add', 'sub', 'mul'))} i32 %{n - 1}, {rng.randint(0, 99)}"
        for n in range(2, 2 + rng.randint(1, 9))
    ]
    return (
        f"define i32 @f{rng.randint(0, 9)}(i32 %0, i32 %1) {{\n"
        + "\n".join(lines)
        + f"\n  ret i32 %{len(lines) + 1}\n}}"
    )


def example_rows(number: int = 60, seed: int = 0, *, outcomes: bool = False) -> list[dict[str, object]]:
    """Examples of all stages, one in six held out; those of `tune` with `outcomes` or without."""
    tried = "<|sizes|>90<|passes|>gvn<|sizes|>-2" if outcomes else ""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for at in range(number):
        ir = function_text(rng)
        texts = {
            "pretrain": ("", f"<|ir|>{ir}"),
            "emulate": (f"<|emulate|><|passes|>sroa<|sizes|>9 99<|ir|>{ir}<|answer|><|ir|>", f"{ir}<|sizes|>9 90"),
            "tune": (f"<|tune|><|ir|>{ir}{tried}<|answer|>", f"{rng.choice(LISTS)}<|sizes|>90 80"),
            "disassemble": ("<|disassemble|><|x86-64|><|asm|>f:\n\taddl\t$7, %edi\n\tretq<|answer|><|ir|>", ir),
        }
        split = "heldout" if at % 6 == 5 else "train"
        rows += (
            {"stage": s, "project": split, "split": split, "function": f"f{at}", "prompt": p, "completion": c}
            for s, (p, c) in texts.items()
        )
    return rows


def write_examples(folder: Path, number: int = 60, *, outcomes: bool = False) -> Path:
    """A folder of two shards."""
    shards = ShardFolder(folder, kind="examples")
    rows = example_rows(number, outcomes=outcomes)
    for part in range(2):
        shards.add(encode(rows[part::2], example_columns(), key=f"part{part}", summary={}))
    shards.save()
    return folder


def small_tokenizer() -> Tokenizer:
    """A vocabulary of made-up texts."""
    rows = example_rows()
    return train_tokenizer((str(row["prompt"]) + str(row["completion"]) for row in rows), num_tokens=VOCABULARY)


def llama_2_tokenizer() -> Tokenizer:
    """A vocabulary of the kind of Llama 2's: blanks as `▁`, other bytes as <0x..>, `<s>` and `</s>`."""
    from tokenizers import Tokenizer as HFTokenizer
    from tokenizers import decoders, models, normalizers

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{value:02X}>" for value in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    hf = HFTokenizer(
        models.BPE({token: n for n, token in enumerate(tokens)}, [], unk_token="<unk>", byte_fallback=True)
    )
    hf.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    hf.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    hf.add_special_tokens(["<unk>", "<s>", "</s>"])
    return Tokenizer(hf.to_str())


def small_model(num_tokens: int, *, seed: int = 0, kv_heads: int = 2, tied: bool = True) -> Llama:
    """A random model whose logits are far apart."""
    shape = preset("micro", num_tokens=num_tokens)
    model = build(replace(shape, num_heads=4, num_kv_heads=kv_heads, tied=tied), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return model


__all__ = ["STAGES", "example_rows", "llama_2_tokenizer", "small_model", "small_tokenizer", "torch", "write_examples"]
