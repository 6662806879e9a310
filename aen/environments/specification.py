"""environment.yml, as conda writes and reads it: taken apart, and said in the words of the back end that a node has.

The text is a stranger's: no references, no depth, no other types than it needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from aen.errors import Invalid
from aen.languages import size

LARGEST = 64 * 1024  # bytes; reading YAML takes its time
_MOST = 1000  # dependencies
_LONGEST = 300  # characters of one
_DEEPEST = 8
_FIRST_KEY = re.compile(r"^[\"']?dependencies[\"']?\s*:", re.MULTILINE)
_NAMED = re.compile(r"^name\s*:\s*([\w.-]+)\s*(?:#.*)?$", re.MULTILINE)
_DEPENDENCY = re.compile(r"(?:[^\s:]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<wish>.*)")
_CLAUSE = re.compile(r"(?P<sign>==|>=|<=|!=|~=|=|>|<)?\s*(?P<version>[0-9][\w.+!*-]*?)(?:=[\w*.]+)?")

#: Projects that have the same name as a conda package and on the Python package index. Another name could be anybody's.
_SAME = frozenset(
    """aiohttp altair anyio arrow attrs babel beautifulsoup4 biopython black bokeh boto3 bottleneck certifi cffi click
    cloudpickle cryptography cython dash dask distributed django duckdb fastapi fastparquet flask fsspec gensim geopandas
    h5py httpx hypothesis imageio ipykernel ipympl ipython ipywidgets jax jinja2 joblib jsonschema jupyter jupyterlab
    keras lightgbm llvmlite lxml matplotlib mypy nbconvert nbformat networkx nltk notebook numba numexpr numpy openpyxl
    orjson packaging pandas panel patsy pillow pip plotly polars psutil psycopg2 pyarrow pydantic pymongo pyproj pytest
    python-dateutil pytz pyyaml requests rich ruff scikit-image scikit-learn scipy seaborn selenium setuptools shapely
    six spacy sqlalchemy statsmodels streamlit sympy tensorflow tomli tornado tqdm transformers typing-extensions
    urllib3 uvicorn voila websockets wheel xarray xgboost xlrd xlsxwriter zarr""".split()
)
_OTHERWISE = {"matplotlib-base": "matplotlib", "pytorch": "torch", "py-opencv": "opencv-python", "dask-core": "dask"}


@dataclass(frozen=True)
class Specification:
    """What a file asks for, as it stands there."""

    channels: tuple[str, ...]
    conda: tuple[str, ...]
    pip: tuple[str, ...]


def is_one(text: str) -> bool:
    """Whether it is an environment.yml; no requirements file, list or lock has such a line."""
    return _FIRST_KEY.search(text) is not None


def name_in(text: str) -> str:
    """The name that an environment.yml gives itself, or nothing."""
    found = _NAMED.search(text) if is_one(text) else None
    return found[1] if found else ""


def read(text: str) -> Specification:
    """Take it apart. Raises Invalid, saying what in it can't be used."""
    if len(text.encode()) > LARGEST:
        raise Invalid(f"The environment.yml is too large: {size(LARGEST)} are the most.")
    try:
        data = yaml.load(text, Loader=_Plain)  # noqa: S506  a SafeLoader, and stricter
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise Invalid(f"The environment.yml can't be read{line}: {_said(error)}.") from None
    if not isinstance(data, dict) or not isinstance(data.get("dependencies"), list):
        raise Invalid("The environment.yml needs a list called dependencies.")
    conda, pip = _dependencies(data["dependencies"])
    if not conda and not pip:
        raise Invalid("The environment.yml names no package.")
    return Specification(tuple(_texts(data.get("channels") or [], "channels")), tuple(conda), tuple(pip))


def for_venv(wanted: Specification, python: str) -> list[str]:
    """As lines of a requirements file. Raises Invalid naming each package that the index can't be asked for, and why."""
    lines, problems = [], []
    for dependency in wanted.conda:
        try:
            lines += _requirement(dependency, python)
        except ValueError as error:
            problems.append(f"{dependency} ({error})")
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise Invalid(
            f"This node makes environments by uv from the Python package index, where it can't have: {shown}. "
            "Take these out of the file, or write below '- pip:' what the index calls them."
        )
    return [*lines, *wanted.pip]


def for_conda(wanted: Specification) -> list[str]:
    """As lines of AEN's own locks: conda packages, then what pip brought. Which channels are used is the site's choice."""
    return [*(one.rpartition("::")[2] for one in wanted.conda), *(f"pypi: {line}" for line in wanted.pip)]


# ── how ─────────────────────────────────────────────────────────────────────────────────────────────


class _Plain(yaml.SafeLoader):
    """Without references (a few lines of them make a million words) and without depth."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """See yaml.composer.Composer."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("references (*name) are not taken here")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Versions stay as they are written: 3.10 is not 3.1."""
        return node.value if isinstance(node, yaml.ScalarNode) else super().construct_object(node, deep)


def _dependencies(found: list[Any]) -> tuple[list[str], list[str]]:
    conda: list[str] = []
    pip: list[str] = []
    for one in found:
        if isinstance(one, dict) and set(one) == {"pip"} and isinstance(one["pip"], list):
            pip += _texts(one["pip"], "pip")
        else:
            conda += _texts([one], "dependencies")
    if len(conda) + len(pip) > _MOST:
        raise Invalid(f"The environment.yml names more than {_MOST} packages.")
    if bad := [one for one in conda if not _DEPENDENCY.fullmatch(one)]:
        raise Invalid(f"{bad[0][:80]!r} in the environment.yml is not a package.")
    return conda, pip


def _texts(found: Any, where: str) -> list[str]:
    if not isinstance(found, list):
        raise Invalid(f"{where} in the environment.yml must be a list.")
    for one in found:
        if not isinstance(one, str) or not one.strip() or len(one) > _LONGEST or not one.isprintable():
            raise Invalid(f"{str(one)[:80]!r} in {where} of the environment.yml is not what belongs there.")
    return [one.strip() for one in found]


def _requirement(dependency: str, python: str) -> list[str]:
    """The lines for one conda dependency. Raises ValueError with the reason why there is none."""
    matched = _DEPENDENCY.fullmatch(dependency)
    assert matched is not None  # `read` has looked
    name = matched["name"].lower().replace("_", "-") if not matched["name"].startswith("_") else matched["name"]
    wishes = [_clause(part.strip()) for part in matched["wish"].split(",") if part.strip()]
    if name == "python":
        if not all(_holds(python, sign, version) for sign, version in wishes):
            raise ValueError(f"environments here are made with Python {python}")
        return []
    if name not in _SAME and name not in _OTHERWISE:
        raise ValueError("it is a conda package, not known to be the same on the index")
    return [_OTHERWISE.get(name, name) + ",".join(f"{sign}{version}" for sign, version in wishes)]


def _clause(text: str) -> tuple[str, str]:
    """`=1.2` and `1.2.*` as `==1.2.*`; the build of an exact version is conda's alone."""
    if text == "*":
        return ">=", "0"
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise ValueError("this way to name a version is conda's alone")
    sign, version, exact = found["sign"] or "==", found["version"], text.lstrip("=").count("=") > 0
    if sign == "=":
        sign, version = "==", version if exact or version.endswith("*") else f"{version}.*"
    return sign, version if not version.endswith("*") else version.rstrip(".*") + ".*"


def _holds(python: str, sign: str, version: str) -> bool:
    """Whether this Python is one of those that are asked for."""
    have, want = _numbers(python), _numbers(version)
    if sign in ("==", "!=", "~="):
        same = have[: len(want)] == want
        return (
            not same if sign == "!=" else same or (sign == "~=" and have[: len(want) - 1] == want[:-1] and have >= want)
        )
    return {">=": have >= want, "<=": have[: len(want)] <= want, ">": have > want, "<": have < want}[sign]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("*")[0]))


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(getattr(error, "problem", None) or error).split())[:200]
