"""Pages and API: each module has a list `URLS`; `urls.py` makes one table of them."""
