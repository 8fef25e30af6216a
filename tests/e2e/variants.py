"""What a test says of itself to whoever runs it (run.py)."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])


def variants(*names: str) -> Callable[[F], F]:
    """The test is run once for each name, which is its argument."""

    def mark(test: F) -> F:
        setattr(test, "variants", names)
        return test

    return mark


def every_path(test: F) -> F:
    """The test carries ESP and does not name a fast path: it is run with each of them, and without."""
    setattr(test, "every_path", True)
    return test


def long(test: F) -> F:
    """The test takes some ten seconds: where several run side by side it is started before the others."""
    setattr(test, "long", True)
    return test


def own_path(test: F) -> F:
    """The test says itself which fast path it wants."""
    setattr(test, "own_path", True)
    return test


def both_xdp(test: F) -> F:
    """The test is about the fast path: it is run with XDP on sk_buffs and in the driver."""
    return own_path(variants("generic", "native")(test))
