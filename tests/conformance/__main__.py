"""`python -m tests.conformance`: write the pages and print what is open.

With `--open` only print, also what is open in a catalogue that is not complete.
"""

import sys
from collections import Counter

from tests.conformance.catalogue import catalogues
from tests.conformance.markers import collect
from tests.conformance.page import open_rules, shown, state_of, write

if __name__ == "__main__":
    found = catalogues()
    tests = collect().tests
    if "--open" not in sys.argv[1:]:
        write(found, tests)
    for catalogue in found:
        rules = [rule for section in shown(catalogue, tests) for rule in section.rules]
        counts = Counter(state_of(rule, catalogue, tests) for rule in rules)
        print(
            f"{catalogue.page}: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        )
        if not catalogue.is_complete:
            print(f"  not complete: {catalogue.incomplete_because}")
            if "--open" not in sys.argv[1:]:
                continue
        for rule in open_rules(catalogue, tests):
            print(f"  open: {rule.rule_id} ({rule.level}) {rule.title}")
