"""Text to tokens: byte-level BPE over "phrases", with pass names and the tags of the native format as single tokens.

The file is HF's `tokenizer.json` (with `tokenizer_config.json`): transformers' PreTrainedTokenizerFast loads it. What
is special is in the file itself: a pre-tokenizer that keeps a whole phrase such as ` = getelementptr i8, ptr ` together
and values, registers and numbers apart, and `ignore_merges`, by which a piece that is a token is taken whole.

A sequence of the native format is a prompt, which ends with its tag `<|answer|>` (tasks/text.py), the completion and
`<|end|>`. `encode` takes what looks like a tag as text, `encode_tagged` as a tag.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from irwright.errors import InputError, ModelError
from irwright.files import write_output
from irwright.pass_rows import OLDEST_LLVM
from irwright.pass_table import PASSES, usable_passes
from irwright.tasks.text import TAGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer as HFTokenizer

Stage = Literal["pretrain", "emulate", "tune", "disassemble"]
STAGES: tuple[Stage, ...] = get_args(Stage)

PAD, END = "<|pad|>", "<|end|>"
NUM_RESERVED = 4
MARKS = (PAD, END, *TAGS, *(f"<|reserved{n}|>" for n in range(NUM_RESERVED)))

# Of models that are not ours, by what they call it.
FOREIGN_ENDS = ("</s>", "<|end_of_text|>", "<|eot_id|>", "<|endoftext|>", "<eos>", "<end_of_turn>")
FOREIGN_BEGINS = ("<s>", "<|begin_of_text|>", "<bos>")

NEWEST_LLVM = 23
MAX_TOKEN_CHARS = 48
MAX_TRAINING_CHARS = 40_000_000
"""what the vocabulary is counted on; more changes little and costs memory"""

FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

# In a pass list nothing is blank, in IR and assembly `,` and `;` have a blank behind them: that tells the two apart.
_SEPARATORS = r""" +|[\t\n=()\[\]{}:"'*&!]|[,;](?=\s)|(?<!\w)<|>"""
_WORD = r"\.?[A-Za-z_][A-Za-z0-9_]*"
_VALUE = r"[%@$#!][\-A-Za-z0-9_.$]+"
_HYPHENATED = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+"


def pass_names() -> tuple[str, ...]:
    """Every name that some LLVM lets lists hold, sorted."""
    names = {info.name for major in range(OLDEST_LLVM, NEWEST_LLVM + 1) for info in usable_passes(major)}
    return tuple(sorted(names & set(PASSES)))


def phrase_pattern() -> str:
    """The pre-tokenizer's regular expression: the pieces a text is cut into; all of a text is in some piece."""
    plain = "|".join(name for name in pass_names() if "-" not in name)
    a_pass = rf"(?<![\w@%.$\-])(?:{plain})(?![\w.$\-])"
    phrase = rf"(?:{_SEPARATORS}|(?!{a_pass}|{_HYPHENATED}){_WORD}){{1,16}}"
    return "|".join((_VALUE, a_pass, _HYPHENATED, phrase, r"[0-9]{1,3}", r"[^\x00-\x7f]+", r"[\x00-\xff]"))


class Tokenizer:
    """A vocabulary with its native format; `text` is the whole `tokenizer.json`."""

    def __init__(self, text: str, *, path: str = FILE) -> None:
        from tokenizers import Tokenizer as HFTokenizer

        try:
            data = json.loads(text)
            self._hf: HFTokenizer = HFTokenizer.from_str(text)
            self._plain: HFTokenizer = HFTokenizer.from_str(text)
        except Exception as error:  # tokenizers raises bare Exception for all it does not like
            raise InputError(path, f"no tokenizer ({_first_line(error)})") from error
        self.text = text
        self._plain.encode_special_tokens = True
        self._is_native = all(self._hf.token_to_id(mark) is not None for mark in MARKS)
        self._bytes = _token_bytes(data)
        self._config: str | None = None

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a `tokenizer.json`, or that of a folder."""
        file = path / FILE if path.is_dir() else path
        try:
            loaded = cls(file.read_text(encoding="utf-8"), path=str(file))
            if not loaded.is_native and (config := file.with_name(CONFIG_FILE)).exists():
                loaded._config = config.read_text(encoding="utf-8")
            return loaded
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(str(file), f"no tokenizer ({_first_line(error)})") from error

    def save(self, folder: Path) -> None:
        """Write the two files transformers reads."""
        write_output(folder / FILE, self.text.encode())
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        if self.is_native:
            config |= {"pad_token": PAD, "eos_token": END}
        text = self._config or json.dumps(config, indent=2) + "\n"
        write_output(folder / CONFIG_FILE, text.encode())

    @property
    def num_tokens(self) -> int:
        return self._hf.get_vocab_size()

    def check_fits(self, num_tokens: int, origin: str) -> None:
        """ModelError for a model of so many tokens that does not know all of them; `origin` names it."""
        if num_tokens < self.num_tokens:
            sizes = f"{self.num_tokens} tokens, the model {num_tokens}"
            raise ModelError(f"{origin}: the tokenizer has {sizes}; they are not of one model")

    @property
    def is_byte_level(self) -> bool:
        """True if every token is bytes, as in GPT-2's; not Llama 2's."""
        return '"ByteLevel"' in self.text

    @property
    def is_native(self) -> bool:
        """True if it has the marks of the native format."""
        return self._is_native

    @functools.cached_property
    def pad_id(self) -> int:
        """What batches are filled up with; nothing is learned of it."""
        return self.id_of(PAD) if self.is_native else self.end_id

    @functools.cached_property
    def end_id(self) -> int:
        """The end of an answer."""
        found = [self.id_of(END)] if self.is_native else self.known(FOREIGN_ENDS)
        if not found:
            raise ModelError(f"the tokenizer has no token for the end of a text ({', '.join(FOREIGN_ENDS)})")
        return found[0]

    @functools.cached_property
    def begin_ids(self) -> list[int]:
        """What every text begins with: nothing in the native format."""
        return [] if self.is_native else self.known(FOREIGN_BEGINS)[:1]

    def id_of(self, token: str) -> int:
        """The number of one token; ModelError where there is none."""
        number = self._hf.token_to_id(token)
        if number is None:
            raise ModelError(f"the tokenizer has no token {token!r}; is it one of `irwright train`?")
        return number

    def known(self, tokens: Iterable[str]) -> list[int]:
        """The numbers of those of these tokens that there are."""
        numbers = (self._hf.token_to_id(token) for token in tokens)
        return [number for number in numbers if number is not None]

    def encode(self, text: str | bytes) -> list[int]:
        """Tokens of any text or bytes; `decode` gives them back as they were."""
        if isinstance(text, str):
            try:
                return self._plain.encode(text, add_special_tokens=False).ids
            except UnicodeEncodeError:  # a lone surrogate
                text = text.encode("utf-8", "surrogateescape")
        ids: list[int] = []
        for is_text, piece in _runs(text):
            ids += self.encode(piece.decode()) if is_text else [self._byte_ids[value] for value in piece]
        return ids

    def encode_tagged(self, text: str) -> list[int]:
        """Tokens of a prompt or completion: tags are tokens of their own."""
        return self._hf.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode_tagged` of each, on all cores."""
        return [one.ids for one in self._hf.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of the tokens; marks come as their text."""
        return b"".join(self._bytes.get(number, b"") for number in ids)

    @functools.cached_property
    def _byte_ids(self) -> dict[int, int]:
        return {value[0]: number for number, value in self._bytes.items() if len(value) == 1}


def train_tokenizer(texts: Iterable[str], *, num_tokens: int = 4096) -> Tokenizer:
    """Count a vocabulary on texts (the first MAX_TRAINING_CHARS); the same texts give the same file."""
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as HFTokenizer

    names = pass_names()
    room = num_tokens - len(names)
    if room < len(MARKS) + 256:
        raise ModelError(f"a vocabulary of {num_tokens} tokens is too small; it needs {len(names) + len(MARKS) + 256}")
    hf = HFTokenizer(models.BPE())
    hf.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(phrase_pattern()), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    hf.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=room,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=MAX_TOKEN_CHARS,
        show_progress=False,
    )
    hf.train_from_iterator(_limited(texts, MAX_TRAINING_CHARS), trainer=trainer)
    data = json.loads(hf.to_str())
    vocabulary: dict[str, int] = data["model"]["vocab"]
    for name in names:
        vocabulary.setdefault(name, len(vocabulary))
    data["model"]["ignore_merges"] = True
    return Tokenizer(json.dumps(data, ensure_ascii=False))


def _limited(texts: Iterable[str], num_chars: int) -> Iterator[str]:
    for text in texts:
        if num_chars <= 0:
            return
        num_chars -= len(text)
        yield text


def _runs(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Cut bytes into runs that are UTF-8 and runs that are not."""
    text = data.decode("utf-8", "surrogateescape")
    for is_text, run in itertools.groupby(text, lambda char: not "\udc80" <= char <= "\udcff"):
        yield is_text, "".join(run).encode("utf-8", "surrogateescape")


@functools.cache
def _byte_of_char() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte, backwards."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [value for value in range(256) if value not in set(printable)]
    table = {chr(value): value for value in printable}
    return table | {chr(256 + at): value for at, value in enumerate(others)}


def _token_bytes(data: dict[str, Any]) -> dict[int, bytes]:
    """Token number -> its bytes, for byte-level vocabularies and, where words begin with `▁`, Llama's."""
    vocabulary = data.get("model", {}).get("vocab", {})
    pairs = cast("dict[str, int]", vocabulary).items() if isinstance(vocabulary, dict) else ()
    chars = _byte_of_char()
    table: dict[int, bytes] = {}
    for token, number in pairs:
        byte = re.fullmatch(r"<0x([0-9A-F]{2})>", token)
        if byte:
            table[number] = bytes([int(byte[1], 16)])
        elif all(char in chars for char in token):
            table[number] = bytes(chars[char] for char in token)
        else:
            table[number] = token.replace("▁", " ").encode()
    table |= {row["id"]: row["content"].encode() for row in data.get("added_tokens", [])}
    return table


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
