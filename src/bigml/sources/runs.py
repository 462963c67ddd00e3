"""Runs: the loops that walk through the bytes of Parquet pages, headers (Thrift's compact protocol) and runs of codes.

Nothing in the bytes is trusted: each loop ends at their end, and says so when they make no sense.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

FIELDS = 10
"""Numbers that are kept of a page's header."""
KIND, SIZE, STORED, CHECKSUM, HAS_CHECKSUM, VALUES, ENCODING, LEVELS, START, STRETCH = range(FIELDS)
"""Their places: kind of page, its bytes, those that are stored, checksum, values, encodings of values and of levels, where the
page's bytes begin, and the number of the stretch of pages that it is in."""
DATA, DICTIONARY = 0, 2
"""Kinds of pages."""
PLAIN_DICTIONARY, RUNS_OF_CODES = 2, 8
"""Encodings of dictionaries (0 for new files) and of codes in old files, and of codes in new ones."""
RUNS = 3
"""The encoding of levels."""
DEEPEST = 8
"""Structs within structs that a header may hold."""
MOST_BYTES = (1 << 31) - 1
"""Bytes of a page, at most: headers hold them as 32 bits."""
SLACK = 16
"""Bytes beyond the last page that loops may read."""


@njit(nogil=True, cache=True)
def find_pages(raw: Any, ends: Any, fields: Any, pages: Any) -> int:
    """Fill a row of `pages` for each page of stretches that end there; how many, -1 when bytes make no sense or are too many.

    Args:
        fields: Room for `DEEPEST` numbers.
        pages: Zeros.
    """
    at, n = np.int64(0), 0
    for stretch in range(ends.size):
        end = ends[stretch]
        while at < end:
            if n == pages.shape[0]:
                return -1
            at = _header(raw[:end], at, fields, pages[n])
            if at < 0 or not 0 <= pages[n, STORED] <= end - at or not 0 <= pages[n, SIZE] <= MOST_BYTES:
                return -1
            pages[n, START], pages[n, STRETCH] = at, stretch
            at += pages[n, STORED]
            n += 1
    return n


@njit(nogil=True, cache=True)
def _varint(raw: Any, at: int, end: int) -> Any:
    """A whole number of up to 63 bits and where it ends, or -1 there."""
    value, shift = np.int64(0), 0
    while at < end and shift < 63:
        byte = np.int64(raw[at])
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at
    return value, -1


@njit(nogil=True, cache=True)
def _header(raw: Any, at: Any, fields: Any, page: Any) -> Any:
    """Where a page's header ends, whose fields are written to `page`; -1 when it makes no sense."""
    depth, fields[0] = 0, 0
    while 0 <= at < raw.size:
        head = np.int64(raw[at])
        kind, at = head & 15, at + 1
        if head == 0:
            depth -= 1
            if depth < 0:
                return at
            continue
        fields[depth] += head >> 4
        if head >> 4 == 0:
            number, at = _varint(raw, at, raw.size)
            fields[depth] = (number >> 1) ^ -(number & 1)
        if kind == 12:
            depth += 1
            if depth == DEEPEST:
                return -1
            fields[depth] = 0
        elif at >= 0:
            value, at = _field(raw, at, kind)
            _keep(page, fields, depth, value)
    return -1


@njit(nogil=True, cache=True)
def _field(raw: Any, at: int, kind: int) -> Any:
    """A field's number, 0 where it is none, and where it ends; -1 there when it makes no sense or is no plain field."""
    if kind <= 2:
        return 0, at
    if kind == 3:
        return 0, at + 1
    if kind == 7:
        return 0, at + 8
    value, at = _varint(raw, at, raw.size)
    if 4 <= kind <= 6:
        return (value >> 1) ^ -(value & 1), at
    if kind == 8 and at >= 0 and value <= raw.size - at:
        return 0, at + value
    return 0, -1


@njit(nogil=True, cache=True)
def _keep(page: Any, fields: Any, depth: int, value: int) -> None:
    """Keep the value of a field of a page's header, or of the header within of a data page (5) or dictionary page (7)."""
    field = fields[depth]
    if depth == 0 and 1 <= field <= 3:
        page[KIND + field - 1] = value
    elif depth == 0 and field == 4:
        page[CHECKSUM], page[HAS_CHECKSUM] = value & 0xFFFFFFFF, 1
    elif depth == 1 and (fields[0] == 5 or fields[0] == 7) and 1 <= field <= 3:
        page[VALUES + field - 1] = value


@njit(nogil=True, cache=True)
def decode_pages(stored: Any, pages: Any, lookup: Any, codes: Any, out: Any) -> Any:
    """Write `lookup[code]` for each row of data pages, -1 where it is null; how many are null, -1 when bytes make no sense.

    Args:
        stored: The pages' bytes, and `SLACK` more, as uint8 and as uint64.
        pages: Rows of (where it begins, where it ends, values, whether levels tell which of them are null, where its dictionary's
            values begin in `lookup`, and where they end).
        codes: Room for the codes of a page, and eight more.
    """
    (raw, words), row, nulls = stored, 0, 0
    for p in range(pages.shape[0]):
        at, end, n, optional = pages[p, 0], pages[p, 1], pages[p, 2], pages[p, 3]
        if row + n > out.size or n + 8 > codes.size:
            return -1
        levels = at
        if optional:
            levels, at = at + 4, _after(raw, at, end)
            if at < 0:
                return -1
        found = codes[:n] if optional else out[row : row + n]
        known = 0
        if at < end:
            known = _unpack(words, raw, (at + 1, end), np.int64(raw[at]), found) if raw[at] <= 31 else -1
        if known < 0 or not _look_up(found[:known], lookup[pages[p, 4] : pages[p, 5]]):
            return -1
        if optional:
            known = _spread(raw, (levels, at), codes, known, out[row : row + n])
            nulls += n - known
        if known < 0 or (known < n and not optional):
            return -1
        row += n
    return nulls if row == out.size else -1


@njit(nogil=True, cache=True)
def _after(raw: Any, at: int, end: int) -> int:
    """Where bytes end before which their length stands in 4 bytes; -1 when that is beyond the end."""
    if at + 4 > end:
        return -1
    size = _length(raw, at)
    return at + 4 + size if size <= end - at - 4 else -1


@njit(nogil=True, cache=True)
def _length(raw: Any, at: int) -> Any:
    return np.int64(raw[at]) | np.int64(raw[at + 1]) << 8 | np.int64(raw[at + 2]) << 16 | np.int64(raw[at + 3]) << 24


@njit(nogil=True, cache=True)
def _look_up(codes: Any, lookup: Any) -> bool:
    """Replace codes by what they stand for; false when one stands for nothing."""
    low, high = np.int32(0), np.int32(-1)
    for i in range(codes.size):
        low, high = min(low, codes[i]), max(high, codes[i])
    if low < 0 or high >= lookup.size:
        return False
    for i in range(codes.size):
        codes[i] = lookup[np.uint32(codes[i])]
    return True


@njit(nogil=True, cache=True)
def _spread(raw: Any, where: Any, codes: Any, most: int, out: Any) -> Any:
    """Write the codes, of which there are so many at most, to the rows whose level is 1, and -1 to others.

    How many are 1; -1 when the bytes make no sense. Eight codes more may be read.
    """
    (at, end), row, known = where, 0, np.int64(0)
    while row < out.size:
        head, at = _varint(raw, at, end)
        if at < 0 or at + (head >> 1 if head & 1 else 1) > end:
            return -1
        if head & 1:
            for k in range(head >> 1):
                m, byte = min(8, out.size - row), np.int64(raw[at + k])
                for i in range(m):
                    is_known = (byte >> i) & 1
                    out[row + i] = codes[known] if is_known else -1
                    known += is_known
                row += m
                if known > most:
                    return -1
            at += head >> 1
        else:
            m = min(head >> 1, out.size - row)
            if raw[at] != 1:
                _fill(out[row : row + m], -1)
            elif known + m > most:
                return -1
            else:
                _copy(codes[known : known + m], out[row : row + m])
                known += m
            row, at = row + m, at + 1
    return known


@njit(nogil=True, cache=True)
def _copy(codes: Any, out: Any) -> None:
    # Counted from zero: a place that could be negative for all that the compiler knows keeps it from vector instructions.
    for i in range(out.size):
        out[i] = codes[i]


@njit(nogil=True, cache=True)
def _fill(out: Any, code: int) -> None:
    for i in range(out.size):
        out[i] = code


@njit(nogil=True, cache=True)
def _unpack(words: Any, raw: Any, where: Any, width: int, out: Any) -> int:
    """Write numbers of so many bits, in runs that repeat one or are packed bit by bit, until one side ends; how many, or -1."""
    (at, end), done = where, 0
    mask = np.uint64((1 << width) - 1)
    while done < out.size and at < end:
        head, at = _varint(raw, at, end)
        if at < 0:
            return -1
        if head & 1:
            nbytes = (head >> 1) * width
            if head >> 1 > out.size or nbytes > end - at:
                return -1
            m = min((head >> 1) * 8, out.size - done)
            _unpack_bits(words, at, width, out[done : done + m])
        else:
            nbytes = (width + 7) >> 3
            if nbytes > end - at:
                return -1
            value = np.int64(0)
            for k in range(nbytes):
                value |= np.int64(raw[at + k]) << (8 * k)
            m = min(head >> 1, out.size - done)
            _fill(out[done : done + m], np.int64(np.uint64(value) & mask))
        at += nbytes
        done += m
    return done


@njit(nogil=True, cache=True)
def _unpack_bits(words: Any, at: int, width: int, out: Any) -> None:
    """Write numbers of so many bits that follow each other from this byte."""
    mask, bit, done = np.uint64((1 << width) - 1), np.uint64(at) << np.uint64(3), 0
    one, two, three = np.uint64(width), np.uint64(2 * width), np.uint64(3 * width)
    if width <= 16:
        # Four of them are in any 64 bits.
        done = out.size & ~3
        for i in range(0, done, 4):
            word, shift = bit >> np.uint64(6), bit & np.uint64(63)
            found = words[word] >> shift | (words[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - shift)
            four = out[i : i + 4]
            four[0] = np.int32(found & mask)
            four[1] = np.int32(found >> one & mask)
            four[2] = np.int32(found >> two & mask)
            four[3] = np.int32(found >> three & mask)
            bit += np.uint64(4 * width)
    for i in range(done, out.size):
        word, shift = bit >> np.uint64(6), bit & np.uint64(63)
        found = words[word] >> shift | (words[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - shift)
        out[i] = np.int32(found & mask)
        bit += one


@njit(nogil=True, cache=True)
def text_ends(raw: Any, ends: Any) -> bool:
    """Where each of the texts ends that are stored one behind the other, each behind its length of 4 bytes; closes the gaps.

    The texts are moved to the front of `raw`; false when the lengths make no sense.
    """
    at, to = 0, 0
    for i in range(ends.size - 1):
        if at + 4 > raw.size:
            return False
        size = _length(raw, at)
        at += 4
        if size > raw.size - at:
            return False
        for k in range(size):
            raw[to + k] = raw[at + k]
        at, to = at + size, to + size
        ends[i + 1] = to
    return True
