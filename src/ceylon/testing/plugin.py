"""``pytest -p ceylon.testing.plugin``: Ceylon's plugin for pytest where it is not installed, only importable.

Where Ceylon is installed pytest finds the plugin by itself; naming it twice does no harm.
"""

from typing import Final

__all__ = ["pytest_plugins"]

pytest_plugins: Final = ("ceylon_pytest",)
