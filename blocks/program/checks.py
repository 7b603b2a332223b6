"""Checks of this block: not written yet."""


def test_a_run_finished(run):
    "a run finished"
