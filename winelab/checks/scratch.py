"""Call a student's function where it can do no harm, and word what went wrong.

Whatever it does, the student's store, kernel and folder are as before: it works on an empty
store, in a temporary folder, and what it changes in this process is put back.
"""

from __future__ import annotations

import importlib
import io
import linecache
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from winelab.checks.comparing import kind
from winelab.checks.looking import REGISTERED
from winelab.core.console import shortened
from winelab.core.paths import course_environment, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from winelab.checks.fixtures import Namespace

_SCRATCH: list[Path] = []
"""The folders of the scratch stores that are open now, the innermost last."""


def student_function(namespace: Namespace, name: str, cell: str = "") -> Callable[..., Any]:
    """Return the student's function `name`.

    Args:
        namespace: the student's variables.
        name: of the function.
        cell: the title of the cell that it belongs in, where that has one.

    Raises AssertionError where there is none, or something else has its name.
    """
    found, where = namespace.get(name), f' in the cell "{cell}"' if cell else " in its cell"
    assert found is not None, (
        f"there is no function `{name}` yet: write it with def{where}, and run that cell."
    )
    assert callable(found), (
        f"`{name}` is {kind(found)}, not a function: write it with def{where}, and give nothing "
        "else this name."
    )
    function: Callable[..., Any] = found
    return function


def package_module(namespace: Namespace, name: str) -> ModuleType:
    """Return a module of the student's package, imported anew as its file is now.

    Args:
        namespace: the student's variables; `package` is the folder.
        name: of the module, such as "wineops.wines".

    Raises AssertionError, in one sentence, where it cannot be imported.
    """
    source = Path(namespace["package"]) / "src"
    file = source.joinpath(*name.split(".")).with_suffix(".py")
    assert file.is_file(), f"there is no file {file.name} yet: run the cell that writes it."
    top = name.partition(".")[0]
    known = {one: sys.modules.pop(one) for one in [*sys.modules] if one.partition(".")[0] == top}
    try:
        with _untouched():
            sys.path.insert(0, str(source))
            # What was saved a moment ago may be as old, in seconds, as what was compiled of it.
            with patch.object(sys, "dont_write_bytecode", True):
                return _imported(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise AssertionError(f"{file.name} cannot be imported: {_last_words(error)}.") from None
    finally:
        for one in [one for one in sys.modules if one.partition(".")[0] == top]:
            del sys.modules[one]
        sys.modules.update(known)


def _imported(name: str) -> ModuleType:
    importlib.invalidate_caches()
    return importlib.import_module(name)


@contextmanager
def scratch_store() -> Iterator[MlflowClient]:
    """Yield a client of an empty store of its own, to prepare what a student's function is asked.

    Within the block `call` uses this store too, and it is the one of MLflow's other calls.
    """
    with _scratch():
        import mlflow

        uri = store_uri(_SCRATCH[-1])
        yield mlflow.MlflowClient(uri, registry_uri=uri)


@contextmanager
def scratch_registry(*versions: Mapping[str, str]) -> Iterator[MlflowClient]:
    """Yield a client as `scratch_store` does, of a store with the course's registered model.

    Args:
        versions: the tags of each of its versions, from version 1 on.
    """
    with scratch_store() as client:
        client.create_registered_model(REGISTERED)
        for tags in versions:
            client.create_model_version(REGISTERED, "file:///scratch", tags=dict(tags))
        yield client


def call(
    function: Callable[..., Any],
    *arguments: Any,
    on_error: str = "",
    expect: type | tuple[type, ...] | None = None,
    left_open: list[Any] | None = None,
    may_raise: type[BaseException] | tuple[type[BaseException], ...] = (),
    **named: Any,
) -> Any:
    """Return what a student's function answers, or an error that it may end in.

    Args:
        function: the student's, see `student_function`.
        arguments: as the lesson gives them: a Series where it has one, and not a list.
        on_error: what to look at where it stops with an error; a sentence.
        expect: the types that the answer may have; any, where it is not said.
        left_open: a list to which the figures are added that the function leaves open in pyplot.
        may_raise: errors that are an answer too: such an error is returned.
        named: further arguments, by name.

    Raises AssertionError, in one sentence, where the function stops with another error, or
    answers something of another type.
    """
    name = getattr(function, "__name__", "the function")
    try:
        with ExitStack() as stack:
            if not _SCRATCH:
                stack.enter_context(_scratch())
            figures = stack.enter_context(_untouched())
            answer = function(*arguments, **named)
            if left_open is not None:
                left_open += figures()
    except KeyboardInterrupt:
        raise
    except may_raise as error:
        return error
    # SystemExit too: the function may call exit().
    except BaseException as error:
        where = _failed_line(function, error)
        said = f"{name} stops{where}: {_last_words(error)}. {on_error}".strip()
        raise AssertionError(said) from None
    if expect is not None and not isinstance(answer, expect):
        wanted = expect[0] if isinstance(expect, tuple) else expect
        forgot = ", since it ends without `return`" if answer is None else ""
        raise AssertionError(
            f"{name} gives back {kind(answer)}{forgot}, and should give {_kind_of(wanted)}. "
            f"{on_error}".strip()
        )
    return answer


def _kind_of(wanted: type) -> str:
    """What a value of this type is called."""
    try:
        return kind(wanted())
    except TypeError:
        return f"a {wanted.__name__}"


def _failed_line(function: Callable[..., Any], error: BaseException) -> str:
    """In words, the line of the student's code that was running when the error came."""
    code = getattr(function, "__code__", None)
    trace, line = error.__traceback__, ""
    while code and trace:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line = linecache.getline(code.co_filename, trace.tb_lineno).strip() or line
        trace = trace.tb_next
    return f" in its line `{shortened(line, 80)}`" if line else ""


def _last_words(error: BaseException) -> str:
    """What an error says, without Python's name for it."""
    text = "" if isinstance(error, SystemExit) and error.code is None else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = shortened(lines[-1].rstrip(".")) if lines else ""
    if isinstance(error, SystemExit):
        return f'it ends the program, with "{said}"' if said else "it ends the program"
    if isinstance(error, KeyError) and said:
        return f"there is nothing under {said}"
    if isinstance(error, AssertionError) and not said:
        return "an assert in it does not hold"
    return said or "it raises an error that says no more"


@contextmanager
def _scratch() -> Iterator[None]:
    """Make an empty store the one of this process, and its folder the working folder."""
    import mlflow

    from winelab.tracking.workspace import clean_store

    with ExitStack() as stack:
        # Before the working folder is left: Windows removes no folder that a process is in.
        folder = stack.enter_context(clean_store()).parent
        stack.enter_context(_untouched())
        os.environ.update(course_environment(folder))
        # Where set_experiment notes the student's: no experiment here has that id.
        for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
            os.environ.pop(name, None)
        os.chdir(folder)
        mlflow.set_tracking_uri(store_uri(folder))
        mlflow.set_registry_uri(store_uri(folder))
        _SCRATCH.append(folder)
        stack.callback(_SCRATCH.pop)
        yield


@contextmanager
def _untouched() -> Iterator[Callable[[], list[Any]]]:
    """Put back what the block changes in this process, and swallow what it prints.

    Gives a function that returns the figures which are open in pyplot, of those drawn in the block.
    """
    from winelab.core.mlflow_private import own_state

    folder, variables, path = Path.cwd(), dict(os.environ), list(sys.path)
    drawn, numbers = random.getstate(), sys.modules.get("numpy")
    drawn_by_numpy = numbers.random.get_state() if numbers else None
    with ExitStack() as stack:
        stack.enter_context(own_state())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_silence())
        figures = stack.enter_context(_own_figures())
        try:
            yield figures
        finally:
            os.chdir(folder)
            sys.path[:] = path
            for name in os.environ.keys() - variables.keys():
                del os.environ[name]
            os.environ.update(variables)
            random.setstate(drawn)
            if numbers:
                numbers.random.set_state(drawn_by_numpy)


@contextmanager
def _own_figures() -> Iterator[Callable[[], list[Any]]]:
    """Let pyplot know no figure but those drawn in the block, show none, and forget them after.

    Gives a function that returns those which are open.
    """

    def open_now() -> list[Any]:
        pyplot = sys.modules.get("matplotlib.pyplot")
        return [pyplot.figure(number) for number in pyplot.get_fignums()] if pyplot else []

    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        # Not loaded yet, so that it knows no figure of the student's; it need not be, for this.
        try:
            yield open_now
        finally:
            for figure in open_now():
                sys.modules["matplotlib.pyplot"].close(figure)
        return
    # There is no public way to hide the student's figures from `plt.close("all")`.
    from matplotlib._pylab_helpers import Gcf

    before, Gcf.figs = Gcf.figs, type(Gcf.figs)()
    try:
        with pyplot.rc_context(), patch.object(pyplot, "show"):
            yield open_now
    finally:
        pyplot.close("all")
        Gcf.figs = before


@contextmanager
def _silence() -> Iterator[None]:
    """Show nothing: no printed text, and in Jupyter no figure or table either."""
    if "IPython" in sys.modules:
        from IPython.utils.capture import capture_output

        with capture_output():
            yield
    else:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
