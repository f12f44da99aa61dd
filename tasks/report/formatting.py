"""Numbers as people read them: with as many digits as their error carries, in units of a sensible size."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TypeGuard

MISSING = "–"
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SMALLEST_DECIMAL = 4


def is_number(value: object) -> TypeGuard[float]:
    """A finite number (None, NaN and infinities are not)."""
    return isinstance(value, int | float) and math.isfinite(value)


def decimals_for(stderr: float | None) -> int:
    """Decimals that show two significant digits of the error; 3 where there is none."""
    if not is_number(stderr) or stderr <= 0:
        return 3
    return min(max(1 - math.floor(math.log10(stderr)), 0), SMALLEST_DECIMAL)


def fixed(value: float | None, decimals: int = 3) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    if not is_number(value):
        return MISSING
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.replace("-", "")


def with_error(value: float | None, stderr: float | None) -> str:
    """ "0.257 ± 0.033"; says so where the error is not known."""
    if not is_number(value):
        return MISSING
    if not is_number(stderr):
        return f"{fixed(value)} ({plus_minus(stderr)})"
    return f"{fixed(value, decimals_for(stderr))} {plus_minus(stderr)}"


def with_interval(row: Mapping[str, float | None]) -> str:
    """ "0.257 [0.190, 0.324]" of a row with mean, low and high; without the bounds where there are none."""
    mean = fixed(row["mean"])
    return mean if row["low"] is None else f"{mean} [{fixed(row['low'])}, {fixed(row['high'])}]"


def plus_minus(stderr: float | None) -> str:
    """ "± 0.033", with two significant digits down to the fourth decimal."""
    if not is_number(stderr):
        return "error unknown"
    decimals = decimals_for(stderr)
    if 0 < stderr < 0.5 * 10**-decimals:
        return f"± <{10**-decimals:.{decimals}f}"
    return f"± {fixed(stderr, decimals)}"


def significant(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, in powers of ten where that is shorter."""
    if not is_number(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        text = fixed(value, max(digits - 1 - exponent, 0))
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa} × 10{str(int(power)).translate(SUPERSCRIPTS)}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return f"{value:,.0f}" if is_number(value) else MISSING


def compact(value: float | None) -> str:
    """ "98.3 k", "1.07 M", "2.4 B": three significant digits."""
    if not is_number(value):
        return MISSING
    rounded = float(f"{value:.3g}")
    for size, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(rounded) >= max(size, 1e4):
            return f"{rounded / size:g}{unit}"
    return count(value)


def num_bytes(value: float | None) -> str:
    """Bytes in decimal units."""
    if not is_number(value):
        return MISSING
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 1000 else f"{value / size:.0f} {unit}"
    return f"{value:.0f} B"


def duration(seconds: float | None) -> str:
    """ "0.05 s", "26 s", "3 min 20 s", "2 h 05 min"."""
    if seconds is None or not is_number(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def percent(value: float | None, decimals: int = 0) -> str:
    """A share as a percentage."""
    return f"{fixed(100 * value, decimals)}%" if is_number(value) else MISSING


def share(value: float) -> str:
    """A share of a mixture: nothing is "0", less than a tenth of a percent is said to be so."""
    if value == 0:
        return "0"
    return "<0.1%" if value < 0.001 else percent(value, 1)


def epochs(value: float | None) -> str:
    """Epochs with two significant digits."""
    if not is_number(value):
        return MISSING
    return "0" if value == 0 else significant(value, 2)


def day(created: float) -> str:
    """A time since 1970 as a date and minute, UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(created))


def listed(names: list[str], limit: int = 6) -> str:
    """ "a, b and c"; beyond `limit` names the rest is counted."""
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"


def shortened(name: str, limit: int) -> str:
    """A name of at most `limit` characters, its middle left out where it is longer."""
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 3
    return f"{name[: limit - 1 - tail]}…{name[-tail:]}"
