"""The installation's own id: made once, kept in the operator's namespace, stamped on all that is made
outside."""

from __future__ import annotations

import uuid
from typing import Any

from .client import KubeApi
from .errors import AlreadyExists, NotFound

CONFIG_MAP = "vsphere-operator-installation"


class InstallationError(Exception):
    """The id cannot be read or made; the text is one line for the person who installs."""


class NotInstalledError(InstallationError):
    """No operator has made its id in this namespace yet."""


async def known_installation(api: KubeApi, namespace: str) -> str:
    """The id of an installation that has run before; makes nothing.

    Raises as `installation_id` does, and NotInstalledError.
    """
    try:
        return _read(await api.get("ConfigMap", namespace, CONFIG_MAP))
    except NotFound:
        words = f"there is no ConfigMap {namespace}/{CONFIG_MAP}: no operator has run in this namespace yet"
        raise NotInstalledError(words) from None


async def installation_id(api: KubeApi, namespace: str) -> str:
    """The id (a UUID) of this installation, made at the first call ever.

    Raises InstallationError when the namespace is missing or the ConfigMap was made unreadable, KubeError
    when the API cannot be asked.
    """
    try:
        return await known_installation(api, namespace)
    except NotInstalledError:
        pass
    try:
        return _read(await api.create(_config_map(namespace, str(uuid.uuid4()))))
    except AlreadyExists:  # another replica was faster
        return _read(await api.get("ConfigMap", namespace, CONFIG_MAP))
    except NotFound:
        raise InstallationError(f"namespace {namespace} does not exist: create it") from None


def _config_map(namespace: str, identity: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CONFIG_MAP,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "vsphere-operator"},
        },
        "data": {"id": identity},
    }


def _read(obj: dict[str, Any]) -> str:
    text = (obj.get("data") or {}).get("id", "")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        where = f"ConfigMap {obj['metadata']['namespace']}/{CONFIG_MAP}"
        raise InstallationError(f"{where} holds no UUID under `id`: restore it from a backup") from None
