"""Import what a user names as `module:attribute`. It runs that module's code, see `SECURITY.md`."""

from __future__ import annotations

import importlib
import inspect
from contextlib import suppress
from typing import Any

from renderer.errors import InputError
from renderer.io.read import reason


def import_callable(name: str, kind: str, arguments: int) -> Any:
    """Import a class or function that can be called with so many arguments.

    Args:
        name: `module:attribute`.
        kind: what it is for, such as "brush".
        arguments: how many.

    Raises:
        InputError: there is no such module or attribute, or it cannot be called so.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
        with suppress(ValueError):  # some classes in C say nothing of their arguments
            inspect.signature(found).bind(*range(arguments))
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"No {kind} {name!r}: {reason(error)}.") from error
    return found
