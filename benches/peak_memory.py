#!/usr/bin/env python3
"""Runs a command and prints the time and the memory that it took; fails when that was more than 1 GiB.

    peak_memory.py COMMAND...
"""

import resource
import subprocess
import sys
import time

LIMIT_MIB = 1024


def main() -> int:
    start = time.monotonic()
    code = subprocess.run(sys.argv[1:]).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"ended with {code} after {time.monotonic() - start:.0f} s; at most {peak:.0f} MiB resident (limit {LIMIT_MIB})")
    return int(peak > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
