"""Does a test notice when a safety rule of the firmware is gone? `python -m tests.mutants` takes them away one by one.

`rules.toml` names every safety rule, the small edit that removes it and the tests that must notice; `make test` runs
that table. `operators.py` makes systematic changes to the safety files; `make mutants` runs those as well, and
`equivalent.toml` explains each one that no test can notice. The working tree is never touched.
"""
