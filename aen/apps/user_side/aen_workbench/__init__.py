"""The Workbench as it runs for one person in one project: files over HTTP, on a unix socket, with that person's own rights.

The kernel decides who may what: nothing here has more rights than the person. This package is copied into the `apps`
root environment: it must not import anything of AEN.
"""
