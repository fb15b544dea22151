"""The texts are run by a real shell, with stand-ins for the programs that a guest has."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from vsphere_operator.bootstrap import offload


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A PATH directory whose `ethtool`, `systemctl` and `udevadm` note how they were called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ethtool", "udevadm", "systemctl"):
        program = programs / name
        enabled = '[ "$1" = is-enabled ] && [ ! -e "$(dirname "$0")/enabled" ] && exit 1\n'
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>"$(dirname "$0")/calls"\n{enabled}exit 0\n')
        program.chmod(0o755)
    return programs / "calls"


def run(script: str, calls: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{calls.parent}:/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )


def network_cards(root: Path) -> Path:
    """A /sys/class/net with two vmxnet3 cards, an e1000 and a loopback without a driver."""
    for card, driver in {"ens192": "vmxnet3", "eth1": "vmxnet3", "ens32": "e1000", "lo": ""}.items():
        (root / "net" / card).mkdir(parents=True)
        if driver:
            (root / "net" / card / "device").mkdir()
            (root / "drivers" / driver).mkdir(parents=True, exist_ok=True)
            (root / "net" / card / "device" / "driver").symlink_to(root / "drivers" / driver)
    return root / "net"


def command_of_unit() -> list[str]:
    line = next(line for line in offload.UNIT.splitlines() if line.startswith("ExecStart="))
    # What systemd does before it runs it; a single `$` or `%` would be expanded away.
    assert not re.search(r"(?<![$])[$](?:[$][$])*(?![$])", line)
    return shlex.split(line.removeprefix("ExecStart=").replace("$$", "$").replace("%%", "%"))


def test_the_unit_turns_both_features_off_on_each_vmxnet3_card_and_on_no_other(
    tmp_path: Path, calls: Path
) -> None:
    shell, option, script = command_of_unit()
    assert (shell, option) == ("/bin/sh", "-c")
    result = run(script.replace("/sys/class/net", str(network_cards(tmp_path))), calls)
    assert result.returncode == 0, result.stderr
    assert sorted(calls.read_text().splitlines()) == sorted(
        f"ethtool -K {card} {feature} off"
        for card in ("ens192", "eth1")
        for feature in ("tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")
    )


def test_a_feature_that_cannot_be_set_fails_the_unit_but_not_the_others(tmp_path: Path, calls: Path) -> None:
    (calls.parent / "ethtool").write_text('#!/bin/sh\necho "$@" >>"$(dirname "$0")/calls"\nexit 1\n')
    script = command_of_unit()[2].replace("/sys/class/net", str(network_cards(tmp_path)))
    assert run(script, calls).returncode == 1
    assert len(calls.read_text().splitlines()) == 4


def test_the_udev_rule_is_for_vmxnet3_cards_and_turns_both_features_off() -> None:
    assert offload.UDEV_RULE.count("\n") == 1
    keys = offload.UDEV_RULE.strip().split(", ")
    assert keys[:3] == ['ACTION=="add"', 'SUBSYSTEM=="net"', 'DRIVERS=="vmxnet3"']
    assert keys[3:] == [
        'RUN+="/usr/sbin/ethtool -K $name tx-udp_tnl-segmentation off"',
        'RUN+="/usr/sbin/ethtool -K $name tx-udp_tnl-csum-segmentation off"',
    ]


def hook(root: Path) -> str:
    marker, script = offload.BOOTHOOK.split("\n", 1)
    assert marker == "#cloud-boothook"
    assert script.startswith("#!/bin/sh\n")
    for directory in ("/etc/udev/rules.d", "/etc/systemd/system"):
        script = script.replace(directory, str(root) + directory)
    return script


def test_the_boothook_writes_rule_and_unit_and_starts_without_waiting(tmp_path: Path, calls: Path) -> None:
    result = run(hook(tmp_path), calls)
    assert result.returncode == 0, result.stderr
    assert Path(f"{tmp_path}{offload.RULE_PATH}").read_text() == offload.UDEV_RULE
    assert Path(f"{tmp_path}{offload.UNIT_PATH}").read_text() == offload.UNIT
    assert calls.read_text().splitlines()[1:] == [
        "udevadm control --reload",
        "systemctl daemon-reload",
        f"systemctl enable {offload.UNIT_NAME}",
        f"systemctl start --no-block {offload.UNIT_NAME}",
    ]


def test_the_boothook_does_nothing_on_later_boots(tmp_path: Path, calls: Path) -> None:
    (calls.parent / "enabled").touch()
    assert run(hook(tmp_path), calls).returncode == 0
    assert not Path(f"{tmp_path}{offload.RULE_PATH}").exists()
    assert calls.read_text() == f"systemctl is-enabled --quiet {offload.UNIT_NAME}\n"
