"""Things in vCenter that somebody else made, and that are taken away again after a test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.e2e.vcenter import Administrator, Folder, Vm

ELSEWHERE = "/DC0/vm/elsewhere"


class ForeignThings:
    """Makes things as an administrator; `remove_all` removes what is left of them, the newest first."""

    def __init__(self, administrator: Administrator) -> None:
        self._administrator = administrator
        self._undo: list[Callable[[], None]] = []
        self.vms: set[str] = set()
        """The VMs, which may run without bootstrap data."""

    def folder(self, path: str) -> Folder:
        return self._noted(self._administrator.make_folder(path))

    def vm(self, name: str, folder: str, *, on: bool = False) -> Vm:
        made = self._noted(self._administrator.make_vm(name, folder, on=on))
        self.vms.add(f"VirtualMachine:{made._moId}")
        return made

    def copy(self, vm: Vm, name: str, folder: str) -> Vm:
        return self._noted(self._administrator.clone(vm, name, folder))

    def pool(self, name: str) -> Any:
        root = self._administrator.find("/DC0/host/DC0_C0").resourcePool
        return self._noted(self._administrator.make_pool(name, root))

    def portgroup(self, name: str) -> Any:
        return self._noted(self._administrator.make_portgroup(name))

    def category(self, name: str) -> str:
        made = self._administrator.tags.make_category(name)
        self._undo.append(lambda: self._administrator.tags.delete(category_ids=[made]))
        return made

    def tag(self, name: str, category_id: str) -> str:
        made = self._administrator.tags.make(name, category_id)
        self._undo.append(lambda: self._administrator.tags.delete(tag_ids=[made]))
        return made

    @contextlib.contextmanager
    def renamed(self, entity: Any, name: str) -> Iterator[None]:
        """Something that was there before has another name for a while."""
        before = entity.name
        self._administrator.rename(entity, name)
        try:
            yield
        finally:
            self._administrator.rename(entity, before)

    def remove_all(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _noted(self, entity: Any) -> Any:
        def undo() -> None:
            with contextlib.suppress(self._administrator.not_found):
                self._administrator.destroy(entity)

        self._undo.append(undo)
        return entity


@contextlib.contextmanager
def other_people_at_work(administrator: Administrator) -> Iterator[None]:
    """Something changes in vCenter all the time, as it does in a real one: a folder comes and goes."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.5):
            administrator.destroy(administrator.make_folder("/DC0/vm/other-people"))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
