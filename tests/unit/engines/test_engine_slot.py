"""The engine that is opened when it is first needed."""

import asyncio
from typing import Any

from cumulo.base.clock import VirtualClock
from cumulo.engines.engine import Capability, EngineError, Finding
from cumulo.engines.fake import FakeEngine
from cumulo.engines.none import NoEngine
from cumulo.engines.opening import Opened
from cumulo.engines.slot import EngineSlot


def why_not(engine: Any) -> tuple[str, str]:
    """Before the engine is open, and after."""

    async def main() -> tuple[str, str]:
        async def open_() -> Opened:
            if engine is None:
                raise EngineError("the daemon is away")
            return Opened(engine, ())

        slot = EngineSlot(open_)
        before = slot.why_no_functions()
        await asyncio.gather(slot.get(), return_exceptions=True)
        after = slot.why_no_functions()
        await slot.close()
        return before, after

    return asyncio.run(main())


def test_an_engine_that_is_not_open_has_no_faults() -> None:
    assert why_not(None) == ("", "")


def test_an_engine_that_runs_functions_has_none_either() -> None:
    assert why_not(FakeEngine(VirtualClock())) == ("", "")


def test_what_an_engine_lacks_for_functions_is_said_once_it_is_open() -> None:
    engine = FakeEngine(VirtualClock())
    engine.capabilities -= {Capability.LISTEN_INSIDE}
    before, after = why_not(engine)
    assert before == ""
    assert "the fake engine cannot run functions" in after
    assert "listen-inside" in after


def test_no_engine_says_what_would_help() -> None:
    before, after = why_not(NoEngine([Finding("conmon", ok=False, detail="-", fix="apt-get install conmon")]))
    assert before == ""
    assert "apt-get install conmon" in after
