"""`python -m tests.conformance`: write the pages and print what is open; with `--open` only print."""

import sys
from collections import Counter

from tests.conformance.catalogue import catalogues
from tests.conformance.markers import collect
from tests.conformance.page import open_rules, state_of, write

if __name__ == "__main__":
    found = catalogues()
    tests = collect().tests
    if "--open" not in sys.argv[1:]:
        write(found, tests)
    for catalogue in found:
        counts = Counter(state_of(rule, catalogue, tests) for rule in catalogue.rules)
        print(
            f"{catalogue.page}: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        )
        for rule in open_rules(catalogue, tests):
            print(f"  open: {rule.rule_id} ({rule.level}) {rule.title}")
