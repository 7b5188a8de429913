"""Memory of a process."""

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_memory() -> tuple[int, int]:
    """Returns the resident memory of this process and its peak, in bytes; (peak, peak) if the former is unknown.

    On Linux, a process inherits the peak of `getrusage` from the one that started it, so /proc is read instead.
    """
    kibibytes = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", STATUS.read_text())) if STATUS.is_file() else {}
    if len(kibibytes) == 2:
        return int(kibibytes["VmRSS"]) * 1024, int(kibibytes["VmHWM"]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak
