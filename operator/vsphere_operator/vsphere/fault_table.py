"""The table of faults: what vCenter says -> class, condition reason, words, delay. One row a fault type.

A type without a row takes that of the nearest base type that has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Executed(Enum):
    """Whether what a failed call asked for may have happened all the same."""

    NO = "no"
    """Never sent, or refused before anything was done."""
    UNKNOWN = "unknown"
    """Only a look at the object tells."""


class FaultClass(Enum):
    TRANSIENT = "transient"
    """Passes by itself; try again soon."""
    TERMINAL = "terminal"
    """The same request will fail again: something in the specification has to change."""
    PERMISSION = "permission"
    """The user lacks a privilege."""
    CAPACITY = "capacity"
    """Something is full; room has to be made or another place chosen."""
    CONFLICT = "conflict"
    """Somebody else was there first: look again."""
    GONE = "gone"
    """The object of the call does not exist."""
    CREDENTIALS = "credentials"
    """User name or password were refused."""
    UNREACHABLE = "unreachable"
    """vCenter did not answer; what a call did says `Fault.executed`."""
    UNTRUSTED = "untrusted"
    """vCenter's certificate is not trusted."""


@dataclass(frozen=True, slots=True)
class Row:
    fault_class: FaultClass
    reason: str
    words: str
    retry_after: float
    quotes: bool = False
    """Whether vCenter's own text is added: only where our words cannot be specific."""
    executed: Executed = Executed.NO
    """For a call that changes something; an internal error may come after the deed."""


SOON, LATER, RARELY = 5.0, 30.0, 300.0
REJECTED_LOGIN_PAUSE = 900.0
"""Seconds between two tries of a refused password: directories lock users who fail too often."""

_C = FaultClass

TABLE: dict[str, Row] = {
    # Access
    "InvalidLogin": Row(
        _C.CREDENTIALS,
        "InvalidLogin",
        "vCenter refused the user name or password. Correct the Secret; if they are right, the directory"
        " behind"
        " vCenter may be down",
        REJECTED_LOGIN_PAUSE,
    ),
    "PasswordExpired": Row(
        _C.CREDENTIALS,
        "PasswordExpired",
        "The vCenter user's password has expired. Set a new one",
        REJECTED_LOGIN_PAUSE,
    ),
    "NoPermission": Row(_C.PERMISSION, "NoPermission", "The vCenter user lacks a privilege", RARELY),
    "NotAuthenticated": Row(
        _C.TRANSIENT, "NotAuthenticated", "The vCenter session ended; logging in again", SOON
    ),
    "SecurityError": Row(
        _C.PERMISSION, "NoPermission", "vCenter denied the operation for security reasons", RARELY
    ),
    "NoPermissionOnHost": Row(
        _C.PERMISSION,
        "NoPermission",
        "vCenter's own user on the host lacks a privilege. Reconnect the host",
        RARELY,
    ),
    "RestrictedByAdministrator": Row(
        _C.PERMISSION, "Restricted", "An administrator has restricted this operation", RARELY, True
    ),
    # Gone, there already, changed meanwhile
    "ManagedObjectNotFound": Row(_C.GONE, "NotFound", "The object no longer exists in vCenter", SOON),
    "NotFound": Row(_C.GONE, "NotFound", "What was asked for does not exist in vCenter", SOON),
    "FileNotFound": Row(_C.GONE, "FileNotFound", "A file on the datastore does not exist", LATER),
    "DuplicateName": Row(_C.CONFLICT, "NameTaken", "Something of this name is in the folder already", LATER),
    "AlreadyExists": Row(_C.CONFLICT, "AlreadyExists", "It exists already", LATER),
    "FileAlreadyExists": Row(
        _C.CONFLICT, "FileExists", "A file of this name is on the datastore already", LATER
    ),
    "ConcurrentAccess": Row(
        _C.CONFLICT, "ChangedMeanwhile", "Somebody else changed the object meanwhile", SOON
    ),
    "DirectoryNotEmpty": Row(_C.CONFLICT, "DirectoryNotEmpty", "The directory holds other files", LATER),
    # Busy
    "TaskInProgress": Row(_C.TRANSIENT, "Busy", "Another task works on the object", SOON),
    "VAppTaskInProgress": Row(_C.TRANSIENT, "Busy", "Another task works on the vApp", SOON),
    "ResourceInUse": Row(_C.TRANSIENT, "InUse", "The object is in use", LATER),
    "FileLocked": Row(
        _C.TRANSIENT, "FileLocked", "A file of the virtual machine is locked by another host", LATER
    ),
    "MethodDisabled": Row(
        _C.TRANSIENT,
        "MethodDisabled",
        "Another product (often a backup) has blocked this operation; waiting",
        LATER,
    ),
    "RequestCanceled": Row(
        _C.TRANSIENT, "Canceled", "The operation was canceled in vCenter", LATER, executed=Executed.UNKNOWN
    ),
    "Timedout": Row(
        _C.TRANSIENT,
        "TimedOut",
        "vCenter gave the operation up after its own time limit",
        LATER,
        executed=Executed.UNKNOWN,
    ),
    "QuestionPending": Row(
        _C.TRANSIENT,
        "QuestionPending",
        "The virtual machine waits for the answer to a question in vCenter",
        LATER,
    ),
    "InvalidState": Row(
        _C.TRANSIENT, "InvalidState", "The object is in a state that does not allow this", LATER
    ),
    "InvalidPowerState": Row(
        _C.CONFLICT, "InvalidPowerState", "The virtual machine is in another power state than was seen", SOON
    ),
    "ToolsUnavailable": Row(_C.TRANSIENT, "ToolsUnavailable", "VMware Tools do not run in the guest", LATER),
    "VAppOperationInProgress": Row(_C.TRANSIENT, "Busy", "Another operation works on the vApp", SOON),
    "SnapshotLocked": Row(
        _C.TRANSIENT, "Busy", "A snapshot of the virtual machine is being worked on", LATER
    ),
    "TooManyConcurrentNativeClones": Row(
        _C.TRANSIENT, "Busy", "The storage makes as many clones as it can at the moment", LATER
    ),
    "VAppNotRunning": Row(
        _C.TRANSIENT, "InvalidState", "The vApp of the virtual machine does not run", LATER
    ),
    "EncryptionKeyRequired": Row(
        _C.TERMINAL,
        "EncryptionKeyRequired",
        "The host has no encryption key. Check vCenter's key provider",
        RARELY,
    ),
    # Full
    "NoDiskSpace": Row(
        _C.CAPACITY, "NoDiskSpace", "The datastore is full. Free space on it or name another one", RARELY
    ),
    "InsufficientResourcesFault": Row(
        _C.CAPACITY,
        "InsufficientResources",
        "The resource pool or its hosts have not enough CPU, memory or storage left",
        RARELY,
    ),
    "NoCompatibleHost": Row(
        _C.CAPACITY,
        "NoCompatibleHost",
        "No host can run this virtual machine. Check that the hosts are connected and reach the datastore"
        " and networks",
        RARELY,
    ),
    "NoActiveHostInCluster": Row(
        _C.CAPACITY,
        "NoActiveHost",
        "The compute cluster has no connected host outside maintenance mode",
        RARELY,
    ),
    "NotEnoughCpus": Row(_C.TERMINAL, "NotEnoughCpus", "No host has that many CPUs. Ask for fewer", RARELY),
    "MemorySizeNotSupported": Row(
        _C.TERMINAL, "MemorySizeNotSupported", "The memory size is not supported", RARELY
    ),
    "NotEnoughLicenses": Row(
        _C.CAPACITY, "NotEnoughLicenses", "vCenter has not enough licenses for this", RARELY
    ),
    "LicenseExpired": Row(_C.CAPACITY, "LicenseExpired", "A vSphere license has expired", RARELY),
    "InsufficientFailoverResourcesFault": Row(
        _C.CAPACITY,
        "InsufficientFailoverResources",
        "vSphere HA keeps what is left for failovers. Add hosts or change its admission control",
        RARELY,
    ),
    "InsufficientStorageSpace": Row(
        _C.CAPACITY,
        "NoDiskSpace",
        "No datastore of the datastore cluster has enough free space. Free some, or add a datastore",
        RARELY,
    ),
    "NoCompatibleDatastore": Row(
        _C.CAPACITY,
        "NoCompatibleDatastore",
        "No datastore of the datastore cluster can take the virtual machine. Check that one is accessible, out of"
        " maintenance and mounted by the compute cluster's hosts",
        RARELY,
    ),
    "CannotPlaceWithoutPrerequisiteMoves": Row(
        _C.CAPACITY,
        "OtherDisksInTheWay",
        "Storage DRS would have to move other virtual machines' disks first, which is not asked of it",
        RARELY,
    ),
    "StorageDrsUnableToMoveFiles": Row(
        _C.CAPACITY,
        "OtherDisksInTheWay",
        "Storage DRS cannot move the files that would have to make room",
        RARELY,
    ),
    "TooManyNativeClonesOnFile": Row(
        _C.CAPACITY, "TooManyClones", "The storage makes no more clones of this disk", RARELY
    ),
    "TooManyNativeCloneLevels": Row(
        _C.CAPACITY, "TooManyClones", "The storage makes no more clones of a clone of this disk", RARELY
    ),
    "NoAvailableIp": Row(_C.CAPACITY, "NoAvailableIP", "The network's address pool is used up", RARELY),
    "LicenseServerUnavailable": Row(
        _C.TRANSIENT, "LicenseServerUnavailable", "vCenter's license service does not answer", LATER
    ),
    "InvalidLicense": Row(_C.CAPACITY, "InvalidLicense", "A vSphere license is not valid", RARELY),
    # Hosts and storage
    "HostCommunication": Row(
        _C.TRANSIENT, "HostUnreachable", "vCenter cannot talk to the host at the moment", LATER
    ),
    "HostConnectFault": Row(
        _C.TRANSIENT, "HostUnreachable", "vCenter cannot talk to the host at the moment", LATER
    ),
    "InvalidDatastoreState": Row(
        _C.TRANSIENT, "DatastoreUnavailable", "The datastore is in or on its way into maintenance", LATER
    ),
    "InvalidHostState": Row(
        _C.TRANSIENT, "HostUnavailable", "The host is disconnected or in maintenance mode", LATER
    ),
    "InaccessibleDatastore": Row(
        _C.TRANSIENT, "DatastoreInaccessible", "The datastore is not accessible", LATER
    ),
    "DatastoreNotWritableOnHost": Row(
        _C.TRANSIENT, "DatastoreNotWritable", "The host cannot write to the datastore", LATER
    ),
    "InvalidDatastore": Row(_C.TERMINAL, "InvalidDatastore", "The datastore cannot be used for this", RARELY),
    "InvalidDatastorePath": Row(_C.TERMINAL, "InvalidDatastorePath", "A datastore path is malformed", RARELY),
    "CannotAccessFile": Row(
        _C.TRANSIENT, "FileInaccessible", "A file on the datastore cannot be accessed", LATER
    ),
    "CannotAccessNetwork": Row(
        _C.TERMINAL,
        "NetworkInaccessible",
        "The host cannot reach the network. Check the network's hosts",
        RARELY,
    ),
    "FileFault": Row(_C.TRANSIENT, "FileFault", "A file operation on the datastore failed", LATER, True),
    "SnapshotFault": Row(_C.TERMINAL, "SnapshotFault", "A snapshot stands in the way", RARELY, True),
    "SSLVerifyFault": Row(
        _C.TERMINAL,
        "HostNotTrusted",
        "vCenter does not trust the host's certificate. Reconnect the host in vCenter",
        RARELY,
    ),
    "MultipleCertificatesVerifyFault": Row(
        _C.TERMINAL,
        "HostNotTrusted",
        "vCenter does not trust a certificate of the host. Reconnect the host in vCenter",
        RARELY,
    ),
    "StorageDrsHmsUnreachable": Row(
        _C.TRANSIENT, "ReplicationUnreachable", "vSphere Replication's service does not answer", LATER
    ),
    "StorageDrsHmsMoveInProgress": Row(
        _C.TRANSIENT, "Busy", "vSphere Replication moves disks at the moment", LATER
    ),
    "CannotAccessVmComponent": Row(
        _C.TRANSIENT, "FileInaccessible", "The host cannot access a part of the virtual machine", LATER, True
    ),
    "CannotDeleteFile": Row(_C.TRANSIENT, "FileFault", "A file on the datastore cannot be deleted", LATER),
    "FileTooLarge": Row(
        _C.TERMINAL, "FileTooLarge", "The file is larger than the datastore's format allows", RARELY
    ),
    "FileNameTooLong": Row(_C.TERMINAL, "FileNameTooLong", "The file's name is too long", RARELY),
    "NotAFile": Row(_C.TERMINAL, "InvalidDatastorePath", "A datastore path is no file", RARELY),
    "NotADirectory": Row(_C.TERMINAL, "InvalidDatastorePath", "A datastore path is no directory", RARELY),
    "QuarantineModeFault": Row(
        _C.TRANSIENT, "HostQuarantined", "The hosts are in quarantine because of their health", LATER
    ),
    # The request itself
    "InvalidName": Row(_C.TERMINAL, "InvalidName", "vCenter does not accept this name", RARELY),
    "InvalidFolder": Row(_C.TERMINAL, "InvalidFolder", "The folder cannot hold this kind of object", RARELY),
    "InvalidArgument": Row(
        _C.TERMINAL, "InvalidArgument", "vCenter does not accept a value of the request", RARELY, True
    ),
    "InvalidRequest": Row(
        _C.TERMINAL, "InvalidRequest", "vCenter does not understand the request", RARELY, True
    ),
    "VmConfigFault": Row(
        _C.TERMINAL,
        "InvalidVmConfig",
        "vCenter or a host does not accept the hardware asked for",
        RARELY,
        True,
    ),
    "RuleViolation": Row(_C.TERMINAL, "RuleViolation", "A DRS rule forbids this", RARELY),
    "VmHostAffinityRuleViolation": Row(
        _C.TERMINAL, "RuleViolation", "A rule that binds virtual machines to hosts forbids this", RARELY
    ),
    "NoCompatibleHardAffinityHost": Row(
        _C.TERMINAL, "RuleViolation", "No host that the rules allow can run the virtual machine", RARELY
    ),
    "CpuIncompatible": Row(
        _C.TERMINAL, "CpuIncompatible", "The host's CPU lacks what the virtual machine needs", RARELY
    ),
    "MigrationFault": Row(
        _C.TERMINAL, "NotCompatible", "Host and virtual machine do not fit together", RARELY, True
    ),
    "CustomizationFault": Row(
        _C.TERMINAL, "CustomizationFault", "vCenter cannot customize the guest", RARELY, True
    ),
    "ExtendedFault": Row(
        _C.TERMINAL,
        "RefusedByExtension",
        "A product that extends vCenter refused the operation",
        RARELY,
        True,
    ),
    "DisallowedChangeByService": Row(
        _C.TERMINAL, "ManagedByOthers", "Another product manages the object and forbids this change", RARELY
    ),
    "InvalidProperty": Row(_C.TERMINAL, "InvalidRequest", "vCenter does not know a property", RARELY, True),
    "DisallowedOperationOnFailoverHost": Row(
        _C.TERMINAL, "FailoverHost", "The host is kept for failover", RARELY
    ),
    "NotSupported": Row(
        _C.TERMINAL, "NotSupported", "This vCenter does not support the operation", RARELY, True
    ),
    "NotImplemented": Row(
        _C.TERMINAL, "NotSupported", "This vCenter does not support the operation", RARELY, True
    ),
    "RestrictedVersion": Row(
        _C.TERMINAL, "NotLicensed", "The host's license does not allow the operation", RARELY
    ),
    # Collections that only this package sees
    "InvalidCollectorVersion": Row(_C.TRANSIENT, "Resync", "The watch has to begin anew", SOON),
    # Last resorts: a base type, so that every vim fault finds a row
    "SystemError": Row(
        _C.TRANSIENT,
        "SystemError",
        "vCenter reports an internal error",
        LATER,
        True,
        executed=Executed.UNKNOWN,
    ),
    "UnexpectedFault": Row(
        _C.TRANSIENT,
        "SystemError",
        "vCenter reports an unexpected fault",
        LATER,
        True,
        executed=Executed.UNKNOWN,
    ),
    "VimFault": Row(
        _C.TRANSIENT, "VCenterFault", "vCenter refused the operation", LATER, True, executed=Executed.UNKNOWN
    ),
    "RuntimeFault": Row(
        _C.TRANSIENT,
        "VCenterFault",
        "vCenter failed to carry out the operation",
        LATER,
        True,
        executed=Executed.UNKNOWN,
    ),
    "MethodFault": Row(
        _C.TRANSIENT,
        "VCenterFault",
        "vCenter failed to carry out the operation",
        LATER,
        True,
        executed=Executed.UNKNOWN,
    ),
}

AUTOMATION_TABLE: dict[str, Row] = {
    "Unauthenticated": TABLE["NotAuthenticated"],
    "Unauthorized": TABLE["NoPermission"],
    "NotFound": TABLE["NotFound"],
    "AlreadyExists": TABLE["AlreadyExists"],
    "AlreadyInDesiredState": Row(_C.CONFLICT, "AlreadyExists", "It is as asked for already", SOON),
    "ConcurrentChange": TABLE["ConcurrentAccess"],
    "ResourceInUse": TABLE["ResourceInUse"],
    "ResourceBusy": TABLE["TaskInProgress"],
    "ResourceInaccessible": Row(
        _C.TRANSIENT, "Inaccessible", "vCenter cannot access the object at the moment", LATER
    ),
    "UnableToAllocateResource": TABLE["InsufficientResourcesFault"],
    "NotAllowedInCurrentState": TABLE["InvalidState"],
    "InvalidArgument": TABLE["InvalidArgument"],
    "InvalidRequest": TABLE["InvalidRequest"],
    "InvalidElementType": TABLE["InvalidArgument"],
    "InvalidElementConfiguration": TABLE["InvalidArgument"],
    "OperationNotFound": TABLE["NotSupported"],
    "UnexpectedInput": TABLE["InvalidRequest"],
    "Unsupported": TABLE["NotSupported"],
    "TimedOut": TABLE["Timedout"],
    "Canceled": TABLE["RequestCanceled"],
    "ServiceUnavailable": Row(
        _C.UNREACHABLE,
        "ServiceUnavailable",
        "vCenter's Automation API is not available at the moment",
        LATER,
        executed=Executed.UNKNOWN,
    ),
    "InternalServerError": TABLE["SystemError"],
    "FeatureInUse": TABLE["ResourceInUse"],
    "Error": TABLE["SystemError"],
}

HTTP_TABLE: dict[int, Row] = {
    400: Row(_C.TERMINAL, "InvalidRequest", "the request was not understood", RARELY),
    401: TABLE["NotAuthenticated"],
    403: Row(_C.PERMISSION, "NoPermission", "the vCenter user is denied this", RARELY),
    404: Row(_C.TERMINAL, "NotSupported", "there is no such address", RARELY),
    405: Row(_C.TERMINAL, "NotSupported", "the method is not allowed", RARELY),
    413: Row(_C.TERMINAL, "TooLarge", "the request is too large", RARELY),
    429: Row(_C.TRANSIENT, "TooManyRequests", "too many requests; waiting", LATER),
    500: Row(_C.TRANSIENT, "SystemError", "an internal error", LATER, executed=Executed.UNKNOWN),
    502: Row(
        _C.UNREACHABLE, "HTTPError", "a part of vCenter does not answer", LATER, executed=Executed.UNKNOWN
    ),
    # Envoy says so without having asked the service, but also when the service ended while it was at work.
    503: Row(
        _C.UNREACHABLE, "HTTPError", "a part of vCenter does not answer", LATER, executed=Executed.UNKNOWN
    ),
    504: Row(
        _C.UNREACHABLE,
        "HTTPError",
        "a part of vCenter does not answer in time",
        LATER,
        executed=Executed.UNKNOWN,
    ),
    507: Row(
        _C.CAPACITY,
        "NoDiskSpace",
        "the datastore is full. Free space on it or name another one",
        RARELY,
        executed=Executed.UNKNOWN,
    ),
}
"""Answers of the proxy before vCenter, of the Automation API and of the file service. The words go on a sentence."""


def of_status(status: int) -> Row:
    """The row of an HTTP status; an unknown one counts as its hundred."""
    return HTTP_TABLE.get(status) or HTTP_TABLE[400 if 400 <= status < 500 else 500]
