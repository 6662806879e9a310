"""Pages of a project."""
