"""`python -m agent` and the `evse-agent` script."""

from agent.cli import main

if __name__ == "__main__":
    main(prog_name="evse-agent")
