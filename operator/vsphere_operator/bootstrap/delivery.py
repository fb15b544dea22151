"""How bootstrap data reach a guest. The data are secret: no `repr` shows them, and so no log and no
traceback.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ISO_FILE_NAME = "cloud-init.iso"


@dataclass(frozen=True, kw_only=True, repr=False)
class IsoDelivery:
    """An image to upload into the VM's directory and to put into its CD-ROM drive before power-on."""

    iso: bytes
    file_name: str = ISO_FILE_NAME

    def __repr__(self) -> str:
        return f"IsoDelivery(file_name={self.file_name!r}, iso=<{len(self.iso)} bytes>)"


@dataclass(frozen=True, kw_only=True, repr=False)
class GuestInfoDelivery:
    """Values to set on the VM before power-on: key -> value.

    `extra_config` goes into `config.extraConfig` and always suffices for a current image. `vapp_properties`
    hold the same for images that read the OVF environment only; they can be set where the template declares
    the keys.
    """

    extra_config: Mapping[str, str]
    vapp_properties: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra_config", MappingProxyType(dict(self.extra_config)))
        object.__setattr__(self, "vapp_properties", MappingProxyType(dict(self.vapp_properties)))

    def __repr__(self) -> str:
        return (
            f"GuestInfoDelivery(extra_config=<{', '.join(sorted(self.extra_config))}>, "
            f"vapp_properties=<{', '.join(sorted(self.vapp_properties))}>)"
        )


Delivery = IsoDelivery | GuestInfoDelivery
