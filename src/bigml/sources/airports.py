"""Airports: a hundred of them with their places, for generated flights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_MILES = 3958.8

# Code, latitude and longitude in tenths of a degree, busiest first.
_PLACES = """
ATL 336 -844 ORD 420 -879 DFW 329 -970 DEN 399 -1047 LAX 339 -1184 JFK 406 -738 SFO 376 -1224 LAS 361 -1152 CLT 352 -809
MCO 284 -813 PHX 334 -1120 MIA 258 -803 SEA 474 -1223 IAH 300 -953 EWR 407 -742 BOS 424 -710 MSP 449 -932 FLL 261 -802
DTW 422 -834 PHL 399 -752 LGA 408 -739 BWI 392 -767 SLC 408 -1120 SAN 327 -1172 IAD 389 -775 DCA 389 -770 MDW 418 -878
TPA 280 -825 PDX 456 -1226 HNL 213 -1579 STL 387 -904 HOU 296 -953 BNA 361 -867 AUS 302 -977 OAK 377 -1222 MSY 300 -903
MCI 393 -947 RDU 359 -788 SJC 374 -1219 SNA 337 -1179 DAL 328 -969 SMF 387 -1216 SAT 295 -985 RSW 265 -818 PIT 405 -802
CLE 414 -818 IND 397 -863 SJU 184 -660 CVG 391 -847 CMH 400 -829 OGG 209 -1564 BDL 419 -727 PBI 267 -801 JAX 305 -817
MKE 429 -879 ABQ 350 -1066 ANC 612 -1500 BUF 429 -787 BUR 342 -1184 OMA 413 -959 ONT 341 -1176 PVD 417 -714 MEM 350 -900
OKC 354 -976 RNO 395 -1198 CHS 329 -800 RIC 375 -773 TUS 321 -1109 ORF 369 -762 GEG 476 -1175 KOA 197 -1560 BOI 436 -1162
SDF 382 -857 LIH 220 -1593 TUL 362 -959 ELP 318 -1064 BHM 336 -868 GRR 429 -855 LGB 338 -1182 ALB 427 -738 SAV 321 -812
SYR 431 -761 DSM 415 -937 ROC 431 -777 PSP 338 -1165 MYR 337 -789 GSP 349 -822 MSN 431 -893 PWM 436 -703 DAY 399 -842
LIT 347 -922 TYS 358 -840 COS 388 -1047 XNA 363 -943 GSO 361 -799 FAT 368 -1197 BTV 445 -732 ACK 413 -701 BQN 185 -671
EYW 246 -818
"""


@dataclass(frozen=True)
class Airports:
    """Codes with latitudes and longitudes in radians, each of shape (n,), busiest first."""

    codes: tuple[str, ...]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]

    def distances(self) -> NDArray[np.float64]:
        """Great-circle distances in whole miles, shape (n, n), by the haversine formula."""
        latitudes, longitudes = self.latitudes[:, None], self.longitudes[:, None]
        half = np.sin((latitudes - latitudes.T) / 2) ** 2
        half += np.cos(latitudes) * np.cos(latitudes.T) * np.sin((longitudes - longitudes.T) / 2) ** 2
        return np.rint(2 * EARTH_RADIUS_MILES * np.arcsin(np.sqrt(half)))


@cache
def airports() -> Airports:
    """All airports.

    >>> airports().codes[:3], len(airports().codes)
    (('ATL', 'ORD', 'DFW'), 100)
    """
    words = _PLACES.split()
    degrees = np.array([words[1::3], words[2::3]], dtype=np.float64) / 10
    return Airports(tuple(words[0::3]), *np.radians(degrees))
