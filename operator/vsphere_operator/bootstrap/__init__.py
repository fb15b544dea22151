"""What a VM boots with: NoCloud ISO images and Ignition in guestinfo. Pure: bytes in, bytes out."""

from vsphere_operator.bootstrap.delivery import Delivery, GuestInfoDelivery, IsoDelivery
from vsphere_operator.bootstrap.errors import BootstrapError
from vsphere_operator.bootstrap.operating_systems import FAMILIES, Family, family_of
from vsphere_operator.bootstrap.rendering import render
from vsphere_operator.bootstrap.static_network import StaticNetwork

__all__ = [
    "FAMILIES",
    "BootstrapError",
    "Delivery",
    "Family",
    "GuestInfoDelivery",
    "IsoDelivery",
    "StaticNetwork",
    "family_of",
    "render",
]
