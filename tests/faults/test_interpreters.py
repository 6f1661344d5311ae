"""Interpreters: free-threaded Python stays so; a sub-interpreter is refused clearly, and harms nobody."""

from __future__ import annotations

import os
import sys
import sysconfig

import pytest

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

ISOLATED = """
import sys
try:
    import _interpreters as interpreters
    make = lambda: interpreters.create("isolated")
except ImportError:
    import _xxsubinterpreters as interpreters
    make = interpreters.create
"""

LEGACY = """
import sys
try:
    import _interpreters as interpreters
    make = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    make = lambda: interpreters.create(isolated=False) if sys.version_info >= (3, 10) else interpreters.create()
"""

PROGRAM = """
import posix_ipc_swig as ipc

TRY = '''
import sys
try:
    import posix_ipc_swig
except ImportError as error:
    text = str(error)
    assert "interpreter" in text, text
    assert "not here" not in text, text
else:
    raise AssertionError("imported")
'''

with ipc.MessageQueue(None, ipc.O_CREX, max_messages=2, max_message_size=8) as queue:
    queue.unlink()
    for _ in range(3):
        inner = make()
        failure = interpreters.run_string(inner, TRY)
        assert failure is None, failure
        interpreters.destroy(inner)
        # What the others have made since is as good as before.
        queue.send("hello")
        assert queue.receive(0) == (b"hello", 0)
        try:
            queue.receive(0)
        except ipc.BusyError:
            pass
        else:
            raise AssertionError
        attr = ipc.raw.mq_getattr(queue.mqd) if hasattr(ipc, "raw") else None
        from posix_ipc_swig import raw
        assert raw.mq_getattr(queue.mqd).mq_maxmsg == 2
        assert repr(raw.timespec(1, 2)) == "timespec(tv_sec=1, tv_nsec=2)"
print("survived")
"""


@pytest.mark.skipif("COVERAGE_PROCESS_START" in os.environ, reason="coverage fails as it starts in a sub-interpreter")
@pytest.mark.parametrize("before", ["", "import posix_ipc_swig.raw\n"], ids=["first import", "imported before"])
@pytest.mark.parametrize("kind", [ISOLATED, LEGACY], ids=["own lock", "shared lock"])
def test_a_sub_interpreter_is_refused_and_harms_nobody(run_python, kind, before):
    if kind is ISOLATED and sys.version_info < (3, 12):
        pytest.skip("sub-interpreters have locks of their own from CPython 3.12 on")
    assert run_python(before + kind + PROGRAM) == "survived\n"


@pytest.mark.skipif("COVERAGE_PROCESS_START" in os.environ, reason="coverage fails as it starts in a sub-interpreter")
def test_a_sub_interpreter_that_tries_first_is_refused_too(run_python):
    output = run_python(
        LEGACY
        + """
inner = make()
failure = interpreters.run_string(inner, '''
try:
    import posix_ipc_swig
except ImportError as error:
    assert "main interpreter" in str(error) or "subinterpreters" in str(error), str(error)
else:
    raise AssertionError
''')
assert failure is None, failure
interpreters.destroy(inner)
import posix_ipc_swig as ipc
with ipc.MessageQueue(None, ipc.O_CREX, max_messages=2, max_message_size=8) as queue:
    queue.unlink()
    queue.send("hello")
    print(queue.receive())
"""
    )
    assert output == "(b'hello', 0)\n"


@pytest.mark.skipif(not FREE_THREADED, reason="this Python has a global lock")
def test_the_import_leaves_the_global_lock_off(run_python):
    output = run_python(
        """
        import sys
        import posix_ipc_swig, posix_ipc_swig.raw, posix_ipc_swig.notify, posix_ipc_swig.listening
        print(sys._is_gil_enabled())
        """
    )
    assert output == "False\n"


def test_the_module_may_be_imported_again(run_python):
    """As a test runner does that clears sys.modules."""
    run_python(
        """
        import gc, sys

        for _ in range(5):
            import posix_ipc_swig as ipc
            from posix_ipc_swig import raw

            with ipc.MessageQueue(None, ipc.O_CREX, max_messages=2, max_message_size=8) as queue:
                queue.unlink()
                queue.send("hello")
                assert queue.receive(0) == (b"hello", 0)
                assert raw.mq_getattr(queue.mqd).mq_maxmsg == 2
                try:
                    queue.receive(0)
                except ipc.BusyError:
                    pass
            del queue, raw, ipc
            for name in [name for name in sys.modules if name.startswith("posix_ipc_swig")]:
                del sys.modules[name]
            gc.collect()
        """
    )
