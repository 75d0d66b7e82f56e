"""Writes the table of docs/settings.md from the settings table (`make docs`)."""

from pathlib import Path

from agent.charging.settings import SETTINGS, Setting

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
HEAD = "|---|---|---|---|---|---|---|---|---|\n"


def row_of(setting: Setting) -> str:
    bounds = "" if setting.least is None else f"{setting.least} to {setting.most}"
    limited = f"{setting.limit_of} (its highest value)" if setting.limit_of else ""
    mutability = str(setting.mutability)
    if setting.mutability2 is not None:
        mutability += f", in 2.x {setting.mutability2}"
    cells = (
        f"`{setting.name}`",
        setting.key16 or "",
        setting.path2 or limited,
        setting.kind,
        setting.unit,
        setting.default.replace(",", ", "),
        bounds,
        mutability,
        setting.doc,
    )
    return f"| {' | '.join(cells)} |"


def rendered(page: str) -> str:
    """The page with the present table; everything before and after it stays."""
    before, head, rest = page.partition(HEAD)
    after = rest.split("\n\n", 1)
    tail = f"\n\n{after[1]}" if len(after) > 1 else "\n"
    return before + head + "\n".join(map(row_of, SETTINGS.values())) + tail


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
