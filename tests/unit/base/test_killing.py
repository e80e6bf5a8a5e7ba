"""Ending processes by number, and nobody else."""

import os
import signal
import subprocess
import sys

from cumulo.base.killing import kill_those


def sleepers(count):
    return [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) for _ in range(count)]


def test_those_that_belong_are_ended_and_others_live():
    mine, other = sleepers(2)
    try:
        kill_those([mine.pid, other.pid, 4_000_000], lambda: {mine.pid})
        assert mine.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for child in (mine, other):
            child.kill()
            child.wait()


def test_a_number_that_is_somebody_elses_by_now_is_let_be(monkeypatch):
    """The process that was listed is gone, and its number has been given away, before the signal is sent."""
    gone, innocent = sleepers(2)
    try:
        held = os.pidfd_open(gone.pid)
        gone.kill()
        gone.wait()
        monkeypatch.setattr(os, "pidfd_open", lambda _pid: held)
        kill_those([innocent.pid], lambda: {innocent.pid})
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_more_than_fit_at_once_are_ended():
    children = sleepers(5)
    asked = []

    def still():
        asked.append(1)
        return {child.pid for child in children}

    import cumulo.base.killing as module

    before, module.AT_ONCE_MAX = module.AT_ONCE_MAX, 2
    try:
        kill_those([child.pid for child in children], still)
    finally:
        module.AT_ONCE_MAX = before
    assert [child.wait(10) for child in children] == [-signal.SIGKILL] * 5
    assert len(asked) == 3
