"""The Viewer's own program, run as the user: a project's files to look at, nothing executed, nothing changed.

This package is copied into the `apps` root environment: it must not import anything of AEN but what lies beside it there.
"""
