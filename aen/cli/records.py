"""`aen records`: how long records of what people did are kept."""

from __future__ import annotations

from aen.cli import Files, Json, app


@app.command()
def records(as_json: Json = False, config: Files = None) -> None:
    """Say how long the security log and all other records are kept, and of when the oldest ones are."""
    from aen.cli.calling import call
    from aen.cli.output import cell_of, show

    rows = call(config, lambda api: api.get("admin", "records")["items"])
    if as_json:
        show(rows, (), as_json=True, nothing="")
        return
    for row in rows:
        kept = f"kept for {row['days']} days" if row["days"] else "kept for ever"
        oldest = f"the oldest record is of {cell_of(row, 'oldest')}" if row["oldest"] else "there is no record yet"
        print(f"{row['log']}: {kept}; {oldest}.")
    print("Change it while AEN runs: Administration, Settings.")
