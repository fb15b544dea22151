"""pyVmomi as somebody else uses it, without a line of ours."""

from __future__ import annotations

from typing import Any

import pyVim.connect
import pyVim.task
import pyVmomi

_connect: Any = pyVim.connect
_task: Any = pyVim.task
_module: Any = pyVmomi

vim: Any = _module.vim
pbm: Any = _module.pbm
soap_stub: Any = _module.SoapStubAdapter
request_context: Any = _module.VmomiSupport.GetRequestContext
smart_connect: Any = _connect.SmartConnect
disconnect: Any = _connect.Disconnect
wait_for_task: Any = _task.WaitForTask
