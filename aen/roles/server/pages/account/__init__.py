"""Pages of one's own account, and coming in."""
