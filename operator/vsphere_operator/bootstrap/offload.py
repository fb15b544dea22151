"""Turning off the two UDP-tunnel offloads of vmxnet3, which corrupt or drop overlay traffic on many ESXi
builds.

A udev rule does it for each card as it appears (each boot, hot-plug too); a unit does it once more for the
cards that are there, so that a first boot is covered and a failure can be seen with `systemctl --failed`.
"""

# Both exist from virtual hardware version 14 on; names as in the kernel's `netdev_features_strings`.
FEATURES = ("tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")

UNIT_NAME = "vsphere-operator-network-offload.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT_NAME}"
RULE_PATH = "/etc/udev/rules.d/99-vsphere-operator-network-offload.rules"

# `$name` is the name after udev's own renaming. A command a feature: a kernel that lacks one must not keep
# the other. udev wants an absolute path; all supported systems have ethtool here.
UDEV_RULE = (
    'ACTION=="add", SUBSYSTEM=="net", DRIVERS=="vmxnet3", '
    + ", ".join(f'RUN+="/usr/sbin/ethtool -K $name {feature} off"' for feature in FEATURES)
    + "\n"
)

_EVERY_CARD = (
    "failed=0; "
    "for card in /sys/class/net/*; do "
    'case "$(readlink -f "$card/device/driver")" in */vmxnet3) ;; *) continue ;; esac; '
    f"for feature in {' '.join(FEATURES)}; do "
    'ethtool -K "${card##*/}" "$feature" off || failed=1; '
    "done; done; "
    'exit "$failed"'
)

# systemd expands `$` and `%` itself before the shell sees them.
_EVERY_CARD_FOR_SYSTEMD = _EVERY_CARD.replace("%", "%%").replace("$", "$$")

UNIT = f"""\
[Unit]
Description=Turn off the UDP tunnel offloads of vmxnet3 network cards
After=systemd-udevd.service systemd-udev-trigger.service
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '{_EVERY_CARD_FOR_SYSTEMD}'

[Install]
WantedBy=multi-user.target
"""

# A boothook and not cloud-config: it needs no merging with the lists of the user's own cloud-config, and it
# runs before the user's first command. Cloud-init repeats boothooks at each boot, hence the early way out.
# Starting must not block: on some systems cloud-init itself runs before the targets that the unit waits for.
BOOTHOOK = f"""\
#cloud-boothook
#!/bin/sh
set -eu
systemctl is-enabled --quiet {UNIT_NAME} 2>/dev/null && exit 0
umask 022
mkdir -p /etc/udev/rules.d /etc/systemd/system
cat >{RULE_PATH} <<'END-OF-RULE'
{UDEV_RULE}END-OF-RULE
cat >{UNIT_PATH} <<'END-OF-UNIT'
{UNIT}END-OF-UNIT
udevadm control --reload || true
systemctl daemon-reload
systemctl enable {UNIT_NAME}
systemctl start --no-block {UNIT_NAME}
"""
