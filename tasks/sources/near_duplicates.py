"""Near duplicates by MinHash (Broder 1997) and locality-sensitive hashing (Leskovec et al., Massive Datasets, 3.4).

A document is the set of its runs of n words; of two sets A and B the share of equal MinHashes estimates the Jaccard
similarity |A ∩ B| / |A ∪ B|. Only documents that agree in a whole band of r MinHashes are compared: with b bands two of
similarity s are with probability 1 - (1 - s^r)^b. Of two that are near, the one with the higher hash goes: it does not
matter which was read first, and a held-out document, whose hash is low, stays before one to train on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np

from tasks.sources.decontamination import words_of
from tasks.sources.settings import FuzzyDuplicates

SCHEME = "affine32"
WIDTH = 4  # bytes of a MinHash of this scheme
NO_WORDS = np.iinfo(np.uint32).max
BLOCK = 256
PAIR_WEIGHTS = (0.1, 0.9)  # of pairs compared in vain, and passed over
SignatureOf = Callable[[np.ndarray], np.ndarray]  # positions (n,) -> MinHashes (n, permutations)
BAND = np.dtype([("band", ">u8"), ("high", ">u8"), ("low", ">u8"), ("position", ">u8")])


@cache
def bands_of(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, MinHashes in each) for a threshold, as datasketch finds them best.

    A pair passed over weighs nine times one that is compared in vain, since every pair found is compared.
    """
    from datasketch import MinHashLSH

    found = MinHashLSH(threshold=threshold, num_perm=permutations, weights=PAIR_WEIGHTS)
    return found.b, found.r


def shingles(text: str, ngram: int) -> set[bytes]:
    """The runs of so many words in a text; of a shorter one all its words, of one without words none."""
    words = words_of(text)
    if not words:
        return set()
    count = max(len(words) - ngram + 1, 1)
    return {" ".join(words[begin : begin + ngram]).encode() for begin in range(count)}


def signatures(texts: Iterable[str], settings: FuzzyDuplicates) -> Iterator[np.ndarray]:
    """The MinHashes, uint32 (permutations,), of each text; all NO_WORDS where it has no word."""
    from datasketch import MinHash

    sets = (list(shingles(text, settings.ngram)) for text in texts)
    for found in MinHash.generator(sets, num_perm=settings.permutations, scheme=SCHEME):
        yield found.hashvalues.astype("<u4")


def band_records(
    signature: np.ndarray, digest: bytes, position: int, settings: FuzzyDuplicates
) -> Iterator[bytes]:
    """One record of dtype BAND a band; its first byte tells its partition."""
    if (signature == NO_WORDS).all():
        return
    bands, rows = bands_of(settings.threshold, settings.permutations)
    raw, width = signature.tobytes(), rows * WIDTH
    for band in range(bands):
        part = raw[band * width : (band + 1) * width]
        name = hashlib.blake2b(part, digest_size=8, salt=band.to_bytes(2, "big")).digest()
        yield name + digest + position.to_bytes(8, "big")


def near_copies(records: np.ndarray, signature_of: SignatureOf, threshold: float) -> np.ndarray:
    """Positions, sorted, of documents to which one with a lower hash is near.

    records: of dtype BAND, of whole buckets. Of identical documents only the first counts. threshold: of the share of
    equal MinHashes.
    """
    columns = [records[name].astype(np.uint64) for name in BAND.names or ()]
    order = np.lexsort(columns[::-1])
    band, high, low, position = (column[order] for column in columns)
    copy = np.zeros(len(band), bool)
    copy[1:] = (band[1:] == band[:-1]) & (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    band, position = band[~copy], position[~copy]
    begins = np.flatnonzero(np.r_[True, band[1:] != band[:-1]])
    ends = np.r_[begins[1:], len(band)]
    gone = [
        _near_in(position[begin:end], signature_of, threshold)
        for begin, end in zip(begins, ends, strict=True)
        if end - begin > 1
    ]
    return np.unique(np.concatenate(gone)) if gone else np.zeros(0, np.uint64)


def _near_in(bucket: np.ndarray, signature_of: SignatureOf, threshold: float) -> np.ndarray:
    """Those of a bucket, which is sorted by hash, to which one before is near.

    Who is near to the first is found first: in a bucket of many copies that is all of them.
    """
    first = signature_of(bucket[:1])[0]
    near = np.zeros(len(bucket), bool)
    for begin in range(1, len(bucket), BLOCK):
        block = slice(begin, begin + BLOCK)
        near[block] = (signature_of(bucket[block]) == first).mean(axis=1) >= threshold
    for place in np.flatnonzero(~near)[1:]:
        mine = signature_of(bucket[place : place + 1])
        for begin in range(1, place, BLOCK):
            if (
                (signature_of(bucket[begin : min(begin + BLOCK, place)]) == mine).mean(axis=1) >= threshold
            ).any():
                near[place] = True
                break
    return bucket[near]
