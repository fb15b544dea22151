"""The live view: Kubernetes on the left, vCenter on the right, at home in 80 columns and 24 lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from testbed.demo.kubernetes_view import Row
from testbed.demo.picture import Caption, Check, Picture
from testbed.demo.vcenter_view import IMAGE, VCenterView, Vm

_INDENT = {"Seed": 0, "Cluster": 0, "MachineDeployment": 1, "MachineSet": 2, "Machine": 3}
_NAMES = {"Seed": "Seed", "Cluster": "Cluster", "MachineDeployment": "Deployment", "MachineSet": "Set"}
_TELLING = {"Seed", "Cluster", "Machine"}
"""Kinds whose messages are shown; those of their owners say the same in general."""
_TROUBLE = {"Failed", "Stalled"}
_GIB = 2**30
_FONT = re.compile(r" *@font-face \{.*?\}\n", re.DOTALL)
"""How Rich fetches a font from the network: the reader's own monospaced one will do."""
_ROOMY = 90
_HEAD = 1
_BODY = 12
"""Lines that both sides get at least, before the lines below are cut."""


class LiveScreen:
    """Shows pictures on a terminal until it is closed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # The other screen: what the person had before is there again afterwards.
        self._live = Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def show(self, picture: Picture, caption: Caption) -> None:
        """Show a picture in the terminal's present size."""
        width, height = self._console.size
        self._live.update(render(picture, caption, width, height), refresh=True)

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def save_capture(file: Path, picture: Picture, caption: Caption, width: int = 100) -> None:
    """Write a picture, as high as it needs to be, as an SVG file. Raises OSError."""
    body = max(len(_objects(picture.rows, width // 2, 99)), len(_vcenter(picture.vcenter, width // 2)))
    height = _HEAD + 1 + body + 1 + len(_footer(caption, width, 99))
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            record=True,
            width=width,
            height=height,
            file=nowhere,
            force_terminal=True,
            color_system="truecolor",
        )
        console.print(render(picture, caption, width, height), height=height)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_FONT.sub("", console.export_svg(title="make demo")))


def render(picture: Picture, caption: Caption, width: int, height: int) -> Layout:
    """Return the whole screen for a terminal of this size."""
    footer = _footer(caption, width, max(0, height - _HEAD - _BODY))
    body_height = max(1, height - _HEAD - len(footer))
    left = min(max(38, width * 48 // 100), 60)
    margin = width >= _ROOMY  # some viewers of the SVG draw wider letters than Rich reckons with
    gap = 1 + margin
    layout = Layout()
    layout.split_column(
        Layout(_header(picture, caption), size=_HEAD),
        Layout(name="body", size=body_height),
        Layout(Group(*footer), size=max(1, len(footer))),
    )
    layout["body"].split_row(
        Layout(
            _side("Kubernetes", _objects(picture.rows, left - gap, body_height - 1), body_height),
            size=left - gap,
        ),
        Layout(Text(" "), size=gap),
        Layout(_side("vCenter", _vcenter(picture.vcenter, width - left - margin), body_height)),
    )
    return layout


def _header(picture: Picture, caption: Caption) -> RenderableType:
    minutes, seconds = divmod(int(picture.seconds), 60)
    style = "bold green" if caption.done else "bold yellow"
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    words = Text.assemble(("vsphere-operator ", "bold"), (caption.headline, style))
    if picture.note:
        words.append(f"  {picture.note}", "red")
    grid.add_row(words, Text(f" {minutes}:{seconds:02}", "dim"))
    return grid


def _side(title: str, lines: Sequence[RenderableType], height: int) -> RenderableType:
    room = height - 1
    shown = list(lines[:room])
    if len(lines) > room:
        shown[-1:] = [Text(f"… and {len(lines) - room + 1} more", "dim")]
    return Group(Rule(Text(title, "bold cyan"), align="left", style="cyan"), *shown)


def _line(left: Text, right: Text, width: int) -> Text:
    """Put two texts at the ends of a line; the left one gives way."""
    left.truncate(max(1, width - right.cell_len - 1), overflow="ellipsis")
    gap = max(1, width - left.cell_len - right.cell_len)
    line = Text.assemble(left, " " * gap, right, no_wrap=True, overflow="ellipsis")
    line.truncate(width, overflow="ellipsis")
    return line


def _objects(rows: Sequence[Row], width: int, room: int) -> list[RenderableType]:
    """Return a line for each object, and its message in as many lines as there is room for."""
    telling = {row: _message(row, width) for row in rows if row.message and not row.is_ready}
    telling = {row: lines for row, lines in telling.items() if row.kind in _TELLING}
    if len(rows) + sum(map(len, telling.values())) > room:
        telling = {row: lines[:1] for row, lines in telling.items()}
    if len(rows) + len(telling) > room:
        telling = {row: lines for row, lines in telling.items() if row.state in _TROUBLE}
    lines: list[RenderableType] = []
    for row in rows:
        lines += [_object(row, width), *telling.get(row, [])]
    return lines or [Text("no objects", "dim")]


def _message(row: Row, width: int) -> list[Text]:
    depth = _INDENT[row.kind] + 1
    pieces = textwrap.wrap(row.message, max(10, width - depth), max_lines=3, placeholder=" …")
    return [_indented(depth, piece, "dim") for piece in pieces]


def _object(row: Row, width: int) -> Text:
    # A set's numbers say all; its reason would only repeat them.
    word = Text(row.counts if row.kind == "MachineSet" else row.word, _style(row))
    name = f"{_NAMES[row.kind]} {row.name}" if row.kind in _NAMES else row.name
    word.truncate(max(9, width - 1 - _INDENT[row.kind] - len(name)), overflow="ellipsis")
    return _line(_indented(_INDENT[row.kind], name, "bold" if row.kind == "Cluster" else ""), word, width)


def _style(row: Row) -> str:
    if row.deleting:
        return "magenta"
    if row.is_ready:
        return "green"
    return "red" if row.state == "Failed" else "yellow"


def _vcenter(view: VCenterView, width: int) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for folder in view.folders:
        lines.append(_cropped(Text(folder.path, "bold"), width))
        if folder.tags:
            lines.append(_cropped(_indented(1, f"tags {', '.join(folder.tags)}", "blue"), width))
    for vm in view.vms:
        lines.append(_vm(vm, width, image_there=f"{vm.directory}/{IMAGE}" in view.images))
        if vm.tags:
            lines.append(_cropped(_indented(3, f"tags {', '.join(vm.tags)}", "blue"), width))
    if not lines:
        lines.append(Text("only what was there before", "dim"))
    images = _brief(view.images, len(view.vms))
    for datastore in view.datastores:
        free = f"{datastore.free / _GIB:,.1f} of {datastore.capacity / _GIB:,.0f} GiB free"
        lines.append(_line(Text(datastore.name), Text(free), width))
        here = f"[{datastore.name}] "
        lines += [
            _cropped(_indented(1, i.removeprefix(here), "cyan"), width) for i in images if i.startswith(here)
        ]
    lines.append(_line(Text("operator's calls"), Text(f"{view.calls}, {view.tasks} tasks"), width))
    lines += [_cropped(Text(f"running: {task}", "yellow"), width) for task in view.running]
    return lines


def _brief(images: Sequence[str], vms: int) -> Sequence[str]:
    """Name the images while they are few; after that, the VMs' lines say which have one."""
    return images if len(images) <= 3 and vms <= 4 else ()


def _vm(vm: Vm, width: int, *, image_there: bool) -> Text:
    mark, style = ("●", "green") if vm.is_on else ("○", "yellow")
    power = {"poweredOn": "on", "poweredOff": "off", "": "cloning"}.get(vm.power, vm.power)
    facts = [vm.address or power, f"{vm.memory_mb / 1024:g}G" if vm.cpus else ""]
    right = " ".join([fact for fact in facts if fact] + _boot_data(vm, image_there))
    return _line(Text.assemble((f"{mark} ", style), vm.name), Text(right, style), width)


def _boot_data(vm: Vm, image_there: bool) -> list[str]:
    return ["iso"] * image_there + ["ign"] * vm.has_ignition


def _cropped(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line


def _indented(depth: int, text: str, style: str) -> Text:
    # In a style of its own: some SVG viewers drop blanks at the start of a piece of text.
    return Text.assemble((" " * depth, "dim italic"), (text, style))


def _footer(caption: Caption, width: int, room: int) -> list[RenderableType]:
    lines: list[RenderableType] = [Rule(style="cyan")]
    if caption.checks:
        lines += [_check(check) for check in caption.checks[-max(1, min(8, room - 2)) :]]
    # A line that is too long goes on in the next: half a command would be of no use.
    pieces = [line[at : at + width] for line in caption.lines for at in range(0, len(line), width)]
    lines += [Text(piece, no_wrap=True) for piece in pieces]
    if caption.log:
        lines.append(Text(f"operator's log: {caption.log}", "dim", no_wrap=True, overflow="ellipsis"))
    return lines[:room]


def _check(check: Check) -> Text:
    return Text(check.line, "green" if check.passed else "bold red", no_wrap=True, overflow="ellipsis")
