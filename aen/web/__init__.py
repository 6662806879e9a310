"""Web: what every page of AEN stands on: `site.py` makes the aiohttp application, `csrf.py` and `logins.py` guard it."""
