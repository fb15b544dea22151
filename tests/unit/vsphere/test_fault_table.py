"""Each row of the table of faults, written down a second time: a row cannot change or come unnoticed."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import VmomiSupport

from vsphere_operator.vsphere import faults
from vsphere_operator.vsphere.fault_table import AUTOMATION_TABLE, HTTP_TABLE, TABLE
from vsphere_operator.vsphere.faults import Executed, FaultClass
from vsphere_operator.vsphere.session.asked import Asked
from vsphere_operator.vsphere.vmomi import vmodl

C = FaultClass
NO, UNKNOWN = Executed.NO, Executed.UNKNOWN
SECRET = "guestinfo.userdata=c3VwZXItc2VjcmV0"

VIM: dict[str, tuple[FaultClass, str, Executed]] = {
    "InvalidLogin": (C.CREDENTIALS, "InvalidLogin", NO),
    "PasswordExpired": (C.CREDENTIALS, "PasswordExpired", NO),
    "NoPermission": (C.PERMISSION, "NoPermission", NO),
    "NotAuthenticated": (C.TRANSIENT, "NotAuthenticated", NO),
    "SecurityError": (C.PERMISSION, "NoPermission", NO),
    "NoPermissionOnHost": (C.PERMISSION, "NoPermission", NO),
    "RestrictedByAdministrator": (C.PERMISSION, "Restricted", NO),
    "ManagedObjectNotFound": (C.GONE, "NotFound", NO),
    "NotFound": (C.GONE, "NotFound", NO),
    "FileNotFound": (C.GONE, "FileNotFound", NO),
    "DuplicateName": (C.CONFLICT, "NameTaken", NO),
    "AlreadyExists": (C.CONFLICT, "AlreadyExists", NO),
    "FileAlreadyExists": (C.CONFLICT, "FileExists", NO),
    "ConcurrentAccess": (C.CONFLICT, "ChangedMeanwhile", NO),
    "DirectoryNotEmpty": (C.CONFLICT, "DirectoryNotEmpty", NO),
    "TaskInProgress": (C.TRANSIENT, "Busy", NO),
    "VAppTaskInProgress": (C.TRANSIENT, "Busy", NO),
    "ResourceInUse": (C.TRANSIENT, "InUse", NO),
    "FileLocked": (C.TRANSIENT, "FileLocked", NO),
    "MethodDisabled": (C.TRANSIENT, "MethodDisabled", NO),
    "RequestCanceled": (C.TRANSIENT, "Canceled", UNKNOWN),
    "Timedout": (C.TRANSIENT, "TimedOut", UNKNOWN),
    "QuestionPending": (C.TRANSIENT, "QuestionPending", NO),
    "InvalidState": (C.TRANSIENT, "InvalidState", NO),
    "InvalidPowerState": (C.CONFLICT, "InvalidPowerState", NO),
    "ToolsUnavailable": (C.TRANSIENT, "ToolsUnavailable", NO),
    "VAppOperationInProgress": (C.TRANSIENT, "Busy", NO),
    "SnapshotLocked": (C.TRANSIENT, "Busy", NO),
    "TooManyConcurrentNativeClones": (C.TRANSIENT, "Busy", NO),
    "VAppNotRunning": (C.TRANSIENT, "InvalidState", NO),
    "EncryptionKeyRequired": (C.TERMINAL, "EncryptionKeyRequired", NO),
    "NoDiskSpace": (C.CAPACITY, "NoDiskSpace", NO),
    "InsufficientResourcesFault": (C.CAPACITY, "InsufficientResources", NO),
    "NoCompatibleHost": (C.CAPACITY, "NoCompatibleHost", NO),
    "NoActiveHostInCluster": (C.CAPACITY, "NoActiveHost", NO),
    "NotEnoughCpus": (C.TERMINAL, "NotEnoughCpus", NO),
    "MemorySizeNotSupported": (C.TERMINAL, "MemorySizeNotSupported", NO),
    "NotEnoughLicenses": (C.CAPACITY, "NotEnoughLicenses", NO),
    "LicenseExpired": (C.CAPACITY, "LicenseExpired", NO),
    "InsufficientFailoverResourcesFault": (C.CAPACITY, "InsufficientFailoverResources", NO),
    "InsufficientStorageSpace": (C.CAPACITY, "NoDiskSpace", NO),
    "NoCompatibleDatastore": (C.CAPACITY, "NoCompatibleDatastore", NO),
    "CannotPlaceWithoutPrerequisiteMoves": (C.CAPACITY, "OtherDisksInTheWay", NO),
    "StorageDrsUnableToMoveFiles": (C.CAPACITY, "OtherDisksInTheWay", NO),
    "TooManyNativeClonesOnFile": (C.CAPACITY, "TooManyClones", NO),
    "TooManyNativeCloneLevels": (C.CAPACITY, "TooManyClones", NO),
    "NoAvailableIp": (C.CAPACITY, "NoAvailableIP", NO),
    "LicenseServerUnavailable": (C.TRANSIENT, "LicenseServerUnavailable", NO),
    "InvalidLicense": (C.CAPACITY, "InvalidLicense", NO),
    "HostCommunication": (C.TRANSIENT, "HostUnreachable", NO),
    "HostConnectFault": (C.TRANSIENT, "HostUnreachable", NO),
    "InvalidHostState": (C.TRANSIENT, "HostUnavailable", NO),
    "InaccessibleDatastore": (C.TRANSIENT, "DatastoreInaccessible", NO),
    "DatastoreNotWritableOnHost": (C.TRANSIENT, "DatastoreNotWritable", NO),
    "InvalidDatastore": (C.TERMINAL, "InvalidDatastore", NO),
    "InvalidDatastorePath": (C.TERMINAL, "InvalidDatastorePath", NO),
    "CannotAccessFile": (C.TRANSIENT, "FileInaccessible", NO),
    "CannotAccessNetwork": (C.TERMINAL, "NetworkInaccessible", NO),
    "FileFault": (C.TRANSIENT, "FileFault", NO),
    "SnapshotFault": (C.TERMINAL, "SnapshotFault", NO),
    "SSLVerifyFault": (C.TERMINAL, "HostNotTrusted", NO),
    "MultipleCertificatesVerifyFault": (C.TERMINAL, "HostNotTrusted", NO),
    "InvalidDatastoreState": (C.TRANSIENT, "DatastoreUnavailable", NO),
    "StorageDrsHmsUnreachable": (C.TRANSIENT, "ReplicationUnreachable", NO),
    "StorageDrsHmsMoveInProgress": (C.TRANSIENT, "Busy", NO),
    "CannotAccessVmComponent": (C.TRANSIENT, "FileInaccessible", NO),
    "CannotDeleteFile": (C.TRANSIENT, "FileFault", NO),
    "FileTooLarge": (C.TERMINAL, "FileTooLarge", NO),
    "FileNameTooLong": (C.TERMINAL, "FileNameTooLong", NO),
    "NotAFile": (C.TERMINAL, "InvalidDatastorePath", NO),
    "NotADirectory": (C.TERMINAL, "InvalidDatastorePath", NO),
    "QuarantineModeFault": (C.TRANSIENT, "HostQuarantined", NO),
    "InvalidName": (C.TERMINAL, "InvalidName", NO),
    "InvalidFolder": (C.TERMINAL, "InvalidFolder", NO),
    "InvalidArgument": (C.TERMINAL, "InvalidArgument", NO),
    "InvalidRequest": (C.TERMINAL, "InvalidRequest", NO),
    "VmConfigFault": (C.TERMINAL, "InvalidVmConfig", NO),
    "RuleViolation": (C.TERMINAL, "RuleViolation", NO),
    "VmHostAffinityRuleViolation": (C.TERMINAL, "RuleViolation", NO),
    "NoCompatibleHardAffinityHost": (C.TERMINAL, "RuleViolation", NO),
    "CpuIncompatible": (C.TERMINAL, "CpuIncompatible", NO),
    "MigrationFault": (C.TERMINAL, "NotCompatible", NO),
    "CustomizationFault": (C.TERMINAL, "CustomizationFault", NO),
    "ExtendedFault": (C.TERMINAL, "RefusedByExtension", NO),
    "DisallowedChangeByService": (C.TERMINAL, "ManagedByOthers", NO),
    "InvalidProperty": (C.TERMINAL, "InvalidRequest", NO),
    "DisallowedOperationOnFailoverHost": (C.TERMINAL, "FailoverHost", NO),
    "NotSupported": (C.TERMINAL, "NotSupported", NO),
    "NotImplemented": (C.TERMINAL, "NotSupported", NO),
    "RestrictedVersion": (C.TERMINAL, "NotLicensed", NO),
    "InvalidCollectorVersion": (C.TRANSIENT, "Resync", NO),
    "SystemError": (C.TRANSIENT, "SystemError", UNKNOWN),
    "UnexpectedFault": (C.TRANSIENT, "SystemError", UNKNOWN),
    "VimFault": (C.TRANSIENT, "VCenterFault", UNKNOWN),
    "RuntimeFault": (C.TRANSIENT, "VCenterFault", UNKNOWN),
    "MethodFault": (C.TRANSIENT, "VCenterFault", UNKNOWN),
}
AUTOMATION: dict[str, tuple[FaultClass, str, Executed]] = {
    "Unauthenticated": (C.TRANSIENT, "NotAuthenticated", NO),
    "Unauthorized": (C.PERMISSION, "NoPermission", NO),
    "NotFound": (C.GONE, "NotFound", NO),
    "AlreadyExists": (C.CONFLICT, "AlreadyExists", NO),
    "AlreadyInDesiredState": (C.CONFLICT, "AlreadyExists", NO),
    "ConcurrentChange": (C.CONFLICT, "ChangedMeanwhile", NO),
    "ResourceInUse": (C.TRANSIENT, "InUse", NO),
    "ResourceBusy": (C.TRANSIENT, "Busy", NO),
    "ResourceInaccessible": (C.TRANSIENT, "Inaccessible", NO),
    "UnableToAllocateResource": (C.CAPACITY, "InsufficientResources", NO),
    "NotAllowedInCurrentState": (C.TRANSIENT, "InvalidState", NO),
    "InvalidArgument": (C.TERMINAL, "InvalidArgument", NO),
    "InvalidRequest": (C.TERMINAL, "InvalidRequest", NO),
    "InvalidElementType": (C.TERMINAL, "InvalidArgument", NO),
    "InvalidElementConfiguration": (C.TERMINAL, "InvalidArgument", NO),
    "OperationNotFound": (C.TERMINAL, "NotSupported", NO),
    "UnexpectedInput": (C.TERMINAL, "InvalidRequest", NO),
    "Unsupported": (C.TERMINAL, "NotSupported", NO),
    "TimedOut": (C.TRANSIENT, "TimedOut", UNKNOWN),
    "Canceled": (C.TRANSIENT, "Canceled", UNKNOWN),
    "ServiceUnavailable": (C.UNREACHABLE, "ServiceUnavailable", UNKNOWN),
    "InternalServerError": (C.TRANSIENT, "SystemError", UNKNOWN),
    "FeatureInUse": (C.TRANSIENT, "InUse", NO),
    "Error": (C.TRANSIENT, "SystemError", UNKNOWN),
}
HTTP: dict[int, tuple[FaultClass, str, Executed]] = {
    400: (C.TERMINAL, "InvalidRequest", NO),
    401: (C.TRANSIENT, "NotAuthenticated", NO),
    403: (C.PERMISSION, "NoPermission", NO),
    404: (C.TERMINAL, "NotSupported", NO),
    405: (C.TERMINAL, "NotSupported", NO),
    413: (C.TERMINAL, "TooLarge", NO),
    429: (C.TRANSIENT, "TooManyRequests", NO),
    500: (C.TRANSIENT, "SystemError", UNKNOWN),
    502: (C.UNREACHABLE, "HTTPError", UNKNOWN),
    503: (C.UNREACHABLE, "HTTPError", UNKNOWN),
    504: (C.UNREACHABLE, "HTTPError", UNKNOWN),
    507: (C.CAPACITY, "NoDiskSpace", UNKNOWN),
}


def test_every_row_is_tested_and_every_test_has_a_row() -> None:
    assert set(VIM) == set(TABLE)
    assert set(AUTOMATION) == set(AUTOMATION_TABLE)
    assert set(HTTP) == set(HTTP_TABLE)


_support: Any = VmomiSupport


def vim_faults() -> list[Any]:
    """Every fault type that pyVmomi knows for vCenter."""
    kinds = [
        _support.GetWsdlType(namespace, name)
        for namespace, name in list(_support._wsdlDefMap)
        if namespace == "urn:vim25"
    ]
    return [k for k in kinds if isinstance(k, type) and issubclass(k, vmodl.MethodFault)]


@pytest.mark.parametrize("name", sorted(VIM))
def test_a_vim_fault_has_its_row(name: str) -> None:
    fault = faults.from_vim(_support.GetWsdlType("urn:vim25", name)())
    assert (fault.fault_class, fault.reason, fault.executed) == VIM[name]
    assert (fault.kind, fault.message[-1]) == (name, ".")
    assert fault.retry_after > 0


@pytest.mark.parametrize("name", sorted(AUTOMATION))
def test_an_automation_fault_has_its_row(name: str) -> None:
    from com.vmware.vapi.std import errors_client

    fault = faults.from_automation(getattr(errors_client, name)())
    assert (fault.fault_class, fault.reason, fault.executed) == AUTOMATION[name]
    assert fault.kind == f"vapi.{name}"


def test_a_refusal_of_the_automation_api_names_what_was_refused() -> None:
    from com.vmware.vapi.std import errors_client
    from com.vmware.vapi.std_client import LocalizableMessage

    wish = Asked("tagging.tag.create", '"env-prod"')
    words = faults.from_automation(errors_client.Unauthorized(messages=[]), wish).message
    assert words == (
        'The vCenter user lacks a privilege: tagging.tag.create of "env-prod" needs '
        "InventoryService.Tagging.CreateTag."
    )
    told = LocalizableMessage(
        id="x", default_message="shop does not have attach or detach privilege", args=[]
    )
    words = faults.from_automation(errors_client.Unauthorized(messages=[told]), wish).message
    assert words.endswith("(vCenter says: shop does not have attach or detach privilege).")


@pytest.mark.parametrize("status", sorted(HTTP))
def test_an_http_status_has_its_row(status: int) -> None:
    fault = faults.from_automation_status(status, where="vc:443", mutating=True)
    assert (fault.fault_class, fault.reason, fault.executed) == HTTP[status]
    assert ("not known" in fault.message) is (fault.executed is UNKNOWN)


@pytest.mark.parametrize(("status", "like"), [(418, 400), (451, 400), (520, 500), (302, 500)])
def test_an_unknown_status_counts_as_its_hundred(status: int, like: int) -> None:
    fault = faults.from_automation_status(status, where="vc:443", mutating=True)
    assert (fault.fault_class, fault.reason, fault.executed) == HTTP[like]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507])
def test_a_file_that_may_be_half_there_is_said_so(status: int) -> None:
    assert faults.from_http_status(status, what="the upload of x").executed is UNKNOWN


def test_every_fault_that_pyvmomi_knows_has_words_that_tell_no_secret() -> None:
    kinds = vim_faults()
    assert len(kinds) > 600
    for kind in kinds:
        error = kind()
        for info in kind._GetPropertyList():
            if info.type is str and info.name not in ("msg", "privilegeId", "invalidProperty", "name"):
                setattr(error, info.name, SECRET)
        fault = faults.from_vim(error)
        assert fault.message.endswith("."), kind
        assert fault.reason.isalnum(), kind
        assert 0 < fault.retry_after <= 900, kind
        if fault.kind != "NoDiskSpace":  # names its datastore
            assert SECRET not in fault.message, kind


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("InsufficientMemoryResourcesFault", "InsufficientResourcesFault"),
        ("HostNotConnected", "HostCommunication"),
        ("InvalidDeviceSpec", "VmConfigFault"),
        ("NotEnoughLogicalCpus", "NotEnoughCpus"),
        ("ExpiredFeatureLicense", "NotEnoughLicenses"),
        ("CannotAccessVmDisk", "CannotAccessVmComponent"),
        ("CannotPowerOffVmInCluster", "InvalidState"),
    ],
)
def test_a_type_without_a_row_takes_its_base_types(name: str, row: str) -> None:
    fault = faults.from_vim(_support.GetWsdlType("urn:vim25", name)())
    assert (fault.fault_class, fault.reason, fault.executed) == VIM[row]
    assert fault.kind == name
