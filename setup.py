"""Install the folder pipelines/ as the package `digit_recognizer.pipelines`; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("src"), "digit_recognizer.pipelines"],
    package_dir={"": "src", "digit_recognizer.pipelines": "pipelines"},
)
