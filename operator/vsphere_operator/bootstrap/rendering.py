"""From a machine and its user data to what is delivered to its VM."""

from collections.abc import Mapping, Sequence

from vsphere_operator.bootstrap import (
    formats,
    guestinfo,
    ignition,
    iso,
    multipart,
    nocloud,
    offload,
    static_network,
)
from vsphere_operator.bootstrap.delivery import Delivery, GuestInfoDelivery, IsoDelivery
from vsphere_operator.bootstrap.names import check_hostname, check_instance_id, check_machine_name, normal_mac
from vsphere_operator.bootstrap.operating_systems import Family, family_of
from vsphere_operator.bootstrap.static_network import StaticNetwork

_OFFLOAD_PART_NAME = "vsphere-operator-network-offload"


def render(
    *,
    operating_system: str,
    machine_name: str,
    hostname: str,
    user_data: bytes,
    instance_id: str,
    disable_network_offload: bool = False,
    nic_macs: Sequence[str] = (),
    static: StaticNetwork | None = None,
) -> Delivery:
    """What a VM of this operating system boots with; the same bytes for the same arguments.

    `machine_name` fills in `<MACHINE_NAME>`; `hostname` becomes the guest's; a change of `instance_id` makes
    cloud-init run anew. `nic_macs`, in the order of the networks, are needed for a cloud-init VM with several cards,
    each of which then gets DHCP, and for one with `static` addresses on its first card; Ignition does not use them.
    Raises a BootstrapError whose text can be shown to the user. Parses up to 16 MiB: off the event loop, please, when
    the data are not known to be small.
    """
    family = family_of(operating_system)
    check_machine_name(machine_name)
    check_hostname(hostname)
    check_instance_id(instance_id)
    macs = [normal_mac(mac) for mac in nic_macs]
    filled_in = _filled_in(user_data, machine_name)
    if family is Family.IGNITION:
        files = static_network.networkd_files(static) if static else {}
        return _guestinfo(filled_in, hostname, disable_network_offload, files)
    data = _with_offload_off(filled_in, disable_network_offload)
    files_on_iso = nocloud.files(
        user_data=data, instance_id=instance_id, hostname=hostname, nic_macs=macs, static=static
    )
    return IsoDelivery(iso=iso.image(volume_id=nocloud.VOLUME_ID, files=files_on_iso))


def _filled_in(data: bytes, machine_name: str) -> bytes:
    return formats.fill_in(formats.unpack(data), machine_name=machine_name)


def _guestinfo(
    data: bytes, hostname: str, disable_network_offload: bool, files: Mapping[str, str]
) -> GuestInfoDelivery:
    config = ignition.config(
        data, hostname=hostname, disable_network_offload=disable_network_offload, extra_files=files
    )
    values = guestinfo.ignition_values(config)
    return GuestInfoDelivery(extra_config=values, vapp_properties=values)


def _with_offload_off(data: bytes, disable_network_offload: bool) -> bytes:
    content_type = formats.content_type_of(data)
    if content_type == formats.CLOUD_CONFIG:
        formats.check_cloud_config(data)
    if not disable_network_offload:
        return data
    return multipart.archive(
        own_part=offload.BOOTHOOK.encode("ascii"),
        own_type="text/cloud-boothook",
        own_name=_OFFLOAD_PART_NAME,
        user_data=data,
        user_type=content_type,
    )
