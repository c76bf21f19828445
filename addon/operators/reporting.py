"""Turning exceptions of the project into Blender's reports."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import bpy

from gshead_backend.errors import Cancelled, GsheadError

from .. import runtime, telling
from ..problem import Problem


def reports_errors(method: Callable[..., set[str]]) -> Callable[..., set[str]]:
    """An operator's ``execute`` or ``modal`` whose ``GsheadError`` becomes an error report.

    For a calling script Blender turns the report into an exception; for a user at the window a dialog opens. Blender
    counts the arguments of the function it registers, so the wrapper has as many as the method.
    """
    if method.__code__.co_argcount == 3:

        @functools.wraps(method)
        def with_event(self: Any, context: Any, event: Any) -> set[str]:
            with _reporting(self):
                return _done(method(self, context, event))
            return {"CANCELLED"}

        return with_event

    @functools.wraps(method)
    def without_event(self: Any, context: Any) -> set[str]:
        with _reporting(self):
            return _done(method(self, context))
        return {"CANCELLED"}

    return without_event


@contextlib.contextmanager
def _reporting(operator: Any) -> Iterator[None]:
    try:
        yield
    except Cancelled as error:
        operator.report({"INFO"}, error.message)
    except GsheadError as error:
        runtime.problem = Problem.of(error, operator.bl_label)
        if operator.options.is_invoke and not bpy.app.background:
            operator.report({"WARNING"}, error.message)  # in the status bar; the dialog tells the rest
            telling.on_main_thread(telling.show)  # once the operator that failed has ended
        else:
            operator.report({"ERROR"}, str(error))


def _done(result: set[str]) -> set[str]:
    """An operator that went well takes the last problem off the sidebar."""
    if "FINISHED" in result:
        runtime.problem = None
    return result
