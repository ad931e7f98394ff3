#!/usr/bin/env python3
"""Reads Prometheus's text format from standard input with its own client library and prints the number of samples."""

import sys

from prometheus_client.parser import text_string_to_metric_families


def main() -> int:
    families = list(text_string_to_metric_families(sys.stdin.read()))
    names = [family.name for family in families]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        print(f"metrics.py: declared more than once: {', '.join(sorted(repeated))}", file=sys.stderr)
        return 1
    untyped = [family.name for family in families if family.type == "unknown" or not family.documentation]
    if untyped:
        print(f"metrics.py: without type or help: {', '.join(untyped)}", file=sys.stderr)
        return 1
    print(sum(len(family.samples) for family in families))
    return 0


if __name__ == "__main__":
    sys.exit(main())
