# ruff: noqa: PTH108
# (pathlib would cost the warden and every cell a megabyte)
"""The warden: one small process with one thread that forks cells for the server, and cleans up after both.

    server <--SOCK_SEQPACKET--> warden --fork--> cell, cell, cell

It holds what must outlive a server that was killed: when the server's end of the socket closes, the warden
kills every cell, gives everything back and ends.  When the warden itself is killed, the cells die with it
(PDEATHSIG), their namespaces and mounts with them; `reap` finds the rest at the next start.
"""

import gc
import os
import socket
import time
from typing import TYPE_CHECKING

from cumulo.sandbox import cell as cells
from cumulo.sandbox import cgroups, early, kernel, main_process, messages, rootfs
from cumulo.sandbox.jobs import Jobs
from cumulo.sandbox.loop import Loop
from cumulo.sandbox.network import Network
from cumulo.sandbox.records import Cell, Start
from cumulo.sandbox.stock import Stock

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PREPARING_MAX = 8
WAITING_MAX = 4096
REFILL_QUIET_SECONDS = 0.01
REFILL_AGAIN_SECONDS = 1.0
REMOVE_AGAIN_SECONDS = 0.02
REMOVE_ATTEMPTS_MAX = 100
END_SECONDS_MAX = 5.0


class Warden:
    """Answers the server."""

    def __init__(self, server: socket.socket, config: "dict[str, Any]", seccomp: bytes) -> None:
        self._server = server
        self._config = config
        self._seccomp = seccomp
        self._loop = Loop()
        self._serial = 0
        self._living: dict[str, Cell] = {}
        self._prepared: list[Cell] = []
        self._preparing = 0
        self._waiting: list[Start] = []
        self._by_id: dict[int, Cell] = {}
        self._refilling = False
        self._ending = False
        self._earlies = early.Earlies(config["early_spares"])
        self._heard: dict[str, Callable[[dict[str, Any]], None]] = {
            "start": self._ask,
            "settle": lambda message: self._settle(message["id"]),
            "hurry": self._hurry,
            "expect": self._expect,
            "drop": self._drop,
            "reach": self._reach,
        }
        self._last_start = 0.0
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.problems: dict[str, str] = {}
        self._groups = self._open_groups()
        self._roots = rootfs.Roots(config["scratch"])
        self._jobs = Jobs(self._roots, self._groups)
        self._network = self._open_network()
        self._stock = Stock(
            self._loop,
            images=config["images"],
            mounts=f"{config['scratch']}/tmp",
            mkfs=config["mkfs"],
            uid_base=config["uid_base"],
            uid_count=config["uid_count"],
            changed=self._match,
        )

    def run(self) -> None:
        """Serve until the server goes, then give everything back."""
        version = self._groups.version if self._groups is not None else 0
        self._say({"t": "ready", "problems": self.problems, "groups": version})
        self._loop.watch(self._server.fileno(), self._from_server)
        self._refill_soon(0.0)
        gc.collect()
        gc.freeze()  # what is there now stays; collecting it would only unshare pages
        try:
            self._loop.run()
        finally:
            self._end()

    # What the server says

    def _from_server(self) -> None:
        try:
            raw, _ = messages.receive(self._server)
        except ConnectionError:
            raw = b""
        if not raw:
            self._loop.stop()
            return
        message = messages.decode(raw)
        self._heard[message["t"]](message)

    def _hurry(self, message: "dict[str, Any]") -> None:
        if message["id"] in self._by_id:
            cgroups.hurry(self._groups, self._by_id[message["id"]].name)

    def _expect(self, message: "dict[str, Any]") -> None:
        for cell in self._earlies.expect(message["wanted"]):
            os.kill(cell.pid, 9)
        self._refill_soon(REFILL_QUIET_SECONDS)

    def _drop(self, message: "dict[str, Any]") -> None:
        volume = self._stock.drop(message["name"])
        if volume is not None:
            self._roots.forget_users(volume.uid)
        self._refill_soon(REFILL_QUIET_SECONDS)

    def _reach(self, message: "dict[str, Any]") -> None:
        try:
            self._roots.reach(message["names"], message["bundle"], message["ca"])
        except OSError as error:  # a full disk, a file that is gone: sandboxes start nevertheless
            self.problems["names"] = str(error)

    def _ask(self, message: "dict[str, Any]") -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(message["id"], "too many starts are waiting")
            return
        self._last_start = time.monotonic()
        if self._assign_early(message):
            return
        try:
            volume = self._stock.take(message["tmp_name"], message["tmp_mib"])
        except OSError as error:
            self._refuse(message["id"], str(error))
            return
        self._waiting.append(Start(message, volume))
        self._match()

    def _assign_early(self, message: "dict[str, Any]") -> bool:
        """Give the start to a cell in which its runtime already waits; False when there is none."""
        if message["tmp_mib"] != self._config["spare_tmp_mib"] or self._stock.has(message["tmp_name"]):
            return False  # the user id of a runtime that waits belongs to its volume
        cell = self._earlies.take(message["early"])
        if cell is None:
            return False
        assert cell.volume is not None, "a cell in which a runtime waits has its /tmp"
        self._stock.name(cell.volume, message["tmp_name"])
        self._assign(cell, Start(message, cell.volume))
        self._refill_soon(early.QUIET_SECONDS)
        return True

    def _settle(self, sandbox: int) -> None:
        cell = self._by_id.get(sandbox)
        if cell is not None and cell.start is not None and self._groups is not None:
            self._groups.cpu(cell.name, cell.start.message["vcpus"])

    # Cells for starts

    def _match(self) -> None:
        """Give prepared cells to the starts whose volumes are ready; prepare more for the rest."""
        for start in self._waiting[:]:
            if start.volume.problem:
                self._waiting.remove(start)
                self._refuse(start.id, f"no /tmp: {start.volume.problem}")
            elif start.volume.ready and self._prepared:
                self._waiting.remove(start)
                self._assign(self._prepared.pop(), start)
        short = len(self._waiting) - len(self._prepared) - self._preparing
        for _ in range(min(short, PREPARING_MAX - self._preparing)):
            self._prepare_or_refuse()
        self._refill_soon(REFILL_QUIET_SECONDS)

    def _prepare_or_refuse(self) -> None:
        """Prepare a cell; when the machine has no room for it, a start that waits hears so."""
        if self._ending:
            return
        try:
            self._prepare()
        except OSError as error:
            if self._waiting:
                self._refuse(self._waiting.pop(0).id, str(error))

    def _prepare(self) -> None:
        self._serial += 1
        name = f"{os.getpid()}-{self._serial}"
        groups = self._groups
        if groups is not None:
            groups.make(name, 1024)
        plan = cells.CellPlan(
            name=name,
            root=self._roots.root,
            groups=groups,
            cloud_port=self._config["cloud_port"],
            seccomp=self._seccomp,
            privileged=self._config["privileged"],
            link=self._network.link(self._serial) if self._network else None,
        )
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kernel.unshare(kernel.CLONE_NEWPID)  # only for children: the next fork is its pid 1
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                kernel.setns(self._own_pids, kernel.CLONE_NEWPID)
        if pid == 0:
            gc.disable()
            cells.run(plan, there, main_process.become_command)
        there.close()
        cell = Cell(name, pid, os.pidfd_open(pid), here)
        self._living[name] = cell
        self._preparing += 1
        self._loop.watch(here.fileno(), lambda: self._from_cell(cell))
        self._loop.watch(cell.pidfd, lambda: self._ended(cell))

    def _from_cell(self, cell: Cell) -> None:
        """Take what a cell says; called when its control socket is readable."""
        try:
            raw, fds = messages.receive(cell.control)
        except (ConnectionError, BlockingIOError, ValueError):
            raw, fds = b"", []
        kind = raw[:1]
        if kind == cells.READY and len(fds) == cells.SOCKETS and not cell.ready and cell.start is None:
            cell.ready = fds
            self._preparing -= 1
            self._prepared.append(cell)
            self._match()
            return
        messages.close_all(fds)
        if kind == cells.ASSIGNED and cell.start is not None and not cell.running:
            cell.running = True
            start = cell.start
            self._by_id[start.id] = cell
            self._say({"t": "started", "id": start.id, "early": bool(cell.early)}, cell.answer)
            messages.close_all(cell.answer)
            cell.answer = []
        elif kind == cells.WARM and cell.early:
            self._earlies.warmed(cell)
            self._refill_soon(REFILL_QUIET_SECONDS)
        elif kind in (cells.FAILED, cells.EXITED):
            cell.failure = cell.failure or raw.decode("latin-1")
        elif not raw:
            self._loop.forget(cell.control.fileno())
            cell.control.close()

    def _assign(self, cell: Cell, start: Start) -> None:
        """Set limits, send the job and its mounts; on failure, refuse the start and give the cell up."""
        cell.start = start
        self._send_job(cell, lambda passing: self._jobs.start(cell, start, passing))

    def _send_job(self, cell: Cell, make: "Callable[[list[int]], dict[str, Any]]") -> None:
        passing: list[int] = []
        try:
            messages.send(cell.control, messages.encode(make(passing)), passing)
        except (OSError, ValueError) as error:
            cell.failure = f"F{error}"
            os.kill(cell.pid, 9)
        finally:
            messages.close_all(passing)

    # The end of cells

    def _ended(self, cell: Cell) -> None:
        """Everything in a cell is dead: say how, and give back what it had."""
        self._loop.forget(cell.pidfd)
        os.close(cell.pidfd)
        os.waitpid(cell.pid, 0)
        if cell.control.fileno() >= 0:
            cell.control.setblocking(False)
        while cell.control.fileno() >= 0:
            self._from_cell(cell)
        del self._living[cell.name]
        if cell.start is None:
            self._spare_died(cell)
        elif cell.running:
            del self._by_id[cell.start.id]
            self._say(self._exit(cell, cell.start.id))
        elif cell.early:  # the runtime ended before it heard of its function; an ordinary cell will do
            self._waiting.insert(0, cell.start)
            self._match()
        else:
            self._refuse(cell.start.id, cell.failure[1:] or "the cell was killed")
        messages.close_all([*cell.ready, *cell.answer, *cell.pipes])
        self._remove_groups(cell.name, REMOVE_ATTEMPTS_MAX)

    def _exit(self, cell: Cell, sandbox: int) -> "dict[str, Any]":
        code, number, oom, failed = 0, 9, False, 0
        if cell.failure[:1] == "X":
            code, number, oom, failed = cells.parse_exit(cell.failure.encode("latin-1"))
        peak = 0
        if self._groups is not None:
            oom = oom or self._groups.out_of_memory(cell.name)
            peak = cgroups.peak_of(self._groups, cell.name)
        return {
            "t": "exit",
            "id": sandbox,
            "code": code,
            "signal": number,
            "oom": oom,
            "failed": failed,
            "peak": peak,
        }

    def _spare_died(self, cell: Cell) -> None:
        """A cell died before it had a job: the start that waited for it, if any, must hear why."""
        if cell.volume is not None:
            if self._ending:
                return  # it goes with the warden
            self._roots.forget_users(cell.volume.uid)
            self._stock.give_back(cell.volume)
            self._loop.later(self._earlies.died(cell, time.monotonic()), self._match)
            return
        if cell in self._prepared:
            self._prepared.remove(cell)
        else:
            self._preparing -= 1
            if self._waiting:
                why = cell.failure[1:] or "a cell died while it was prepared"
                self._refuse(self._waiting.pop(0).id, why)
        self._loop.later(REFILL_AGAIN_SECONDS, self._match)

    def _remove_groups(self, name: str, attempts: int) -> None:
        if self._groups is None or self._groups.remove(name) or attempts == 0:
            return
        self._loop.later(REMOVE_AGAIN_SECONDS, lambda: self._remove_groups(name, attempts - 1))

    # Keeping cells at hand

    def _refill_soon(self, seconds: float) -> None:
        if not self._refilling:
            self._refilling = True
            self._loop.later(seconds, self._refill)

    def _refill(self) -> None:
        """Prepare one more cell, unless somebody waits; that one's readiness leads to the next."""
        self._refilling = False
        if self._waiting or self._preparing or self._ending:
            return
        count = self._config["spares"]
        self._stock.refill(count, self._config["spare_tmp_mib"])
        if len(self._prepared) < count:
            self._prepare_or_refuse()
        else:
            self._start_early()

    def _start_early(self) -> None:
        """Start a runtime that is expected, in one of the spare cells; its readiness leads to the next."""
        now = time.monotonic()
        what = self._earlies.missing(now)
        if what is None or not self._prepared:
            return
        quiet = self._last_start + early.QUIET_SECONDS - now
        if quiet > 0:
            self._refill_soon(quiet)
            return
        volume = self._stock.reserve(self._config["spare_tmp_mib"]) if early.room() else None
        if volume is None:
            return  # asked again when one has become ready
        cell = self._prepared.pop(0)
        cell.early, cell.volume = what["key"], volume
        self._earlies.add(cell)
        self._send_job(cell, lambda passing: self._jobs.start_early(cell, what, volume, passing))
        self._refill_soon(REFILL_QUIET_SECONDS)

    # Beginnings and ends

    def _open_groups(self) -> "cgroups.Groups | None":
        try:
            groups = cgroups.open_groups(self._config["cgroups"], self._config["instance"])
        except OSError as error:
            self.problems["limits"] = str(error)
            return None
        for left in groups.cells():  # of a warden of this instance that was killed; never the one kept frozen
            cgroups.end(groups, left)
            self._loop.later(0.0, lambda left=left: self._remove_groups(left, REMOVE_ATTEMPTS_MAX))  # type: ignore[misc]
        groups.keep_one_frozen()
        return groups

    def _open_network(self) -> Network | None:
        if not self._config["nft"]:
            return None
        try:
            return Network(self._config["instance"], self._config["nft"])
        except OSError as error:
            self.problems["network"] = str(error)
            return None

    def _say(self, message: "dict[str, Any]", fds: "list[int] | None" = None) -> None:
        try:
            messages.send(self._server, messages.encode(message), fds or ())
        except ConnectionError:
            self._loop.stop()

    def _refuse(self, sandbox: int, why: str) -> None:
        self._say({"t": "refused", "id": sandbox, "why": why})

    def _end(self) -> None:
        """Kill every cell and give everything back, within a bounded time."""
        self._ending = True
        names = list(self._living)
        for cell in self._living.values():
            os.kill(cell.pid, 9)
            cgroups.hurry(self._groups, cell.name)
            if self._groups is not None:
                self._groups.thaw(cell.name)
        deadline = time.monotonic() + END_SECONDS_MAX
        while self._living and time.monotonic() < deadline:
            self._loop.turn(0.1)
        if self._groups is not None:
            cgroups.remove_all(self._groups, names, deadline)
        if self._network is not None:
            self._network.close()
        for entry in os.scandir(self._config["images"]):
            os.unlink(entry.path)
