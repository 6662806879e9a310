"""The server: accounts, projects, sessions, pages and API; it owns the store."""
