"""Surroundings: the environment variables that every app starts with. Nothing else is inherited."""

from __future__ import annotations

import os

from aen.apps import Launch

# What a site sets for the whole machine, and apps need to reach the network as it wants.
_SITE = ("TZ", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")


def surroundings(launch: Launch) -> dict[str, str]:
    """Variables by which an app finds its person, its project and the project's environment."""
    project = str(launch.project_dir)
    apps = launch.apps_python.parent.parent  # front: our git; tools: uv, for those who type it
    binaries = str(launch.environment / "bin")
    owner_and_name = "/".join(launch.project_dir.parts[-2:])
    return {
        **_of_the_site(),
        "HOME": launch.home,
        "USER": launch.account,
        "LOGNAME": launch.account,
        "SHELL": launch.shell,
        "LANG": "C.UTF-8",
        "PATH": f"{binaries}:{apps / 'front'}:/usr/local/bin:/usr/bin:/bin:{apps / 'tools'}",
        **_environment(launch),
        "AEN_USER": launch.user,
        "AEN_PROJECT": owner_and_name,
        "AEN_PROJECT_DIR": project,
        "AEN_PROJECT_BIN": binaries,
        # A hard link into a cache would share the ACL of the project.
        "UV_LINK_MODE": "copy",
        "CONDA_ALWAYS_COPY": "true",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Files of a project belong to several people; git would refuse it as "dubious ownership".
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": project,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": f"{project}/*",
        **_identity(launch),
    }


def _environment(launch: Launch) -> dict[str, str]:
    """What installers take the active environment from."""
    place = launch.environment
    if os.path.isdir(place / "conda-meta"):
        return {"CONDA_PREFIX": str(place), "CONDA_DEFAULT_ENV": place.name}
    return {"VIRTUAL_ENV": str(place)}


def _identity(launch: Launch) -> dict[str, str]:
    """As whom our git commits where the person has told git nothing (`aen_jupyter/git.sh`)."""
    told = {f"AEN_GIT_{key.upper()}": launch.told.get(key, "") for key in ("name", "email")}
    return {key: value for key, value in told.items() if value}


def _of_the_site() -> dict[str, str]:
    """Proxies and certificates, but no address that carries a password."""
    found = {key: os.environ[key] for key in (*_SITE, *_CERTIFICATES) if key in os.environ}
    return {key: value for key, value in found.items() if "@" not in value}
