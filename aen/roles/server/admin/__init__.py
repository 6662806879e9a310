"""Admin: what administrators look at and change: activity, reports, settings, faults, mail."""
