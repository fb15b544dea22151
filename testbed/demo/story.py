"""The two stories: staying up for a person to play with, and going on to the end by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.demo import checks, samples
from testbed.demo.comparison import State, read_state
from testbed.demo.errors import DemoError
from testbed.demo.kubernetes_client import Kubernetes, KubernetesError
from testbed.demo.operator_process import Operator
from testbed.demo.picture import Check, Picture
from testbed.demo.samples import Manifest
from testbed.demo.stage import Stage, TooLateError
from testbed.demo.vcenter_client import Reader

READY_SECONDS = 180.0
CHANGE_SECONDS = 120.0
ROLLOUT_SECONDS = 300.0
GONE_SECONDS = 180.0

Capture = Callable[[Stage], None]


@dataclass(frozen=True)
class Cast:
    """Everything that a story is told with. `before` is vCenter's state before the operator's first call."""

    stage: Stage
    kubernetes: Kubernetes
    reader: Reader
    operator: Operator
    manifests: Sequence[Manifest]
    before: State
    operator_user: str
    capture: Capture

    @property
    def machines(self) -> int:
        """How many Machines the samples ask for."""
        return sum(m["spec"]["replicas"] for m in self.manifests if m["kind"] == "MachineDeployment")


def advice(kubeconfig: Path, manifests: Sequence[Manifest], *, kubectl: bool) -> tuple[str, ...]:
    """Return how to look around, as lines to copy into another terminal."""
    cluster = samples.one(manifests, "Cluster")["metadata"]
    deployment = samples.of_system(manifests, "ubuntu")
    namespace, workers = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
    more = deployment["spec"]["replicas"] + 1
    hint = "" if kubectl else " (any kubectl will do; there is none on PATH)"
    return (
        f"Look around from another terminal{hint}; Ctrl-C here takes everything down:",
        f"export KUBECONFIG={kubeconfig}",
        "kubectl get userclusters -A",
        f"kubectl -n {namespace} scale machinedeployment {workers} --replicas={more}",
        f"kubectl -n {namespace} edit machinedeployment {workers}    # try memoryMB: 8192",
        f"kubectl -n {cluster['namespace']} delete cluster {cluster['name']}",
    )


def bring_up(cast: Cast) -> Picture:
    """Apply the samples and wait until all is Ready."""
    cast.stage.say("the samples are being applied")
    cast.stage.tick()
    for manifest in cast.manifests:
        try:
            cast.kubernetes.apply(manifest)
        except KubernetesError as error:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            raise DemoError(f"the API server refused the sample {name}: {error}") from error
    cast.stage.say("waiting until all is Ready")
    return _until_ready(cast, cast.machines, READY_SECONDS)


def stay_up(cast: Cast, kubeconfig: Path, *, kubectl: bool) -> None:
    """Show what happens until somebody stops the demo; returns never."""
    lines = advice(kubeconfig, cast.manifests, kubectl=kubectl)
    try:
        bring_up(cast)
        cast.stage.say("all is Ready", done=True, lines=lines)
        cast.capture(cast.stage)
    except TooLateError as error:
        lines = (*str(error).splitlines()[:4], *lines)
    while True:
        picture = cast.stage.tick()
        behind = len(picture.laggards)
        words = f"{behind} not Ready" if behind else "all is Ready"
        cast.stage.say(words, done=not behind, lines=lines)


def go_on_to_the_end(cast: Cast) -> bool:
    """Go through a user cluster's life, check each step, and return whether all was well.

    Raises DemoError when something does not happen in time.
    """
    picture = bring_up(cast)
    cast.stage.say("checking what came into being")
    cast.stage.add(checks.no_warnings(cast.kubernetes.warnings))
    _check_ready(cast, picture)
    cast.capture(cast.stage)
    _scale_up(cast)
    _roll(cast)
    _delete(cast)
    _stop_operator(cast)
    return all(check.passed for check in cast.stage.caption.checks)


def _check_ready(cast: Cast, picture: Picture) -> None:
    view, add = picture.vcenter, cast.stage.add
    cluster = samples.one(cast.manifests, "Cluster")
    path = folder_path(cluster, cast.manifests)
    ubuntu, flatcar = (view.vms_of(_name(cast, system)) for system in ("ubuntu", "flatcar"))
    state = cast.reader.control("/state")
    add(*checks.folder(view, path, samples.wanted_tags(cluster, cast.manifests)))
    add(checks.powered_on(view.vms, path, cast.machines))
    add(checks.images(view, ubuntu))
    add(checks.ignition(state, flatcar))
    add(checks.nobody_without_data(cast.reader.control("/boots-without-data")))
    add(checks.foreign_untouched(cast.before, read_state(cast.reader)))


def folder_path(cluster: Manifest, manifests: Sequence[Manifest]) -> str:
    """Return where a Cluster's folder must be by the samples."""
    seed = samples.one(manifests, "Seed")
    root = seed["spec"]["datacenters"][cluster["spec"]["datacenter"]]["vsphere"]["rootPath"]
    return f"{root}/{cluster['metadata']['namespace']}-{cluster['metadata']['name']}"


def _scale_up(cast: Cast) -> None:
    workers = samples.of_system(cast.manifests, "ubuntu")
    name, replicas = workers["metadata"]["name"], workers["spec"]["replicas"] + 1
    before = cast.stage.picture.vcenter.vms_of(name)
    cast.stage.say(f"scaling {name} to {replicas}, by the scale subresource")
    cast.kubernetes.scale(workers, replicas)
    after = _until_ready(cast, cast.machines + 1, CHANGE_SECONDS)
    vms = after.vcenter.vms_of(name)
    path = folder_path(samples.one(cast.manifests, "Cluster"), cast.manifests)
    cast.stage.say("checking the larger deployment")
    cast.stage.add(
        checks.powered_on(after.vcenter.vms, path, cast.machines + 1),
        checks.kept(before, vms, f"the {len(before)} VMs of before are among them"),
        checks.images(after.vcenter, vms),
    )


def _roll(cast: Cast) -> None:
    workers = samples.of_system(cast.manifests, "ubuntu")
    name, replicas = workers["metadata"]["name"], workers["spec"]["replicas"] + 1
    others = cast.stage.picture.vcenter.vms_of(_name(cast, "flatcar"))
    before = cast.stage.picture.vcenter.vms_of(name)
    memory = 2 * workers["spec"]["template"]["spec"]["vsphere"]["memoryMB"]
    rollout = checks.Rollout(name, replicas)
    cast.stage.say(f"rolling {name} to {memory} MiB, one VM at a time")
    cast.kubernetes.merge(workers, {"spec": {"template": {"spec": {"vsphere": {"memoryMB": memory}}}}})
    old = {vm.moref for vm in before}
    after = cast.stage.until(
        f"all Machines of {name} were replaced",
        lambda p: (
            p.all_ready
            and len(p.rows_of("Machine")) == cast.machines + 1
            and old.isdisjoint(vm.moref for vm in p.vcenter.vms)
        ),
        ROLLOUT_SECONDS,
        each=rollout.see,
    )
    vms = after.vcenter.vms_of(name)
    cast.stage.say("checking the rolling update")
    cast.stage.add(
        *rollout.checks(),
        checks.replaced(before, vms, memory),
        checks.images(after.vcenter, vms),
        checks.kept(others, after.vcenter.vms, "the Flatcar VM stayed as it was"),
        checks.nobody_without_data(cast.reader.control("/boots-without-data")),
    )


def _delete(cast: Cast) -> None:
    cluster = samples.one(cast.manifests, "Cluster")
    cast.stage.say("deleting the Cluster, and its Machines with it")
    cast.kubernetes.delete(cluster)
    gone = cast.stage.until(
        "the Cluster and everything below it were gone",
        lambda p: {row.kind for row in p.rows} == {"Seed"},
        GONE_SECONDS,
    )
    cast.stage.say("checking what is left")
    calls = gone.vcenter
    cast.stage.add(
        Check(True, "the Cluster, its MachineDeployments, MachineSets and Machines are gone"),
        checks.as_before(cast.before, read_state(cast.reader)),
        Check(True, f"all of it took {calls.calls} calls to vCenter, {calls.tasks} of them tasks"),
    )


def _stop_operator(cast: Cast) -> None:
    cast.stage.say("stopping the operator")
    cast.stage.show()
    status = cast.operator.stop()
    sessions = cast.reader.control("/state")["sessions"]
    text = cast.operator.log.read_text(errors="replace")
    cast.stage.add(
        *checks.stopped(status, sessions, cast.operator_user),
        *checks.log(text, samples.secrets_in(cast.manifests)),
    )
    cast.stage.show()


def _until_ready(cast: Cast, machines: int, seconds: float) -> Picture:
    return cast.stage.until(
        f"all {machines} Machines and their owners were Ready",
        lambda p: p.all_ready and len(p.rows_of("Machine")) == machines and len(p.vcenter.vms) == machines,
        seconds,
    )


def _name(cast: Cast, system: str) -> str:
    return str(samples.of_system(cast.manifests, system)["metadata"]["name"])
