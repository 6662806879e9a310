"""environment.yml: taken apart, said in the words of each back end; what a stranger writes costs nothing and is told why not."""

from __future__ import annotations

import pytest

from aen.environments import specification
from aen.environments.specification import for_conda, for_venv, is_one, name_in, read
from aen.errors import Invalid

FILE = """# made by conda env export
name: genome-1   # ours
channels:
  - conda-forge
dependencies:
  - python=3.11
  - numpy=1.26
  - pandas=2.2.1=py311h320fe9a_0
  - conda-forge::scipy >=1.10,<2
  - matplotlib-base
  - pip
  - pip:
      - tomli-w==1.2.0
      - ours @ https://example.org/ours.whl
prefix: /home/somebody/envs/genome
variables: {TOKEN: secret}
"""


def refused(text: str) -> str:
    with pytest.raises(Invalid) as caught:
        read(text)
    return caught.value.message


def test_in_the_words_of_both_back_ends() -> None:
    assert is_one(FILE)
    assert name_in(FILE) == "genome-1"
    found = read(FILE)
    assert found.channels == ("conda-forge",)
    assert for_venv(found, "3.11.2") == [
        "numpy==1.26.*",
        "pandas==2.2.1",
        "scipy>=1.10,<2",
        "matplotlib",
        "pip",
        "tomli-w==1.2.0",
        "ours @ https://example.org/ours.whl",
    ]
    assert for_conda(found)[2:4] == ["pandas=2.2.1=py311h320fe9a_0", "scipy >=1.10,<2"]
    assert for_conda(found)[-2:] == ["pypi: tomli-w==1.2.0", "pypi: ours @ https://example.org/ours.whl"]


@pytest.mark.parametrize("text", ["numpy==1.0\n", "# dependencies: none\nsix\n", "-r dependencies:\n", ""])
def test_other_files_are_not_taken_for_one(text: str) -> None:
    assert not is_one(text)
    assert name_in(text) == ""


def test_what_only_conda_has_is_named_with_the_reason() -> None:
    found = read("dependencies: [openssl, _libgcc_mutex=0.1, python=3.9, 'numpy=1|2', six]")
    with pytest.raises(Invalid) as caught:
        for_venv(found, "3.11.2")
    said = caught.value.message
    for part in ("openssl (it is a conda package", "python=3.9 (environments here are made with Python 3.11.2)"):
        assert part in said
    assert "numpy=1|2 (this way" in said
    assert "_libgcc_mutex" in said
    assert "six (" not in said


@pytest.mark.parametrize(
    ("wish", "fine"),
    [
        ("", True),
        ("=3", True),
        ("=3.11", True),
        ("==3.11.2", True),
        (">=3.10,<3.12", True),
        (" 3.11.*", True),
        (" *", True),
        ("=3.1", False),
        ("<3.11", False),
        (">3.11.2", False),
        ("!=3.11", False),
        ("=3.12", False),
        ("~=3.12", False),
    ],
)
def test_python_is_the_nodes(wish: str, fine: bool) -> None:
    found = read(f"dependencies: ['python{wish}', six]")
    if fine:
        assert for_venv(found, "3.11.2") == ["six"]
        return
    with pytest.raises(Invalid, match=r"Python 3\.11\.2"):
        for_venv(found, "3.11.2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dependencies: &a [six, *a]", "references"),
        ("a: &a [x,x]\nb: &b [*a,*a]\ndependencies: [*b]", "references"),
        ("dependencies: " + "[" * 5000, "nested too deeply"),
        ("dependencies: !!python/object/apply:os.system [id]", "can't be read"),
        ("dependencies: six", "needs a list"),
        ("dependencies: []", "names no package"),
        ("dependencies: [[six]]", "not what belongs there"),
        ("dependencies: [{conda: [six]}]", "not what belongs there"),
        ("dependencies: ['-r /etc/passwd']", "not a package"),
        ('dependencies: ["six\\nnumpy"]', "not what belongs there"),
        ("dependencies: [" + "x, " * 1001 + "]", "more than 1000"),
        ("dependencies: [six]\n#" + "x" * specification.LARGEST, "too large"),
        ("dependencies:\n\t- six", "can't be read (line 2)"),
        ("dependencies: ['" + "x" * 400 + "']", "not what belongs there"),
        ("channels: conda-forge\ndependencies: [six]", "channels"),
        ("dependencies: [six]\n--- \ndependencies: [six]", "can't be read"),
    ],
)
def test_hostile_files(text: str, said: str) -> None:
    assert said in refused(text)
