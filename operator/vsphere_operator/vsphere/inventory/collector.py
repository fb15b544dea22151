"""What a watch has on the server: a PropertyCollector of its own, views, and filters on them.

Nothing here waits. It dies with the session at the latest, and is given back before when the session lives on.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.inventory import filters
from vsphere_operator.vsphere.inventory.entities import Datacenter, Entity
from vsphere_operator.vsphere.inventory.scope import Scope, select
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session.soap import TRANSPORT_ERRORS, SoapSession, TimedStub
from vsphere_operator.vsphere.vmomi import vim, vmodl


@dataclass
class Collector:
    """What exists on the server for one watch; dies with the session at the latest."""

    generation: int
    stub: TimedStub
    collector: Any
    containers: list[Any]
    tasks: Any
    narrow: Any
    roles: dict[str, str]
    """Filter id -> `wide`, `narrow`, `recent`, `followed`."""
    scope: Scope
    datacenters: frozenset[MoRef] | None
    """What is read: these, or everything."""
    settled: bool = False
    """Whether everything has been read and the datacenters been compared with the scope since they changed."""


def set_up(session: SoapSession, content: Any, scope: Scope, *, read_timeout: float) -> Collector:
    """Make everything on the server; with a scope after a look at the datacenters, in one call more."""
    generation = session.generation
    stub = session.waiting_stub(read_timeout)
    made: list[Any] = []
    try:
        return _set_up(session, content, scope, stub, generation, made)
    except vim.fault.NotAuthenticated:
        raise
    except vmodl.MethodFault:
        # The session lives, and would keep what was made for each of many tries.
        _destroy(made)
        raise


def _set_up(
    session: SoapSession, content: Any, scope: Scope, stub: TimedStub, generation: int, made: list[Any]
) -> Collector:
    """`made` gets what exists on the server, also when this fails."""

    def keep(thing: Any) -> Any:
        made.append(thing)
        return thing

    views = vim.view.ViewManager(content.viewManager._moId, stub)
    shared = vmodl.query.PropertyCollector(content.propertyCollector._moId, stub)
    datacenters = None if scope is None else _selected(shared, content.rootFolder, scope)
    collector = keep(shared.CreatePropertyCollector())
    roots = (
        [content.rootFolder]
        if datacenters is None
        else [session.object(m, stub) for m in sorted(datacenters)]
    )
    containers = [keep(views.CreateContainerView(root, filters.view_types(), True)) for root in roots]
    tasks, narrow = keep(views.CreateListView()), keep(views.CreateListView())
    top = filters.root_filter if datacenters is None else filters.map_filter
    roles = {}
    for role, spec in (
        ("wide", top(content.rootFolder)),
        *((("wide", filters.wide_filter(containers)),) if containers else ()),
        ("narrow", filters.narrow_filter(narrow)),
        ("recent", filters.recent_tasks_filter(content.taskManager)),
        ("followed", filters.followed_tasks_filter(tasks)),
    ):
        roles[collector.CreateFilter(spec, False)._moId] = role
    return Collector(generation, stub, collector, containers, tasks, narrow, roles, scope, datacenters)


def _selected(shared: Any, root_folder: Any, scope: Scope) -> frozenset[MoRef] | None:
    collector = vmodl.query.PropertyCollector
    found: dict[MoRef, Entity] = {}
    page = shared.RetrievePropertiesEx([filters.map_filter(root_folder)], collector.RetrieveOptions())
    while page is not None:
        for item in page.objects or ():
            moref = morefs.of(item.obj)
            found[moref] = filters.decoded(moref, None, {p.name: p.val for p in item.propSet or ()})
        page = shared.ContinueRetrievePropertiesEx(page.token) if page.token else None
    datacenters = [e for e in found.values() if isinstance(e, Datacenter)]
    return select(datacenters, found, morefs.of(root_folder), scope)


def give_back(old: Collector, session: SoapSession) -> None:
    """Free what an interrupted watch left in a session that still lives, and its connection. Never raises."""
    if old.generation == session.generation:
        _destroy([old.collector, *old.containers, old.tasks, old.narrow])
    old.stub.DropConnections()


def _destroy(things: list[Any]) -> None:
    """A collector with its filters, and views. Never raises; a connection that fails is not tried again."""
    with contextlib.suppress(*TRANSPORT_ERRORS):
        for thing in things:
            with contextlib.suppress(vmodl.MethodFault):
                if isinstance(thing, vmodl.query.PropertyCollector):
                    thing.DestroyPropertyCollector()
                else:
                    thing.DestroyView()
