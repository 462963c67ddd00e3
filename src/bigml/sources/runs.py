"""Runs: the loops that walk through the bytes of Parquet pages, headers (Thrift's compact protocol) and runs of codes.

Nothing in the bytes is trusted: each loop ends at their end, and says so when they make no sense. They are few and lean, since
what is compiled when a machine calls them for the first time is paid for by function, and once more for each constant that
one is called with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

FIELDS = 9
"""Numbers that are kept of a page's header."""
KIND, SIZE, STORED, CHECKSUM, VALUES, ENCODING, LEVELS, START, STRETCH = range(FIELDS)
"""Their places: kind of page, its bytes, those that are stored, checksum, values, encodings of values and of levels, where the
page's bytes begin, and the number of the stretch of pages that it is in."""
NO_CHECKSUM = 1 << 32
"""Stands for the checksum of a page that has none."""
DATA, DICTIONARY = 0, 2
"""Kinds of pages."""
PLAIN, PLAIN_DICTIONARY, RUNS, RUNS_OF_CODES = 0, 2, 3, 8
"""Encodings: of dictionaries in new and old files, where the latter is that of codes too; of levels; of codes in new files."""
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
        pages: Zeros, of shape (most pages, `FIELDS`).
    """
    at, n = np.int64(0), 0
    for stretch in range(ends.size):
        end = ends[stretch]
        while at < end:
            if n == pages.shape[0]:
                return -1
            page = pages[n]
            page[CHECKSUM] = NO_CHECKSUM
            at = _header(raw, at, end, fields, page)
            if at < 0 or not 0 <= page[STORED] <= end - at or not 0 <= page[SIZE] <= MOST_BYTES:
                return -1
            page[START], page[STRETCH] = at, stretch
            at += page[STORED]
            n += 1
    return n


@njit(nogil=True, cache=True)
def _header(raw: Any, at: Any, end: Any, fields: Any, page: Any) -> Any:
    """Where a page's header ends, whose fields are written to `page`; -1 when it makes no sense."""
    depth, fields[0] = 0, 0
    while at < end:
        head = np.int64(raw[at])
        kind, at = head & 15, at + 1
        if head == 0:
            depth -= 1
            if depth < 0:
                return at
            continue
        if head >> 4 == 0 or kind & 3 == 3 or 8 < kind != 12:
            return -1  # Bytes, doubles and lists are in no header.
        fields[depth] += head >> 4
        if kind == 12:
            depth += 1
            if depth == DEEPEST:
                return -1
            fields[depth] = 0
        elif kind > 2:
            value, at = _varint(raw, at, end)
            if at < 0 or (kind == 8 and value > end - at):
                return -1
            # The header within one is of data pages (5) or dictionary pages (7).
            is_kept = depth == 0 or (depth == 1 and (fields[0] == 5 or fields[0] == 7))
            if kind == 8:
                at += value
            elif is_kept and fields[depth] <= 4 - depth:
                page[depth * VALUES + fields[depth] - 1] = (value >> 1) ^ -(value & 1)
    return -1


@njit(nogil=True, cache=True)
def _varint(raw: Any, at: Any, end: Any) -> Any:
    """A whole number of up to 63 bits and where it ends, or -1 there."""
    value, shift = np.int64(0), 0
    while at < end and shift < 63:
        byte = np.int64(raw[at])
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    return value, np.int64(-1)


@njit(nogil=True, cache=True)
def decode_pages(stored: Any, pages: Any, lookup: Any, scratch: Any, out: Any) -> Any:
    """Write `lookup[code]` for each row of data pages, -1 where it is null; how many are null, -1 when bytes make no sense.

    Args:
        stored: The pages' bytes, and `SLACK` more, as uint8 and as uint64.
        pages: Rows of (where it begins, where it ends, values, whether levels tell which of them are null, bits of the codes at
            most, where the values for its codes begin in `lookup`).
        lookup: The values for all codes of so many bits, -1 for those that stand for nothing.
        scratch: Room for the codes of a page, and for the places of its nulls and eight more.
    """
    raw, (codes, places), row, nulls = stored[0], scratch, np.int64(0), np.int64(0)
    for p in range(pages.shape[0]):
        at, end, n = pages[p, 0], pages[p, 1], pages[p, 2]
        if row + n > out.size or n > codes.size or n + 8 > places.size:
            return -1
        lost, to = np.int64(0), out[row : row + n]
        if pages[p, 3]:
            # Levels stand behind their length of 4 bytes.
            size = np.int64(0)
            for k in range(4):
                size |= np.int64(raw[at + k]) << (8 * k)
            at += 4
            lost = _nulls(raw, at, at + size, n, places) if size <= end - at else np.int64(-1)
            at += size
        width = np.int64(raw[at]) if lost >= 0 and at < end else np.int64(0)
        found = codes[: n - lost] if lost > 0 else to
        if lost < 0 or width > pages[p, 4]:
            return -1
        if _unpack(stored, (at + 1, end), width, lookup[pages[p, 5] :], found) < found.size:
            return -1
        if lost:
            begin = 0
            for k in range(lost + 1):
                # From null to null.
                stop = places[k] if k < lost else n
                for i in range(stop - begin):
                    # Without a sign: places that could be negative, for all that the compiler knows, are not copied by vectors.
                    to[np.uint64(begin + i)] = codes[np.uint64(begin - k + i)]
                if k < lost:
                    to[stop] = -1
                begin = stop + 1
        row, nulls = row + n, nulls + lost
    return nulls if row == out.size else -1


@njit(nogil=True, cache=True)
def _nulls(raw: Any, at: Any, end: Any, n: Any, places: Any) -> Any:
    """Write the places of nulls among n values, whose levels are 0; how many, -1 when the bytes make no sense."""
    row, lost = np.int64(0), np.int64(0)
    while row < n:
        head, at = _varint(raw, at, end)
        packed = head & 1
        if at < 0 or (head >> 1 if packed else 1) > end - at:
            return -1
        if packed:
            for k in range(head >> 1):
                byte = np.int64(raw[at + k])
                if byte < 255 and row < n:
                    for i in range(8):
                        places[lost] = row + i
                        lost += 1 - (byte >> i & 1)
                row += 8
            at += head >> 1
        else:
            stop = min(row + (head >> 1), n)
            if raw[at] == 0:
                for i in range(row, stop):
                    places[lost] = i
                    lost += 1
            row, at = stop, at + 1
    while lost and places[lost - 1] >= n:
        lost -= 1
    return lost


@njit(nogil=True, cache=True)
def _unpack(stored: Any, where: Any, width: Any, lookup: Any, out: Any) -> Any:
    """Write `lookup` of numbers of so many bits, in runs that repeat one or are packed, until one side ends; how many, or -1."""
    (raw, words), (at, end), mask, one = stored, where, np.uint64((1 << width) - 1), np.uint64(width)
    done, seen, code = 0, np.int32(0), np.int32(0)
    while done < out.size and at < end:
        head, at = _varint(raw, at, end)
        packed = head & 1
        nbytes = (head >> 1) * width if packed else (width + 7) >> 3
        if at < 0 or head >> 1 > MOST_BYTES or nbytes > end - at:
            return -1
        # A slice ends where its array ends.
        run = out[done : done + ((head >> 1) << (3 * packed))]
        bit, i, different = np.uint64(at) << np.uint64(3), 0, run.size if packed or not run.size else 1
        if width <= 16:
            # Four of them are in any 64 bits.
            while i + 4 <= different:
                word, within = bit >> np.uint64(6), bit & np.uint64(63)
                found = words[word] >> within | (words[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - within)
                four = run[i : i + 4]
                for k in range(4):
                    code = lookup[found & mask]
                    four[k] = code
                    seen |= code
                    found >>= one
                bit += one << np.uint64(2)
                i += 4
        while i < different:
            word, within = bit >> np.uint64(6), bit & np.uint64(63)
            found = words[word] >> within | (words[word + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - within)
            code = lookup[found & mask]
            run[i] = code
            seen |= code
            bit += one
            i += 1
        if not packed:
            code = run[0] if run.size else code
            for k in range(run.size):
                run[k] = code
        at += nbytes
        done += run.size
    return done if seen >= 0 else -1


@njit(nogil=True, cache=True)
def text_ends(raw: Any, ends: Any) -> bool:
    """Where each of the texts ends that are stored one behind the other, each behind its length of 4 bytes; closes the gaps.

    The texts are moved to the front of `raw`; false when the lengths make no sense.
    """
    at, to = np.int64(0), np.int64(0)
    for i in range(ends.size - 1):
        if at + 4 > raw.size:
            return False
        size = np.int64(0)
        for k in range(4):
            size |= np.int64(raw[at + k]) << (8 * k)
        at += 4
        if size > raw.size - at:
            return False
        for k in range(size):
            raw[to + k] = raw[at + k]
        at, to = at + size, to + size
        ends[i + 1] = to
    return True
