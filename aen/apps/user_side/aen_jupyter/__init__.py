"""What runs inside an app server, as the user: who is asking, what they may, which kernels there are.

This package is copied into the `apps` root environment: it must not import anything of AEN.
"""
