r"""Text to ids: the only place where it happens, so training, evaluation, a device and MediaPipe see the same ids.

Design choices:
- A word is a run of characters that `DELIMITER` does not match. The characters are listed in it one range after the other
  (`word_characters.py`): `\p{L}` means something else in each version of Python, RE2 and MediaPipe.
- Nothing is lower-cased or normalised when a text is read, since MediaPipe's RegexTokenizer does neither. Instead the
  vocabulary holds the cased variants of a word: with the id of the word, or, where case is kept, with ids of their own if
  training has them.
- A text ends at its first U+0000, as in MediaPipe, which reads a C string. An unpaired surrogate counts as U+FFFD, which
  separates words; MediaPipe for Python refuses such a text.
- Ids 0 and 1 are padding and unknown, words begin at 2, the most frequent first. There is no <START>.
- Three ways to read are for our own runtime only, since MediaPipe has none: unknown words as hashed character n-grams
  (`buckets`), therefore off by default; `kind="characters"`; and characters of scripts without spaces as words of their own
  (`apart`), where texts are mostly of such: MediaPipe would take a whole sentence for a word, unless spaces are put in first.
"""

import dataclasses
import functools
import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cnnkit.device import word_apart
from cnnkit.device.word_characters import ranges
from cnnkit.errors import ArtifactError, DataError

PAD, UNKNOWN, FIRST = 0, 1, 2
SPECIAL = {"<PAD>": PAD, "<UNKNOWN>": UNKNOWN}  # MediaPipe's names
KINDS = ("words", "characters")
# Zhang, Zhao, LeCun 2015, section 2.4: 70 characters, of which the hyphen is there twice.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}\n"

LONGEST = 64  # characters of a word that can be learnt; what is longer is no word, and would fill the memory
TITLED, CAPITALS = 2, 3  # times a word is there to get its variants Word and WORD; half of all words are there once
MOST_COUNTED = 2_000_000  # forms counted at once; some 200 MB
LENGTHS = {"words": (8, 400), "characters": (124, 1014)}  # least and most that `learn` chooses; 1014 is the paper's
COVERED = 0.99  # of the texts, by the length that `learn` chooses
APART = 0.3  # of the letters have to be of a script without spaces for each of them to be a word
KNOWN = 0.2  # of a text's words have to be in the vocabulary; with fewer an answer rests on next to nothing
MOST_IDS = 2**24  # of a tokenizer; float32 counts so far
MOST_LENGTH = 2**17  # ids of one input

_RANGES = ranges()
DELIMITER = "[^" + "".join(rf"\x{{{a:X}}}" if a == b else rf"\x{{{a:X}}}-\x{{{b:X}}}" for a, b in _RANGES) + "]+"
"""What separates words: a regular expression in RE2's syntax, ASCII, for MediaPipe's `delim_regex_pattern`."""

_STARTS = [first for first, _ in _RANGES]


class _Separate(dict[int, int]):
    """A table for `str.translate` that makes a space of every character that separates; filled as characters come."""

    def __missing__(self, code: int) -> int:
        place = bisect_right(_STARTS, code) - 1
        self[code] = code if place >= 0 and code <= _RANGES[place][1] else 32
        return self[code]


_SEPARATE = _Separate()


def split(text: str, apart: bool = False) -> list[str]:
    """Return the words of a text, as MediaPipe's RegexTokenizer with `DELIMITER` does.

    With `apart` each character of a script without spaces is a word (`word_apart`).

    Source: mediapipe/tasks/cc/text/tokenizers/regex_tokenizer.cc.
    """
    if "\0" in text:
        text = text[: text.index("\0")]
    text = text.translate(_SEPARATE)
    # every white space separates already, so only our spaces are left
    return (word_apart.apart(text) if apart else text).split()


def spans(text: str, apart: bool = False) -> list[tuple[int, int]]:
    """Return where each word of `split` stands: (start, end), so that text[start:end] is the word."""
    if "\0" in text:
        text = text[: text.index("\0")]
    words = f"[{word_apart.CLASS}]|[^ {word_apart.CLASS}]+" if apart else "[^ ]+"
    # a character for each, places stay
    return [found.span() for found in re.finditer(words, text.translate(_SEPARATE))]


class _Letters(dict[int, int]):
    """A table for `str.translate` from characters to the ids of `characters`, none of which reaches 256."""

    def __missing__(self, code: int) -> int:
        letter = chr(code).lower() if code < 128 else ""  # the Kelvin sign is no k
        self[code] = FIRST + ALPHABET.index(letter) if letter and letter in ALPHABET else PAD
        return self[code]


_LETTERS = _Letters()


def _letters(text: str) -> bytes:
    """Return the id of each character, a byte each."""
    return text.translate(_LETTERS).encode("latin-1")


@functools.lru_cache(maxsize=1 << 16)
def fnv1a(text: str) -> int:
    """Return the FNV-1a hash of a text's UTF-8 bytes, 32 bits. fastText's is the same for ASCII, not for other bytes."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "replace"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def ngrams(word: str, n: int) -> Iterator[str]:
    """Yield the character n-grams of `<word>`, lower-cased; all of it where it is no longer than `n`."""
    marked = f"<{word.lower()}>"
    return (marked[k : k + n] for k in range(max(1, len(marked) - n + 1)))


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """What makes ids of a text. `learn` makes one from texts, `from_dict` opens one.

    Attributes:
        kind: "words" or "characters".
        length: ids of one input, L.
        table: id by token; several may have one id, as cased variants of a word do. For characters: id by character.
        size: number of ids, which is the rows of the embedding; ids are in [0, size).
        buckets: ids for n-grams of unknown words, the last ones; 0: an unknown word is `UNKNOWN`.
        ngram: characters of an n-gram, the marks < and > included.
        apart: whether each character of a script without spaces is a word of its own.
    """

    kind: str
    length: int
    table: Mapping[str, int] = dataclasses.field(repr=False)
    size: int
    buckets: int = 0
    ngram: int = 4
    apart: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` is one of {KINDS}. Received: {self.kind!r}.")
        if not 1 <= self.length <= MOST_LENGTH or self.buckets < 0 or self.ngram < 1:
            raise ValueError(
                f"`length` is 1 to {MOST_LENGTH}, `ngram` at least 1, `buckets` at least 0."
                f" Received: length={self.length}, ngram={self.ngram}, buckets={self.buckets}."
            )
        if self.buckets and self.kind != "words":
            raise ValueError("`buckets` are for unknown words; characters have none.")
        if not FIRST + self.buckets <= self.size <= MOST_IDS:
            raise ValueError(f"`size` holds {FIRST} ids and the buckets, at most {MOST_IDS}. Received: {self.size}.")

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, at most `length`, without padding."""
        return self._ids(text, self.length)

    def _ids(self, text: str, length: int) -> list[int]:
        get = self.table.get
        if self.kind == "characters":
            return list(_letters(text[:length]))
        words = split(text, self.apart)[:length]
        if self.buckets == 0:
            return [get(word, UNKNOWN) for word in words]
        return list(itertools.islice((key for word in words for key in self._known_or_hashed(word)), length))

    def _known_or_hashed(self, word: str) -> Iterator[int]:
        known = self.table.get(word)
        if known is not None:
            yield known
            return
        first = self.size - self.buckets
        for gram in ngrams(word, self.ngram):
            yield first + fnv1a(gram) % self.buckets

    def batch(self, texts: Sequence[str], length: int | None = None) -> np.ndarray:
        """Return the ids of several texts.

        Args:
            texts: n texts.
            length: ids of each; default: that of the tokenizer.

        Returns:
            int32 (n, length) in [0, size), padded at the end with `PAD`.
        """
        length = self.length if length is None else length
        if self.kind == "characters":
            letters = [_letters(text[:length]) for text in texts]
            counts = [len(row) for row in letters]
            flat = np.frombuffer(b"".join(letters), np.uint8)
        else:
            known = self.buckets == 0
            apart = self.apart
            rows: list[Any] = [split(text, apart)[:length] if known else self._ids(text, length) for text in texts]
            counts = [len(row) for row in rows]
            keys: Iterable[Any] = itertools.chain.from_iterable(rows)
            if known:
                keys = map(self.table.get, keys, itertools.repeat(UNKNOWN))  # at the speed of C
            flat = np.fromiter(keys, np.int32, sum(counts))
        ids = np.full((len(counts), length), PAD, np.int32)
        ids[np.arange(length) < np.array(counts, np.int64)[:, None]] = flat
        return ids

    def known(self, ids: np.ndarray) -> np.ndarray:
        """Return whether texts say anything to a model: bool (n,), a word at least, and a fifth of all, is in the vocabulary.

        Args:
            ids: int (n, length), as `batch` returns them.
        """
        ids = np.asarray(ids)
        words = ((ids >= FIRST) & (ids < self.size - self.buckets)).sum(1)
        return (words > 0) & (words >= KNOWN * (ids != PAD).sum(1))

    @property
    def vocabulary(self) -> str:
        """The lines `token id` of MediaPipe's vocabulary file; empty for characters, whose table is always the same."""
        if self.kind == "characters":
            return ""
        return "".join(f"{token} {key}\n" for token, key in itertools.chain(SPECIAL.items(), self.table.items()))

    def words(self) -> list[str]:
        """Return a word by each id: for words the form that was learnt, and the special names; the hashed ones are left out."""
        if self.kind == "characters":
            return [*SPECIAL, *ALPHABET]
        found = [""] * (self.size - self.buckets)
        found[:FIRST] = SPECIAL
        for token, key in reversed(list(self.table.items())):  # a word's own form comes before its variants
            found[key] = token
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` makes the same tokenizer of them."""
        kept = ("kind", "length", "size", "buckets", "ngram")
        found = {name: getattr(self, name) for name in kept} | {"vocabulary": self.vocabulary}
        return {**found, "apart": True} if self.apart else found

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], vocabulary: str | None = None, *, where: str = "the model"
    ) -> "Tokenizer":
        """Open what `to_dict` wrote.

        Args:
            document: its values.
            vocabulary: the vocabulary file, where it is kept apart from them.
            where: what to name in an error.

        Raises:
            ArtifactError: values or vocabulary are damaged.
        """
        text = document.get("vocabulary") if vocabulary is None else vocabulary
        numbers = {name: document.get(name) for name in ("length", "size", "buckets", "ngram")}
        kind = document.get("kind")
        if kind not in KINDS or not isinstance(text, str) or not all(type(n) is int for n in numbers.values()):
            raise ArtifactError(f"{where}: its tokenizer is damaged (kind, vocabulary or a number). Export it again.")
        try:
            if kind == "characters":
                own = characters(numbers["length"] or 0)
                if numbers["size"] != own.size:
                    raise ValueError(f"an alphabet has {own.size} ids, not {numbers['size']}")
                return dataclasses.replace(own, **numbers)  # type: ignore[arg-type]
            apart = document.get("apart") is True
            made = cls(kind=kind, table=read_vocabulary(text, where=where), apart=apart, **numbers)  # type: ignore[arg-type]
        except ValueError as error:
            raise ArtifactError(f"{where}: its tokenizer is damaged ({error}). Export it again.") from None
        if max(made.table.values(), default=FIRST) >= made.size - made.buckets:
            raise ArtifactError(f"{where}: its vocabulary has an id beyond its {made.size} ids. Export it again.")
        return made


# No possessive group that finds the end of what is well formed: Python 3.11.2 forgets where its last whole repetition ended.
_NO_LINE = re.compile(r"^(?!\S+ [0-9]{1,8}$).+", re.MULTILINE)


def read_vocabulary(text: str, *, where: str = "the vocabulary") -> dict[str, int]:
    """Read the lines `token id` of a vocabulary file; the tokens with their ids, the special ones left out.

    Empty lines, Windows' line ends, a byte order mark and a last line without end are read over.

    Raises:
        ArtifactError: a line is something else, a token is there twice, or the special tokens are not ids 0 and 1.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if "\n\n" in text or not text.endswith("\n"):
        text = "".join(line + "\n" for line in text.split("\n") if line)
    if found := _NO_LINE.search(text):
        number, line = text.count("\n", 0, found.start()) + 1, found[0][:40]
        raise ArtifactError(f"{where}: line {number} of its vocabulary is not `token id`: {line!r}. Export it again.")
    fields = text.split()
    table = dict(zip(fields[::2], map(int, fields[1::2])))
    if 2 * len(table) < len(fields):
        twice = next(token for token, count in Counter(fields[::2]).items() if count > 1)
        raise ArtifactError(f"{where}: its vocabulary has {twice!r} twice. Export it again.")
    for token, key in SPECIAL.items():
        if table.pop(token, None) != key:
            raise ArtifactError(f"{where}: its vocabulary lacks the line `{token} {key}`. Export it again.")
    if "<START>" in table or min(table.values(), default=FIRST) < FIRST:
        raise ArtifactError(f"{where}: its vocabulary has <START>, or a word below id {FIRST}. Export it again.")
    return table


def characters(length: int = LENGTHS["characters"][1]) -> Tokenizer:
    """Return the tokenizer of Zhang, Zhao and LeCun 2015: an id for each of the 69 different characters of their alphabet.

    Upper case counts as lower. Every other character, the space among them, is `PAD`: the paper's zero vector, so an
    embedding has to keep row 0 at zero. Not cut at U+0000. The paper reads texts backwards; this does not.
    """
    table = {character: FIRST + number for number, character in enumerate(ALPHABET)}
    table |= {character.upper(): key for character, key in table.items()}
    return Tokenizer("characters", length, table, FIRST + len(ALPHABET))


@dataclasses.dataclass(frozen=True)
class Learnt:
    """A tokenizer, and what is said of the texts that it was learnt from.

    Attributes:
        tokenizer: the result.
        texts: texts read.
        tokens: words (or characters) in them.
        distinct: different words of at most `LONGEST` characters, by their lower-case form unless case is kept; of more
            than `MOST_COUNTED` the rarest are forgotten on the way.
        kept: words in the vocabulary.
        known: share of the tokens that are in it.
        lengths: number of texts by their number of tokens.
    """

    tokenizer: Tokenizer
    texts: int
    tokens: int
    distinct: int
    kept: int
    known: float
    lengths: Mapping[int, int] = dataclasses.field(repr=False)

    @property
    def cut(self) -> float:
        """Share of the texts that have more tokens than an input holds."""
        return sum(count for n, count in self.lengths.items() if n > self.tokenizer.length) / self.texts


def learn(
    texts: Iterable[str],
    *,
    max_words: int = 20_000,
    min_count: int = 1,
    max_length: int | None = None,
    kind: str = "words",
    cased: bool = True,
    buckets: int = 0,
    ngram: int = 4,
) -> Learnt:
    """Learn a vocabulary from texts, read once, in memory that does not grow with them.

    Every form is a word of its own, and forms that the texts lack are read as the most frequent one that they have. Without
    `cased` words are counted by their lower-case form; beside it a kept word has every form seen. Either way a word that is there
    twice also has the variant with its first letter upper-case, three times with all letters. Where two words share a variant,
    the more frequent one has it.

    Where much of the texts is in a script without spaces, each character of it is a word of its own (`Tokenizer.apart`).

    Args:
        texts: the texts of the training split.
        max_words: most words kept, the most frequent; equally frequent ones by the alphabet.
        min_count: times a word has to be there.
        max_length: ids of an input; default: so many that 99 % of the texts are whole (counted in words, also where
            `buckets` make more of some), a multiple of 4 from 8 to 400, for characters a multiple of 2 from 124 to 1014.
        kind: "words", or "characters", for which only the length is learnt.
        cased: whether "Turkey" and "turkey" are two words.
        buckets: ids for character n-grams of unknown words. MediaPipe does not know them.
        ngram: characters of an n-gram.

    Raises:
        DataError: no text has a word.
    """
    if max_words < 1 or min_count < 1:
        raise ValueError(
            f"`max_words` and `min_count` are at least 1. Received: max_words={max_words}, min_count={min_count}."
        )
    if kind not in KINDS:
        raise ValueError(f"`kind` is one of {KINDS}. Received: {kind!r}.")
    forms: Counter[str] = Counter()
    whole: Counter[str] = Counter()  # of texts with a script without spaces: as they are,
    parts: Counter[str] = Counter()  # and with each character apart
    lengths: Counter[int] = Counter()
    shorter: Counter[int] = Counter()
    single = letters = 0
    for text in texts:
        tokens: Sequence[str] = text if kind == "characters" else split(text)
        count = 0 if kind == "characters" or text.isascii() else sum(map(word_apart.count, tokens))
        letters += sum(map(len, tokens))
        shorter[len(tokens)] += 1
        (whole if count else forms).update(token for token in tokens if len(token) <= LONGEST)
        if count:
            single += count
            tokens = split(text, True)
            parts.update(token for token in tokens if len(token) <= LONGEST)
        lengths[len(tokens)] += 1
        if max(len(forms), len(whole)) > MOST_COUNTED:
            forms, whole = (_more_frequent_half(part) if len(part) > MOST_COUNTED else part for part in (forms, whole))
    apart = single > APART * letters
    forms.update(parts if apart else whole)
    lengths = lengths if apart else shorter
    del whole, parts
    count = sum(n * times for n, times in lengths.items())
    if count == 0:
        raise DataError(f"None of the {sum(lengths.values())} texts has a word. Check which column holds the texts.")
    length = _length(lengths, kind) if max_length is None else max_length
    if kind == "characters":
        made = characters(length)
        table = made.table
        kept, distinct = len(ALPHABET), len({form.lower() for form in forms})
    else:
        table, distinct = _table(forms, max_words, min_count, cased)
        kept = len(set(table.values()))
        made = Tokenizer(kind, length, table, FIRST + kept + buckets, buckets, ngram, apart)
    known = sum(times for form, times in forms.items() if form in table) / count
    by_length = dict(sorted(lengths.items()))
    return Learnt(made, sum(lengths.values()), count, distinct, kept, known, by_length)


def _more_frequent_half(forms: Counter[str]) -> Counter[str]:
    """Forget the rarest, so that at most half of `MOST_COUNTED` are left."""
    limit = int(np.partition(np.fromiter(forms.values(), np.int64), -MOST_COUNTED // 2)[-MOST_COUNTED // 2])
    return Counter({form: times for form, times in forms.items() if times > limit})


def _length(lengths: Mapping[int, int], kind: str) -> int:
    """Return the length that leaves `COVERED` of the texts whole."""
    least, most = LENGTHS[kind]
    step = 4 if kind == "words" else 2
    needed, whole = COVERED * sum(lengths.values()), 0
    for n in sorted(lengths):
        whole += lengths[n]
        if whole >= needed:
            break
    return min(max(-(-n // step) * step, least), most)


def _table(forms: Mapping[str, int], words: int, least: int, cased: bool) -> tuple[dict[str, int], int]:
    """Return the ids by token, and how many different words there are."""
    counts: Counter[str] = Counter()
    seen: dict[str, list[str]] = {}
    for form, times in forms.items():
        word = form if cased else form.lower()
        counts[word] += times
        if form != word:
            seen.setdefault(word, []).append(form)
    ranked = sorted((word for word, times in counts.items() if times >= least), key=lambda w: (-counts[w], w))[:words]
    table = {word: FIRST + place for place, word in enumerate(ranked)}
    for place, word in enumerate(ranked):
        low = word.lower()
        made = [low[:1].upper() + low[1:]] * (counts[word] >= TITLED) + [word.upper()] * (counts[word] >= CAPITALS)
        for variant in (low, *made, *sorted(seen.get(word, ()))):
            if variant not in table and split(variant) == [variant]:
                table[variant] = FIRST + place
    return table, len(counts)


STEP = 8  # a trimmed batch is a multiple of this wide, so that there are few different widths


def widths(longest: np.ndarray, length: int, margin: int) -> np.ndarray:
    """Return how wide a batch has to be for texts of so many ids: int (n,).

    A network that takes the largest or the mean value of each map over a text's places gives the same answer however much padding
    follows the text, if there is some: at least as much as its widest filter reads, `margin` ids. So short texts cost little.

    Args:
        longest: ids of each text, or of the longest of each batch, int (n,).
        length: ids of one input, the most.
        margin: ids of padding that have to stay.
    """
    needed = (np.asarray(longest) + margin + STEP - 1) // STEP * STEP
    return np.minimum(length, needed)


def lengths(ids: np.ndarray) -> np.ndarray:
    """Return how many ids of each row, int (n, length), stand before the padding at its end: int64 (n,)."""
    filled = np.asarray(ids) != PAD
    return np.where(filled.any(1), filled.shape[1] - filled[:, ::-1].argmax(1), 0)
