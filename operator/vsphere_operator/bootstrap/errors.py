"""Why a machine cannot be given what it boots with, each in words that say what to change.

Bootstrap data holds join tokens. No error here carries a byte of it, neither in its text nor in a chained
exception: parsers keep their input in their exceptions, so these errors are always raised outside the
`except` block.
"""


class BootstrapError(ValueError):
    """What was asked for cannot be delivered to a guest, and asking again with the same input will not help.

    `reason` is the CamelCase word for a Kubernetes condition, the text is its message.
    """

    reason = "BootstrapInvalid"


class UnknownOperatingSystemError(BootstrapError):
    """The operating system is in no family that this operator knows how to boot."""

    reason = "UnknownOperatingSystem"


class InvalidNameError(BootstrapError):
    """A machine name, host name, instance id or MAC address is not one."""

    reason = "InvalidName"


class EmptyDataError(BootstrapError):
    """There are no bootstrap data, or only white space."""

    reason = "BootstrapDataEmpty"


class UndecodableDataError(BootstrapError):
    """The data are not UTF-8 text, or say that they are gzip and are not."""

    reason = "BootstrapDataUndecodable"


class UnknownFormatError(BootstrapError):
    """Cloud-init would skip the data with a warning: nothing at their beginning says what they are."""

    reason = "BootstrapDataFormatUnknown"


class InvalidCloudConfigError(BootstrapError):
    """The data begin with `#cloud-config` and are not a YAML mapping."""

    reason = "CloudConfigInvalid"


class InvalidIgnitionError(BootstrapError):
    """The data are not an Ignition configuration of a supported major version."""

    reason = "IgnitionInvalid"


class DataTooLargeError(BootstrapError):
    """The data do not fit into the channel that carries them."""

    reason = "BootstrapDataTooLarge"
