"""The API, as the pages are: each module has a list `URLS`."""
