"""Names of things and closed lists of words, in the vocabulary of OCPP 2.x but in our own types.

Values are what is stored on disk, so they never change once released. Each front end maps them to its own
spelling. Used by every floor above and below; imports nothing of the agent.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

EvseId: TypeAlias = int
"""1..n; 0 means the station as a whole (main meter, main controller)."""
ConnectorId: TypeAlias = int
"""1..n within its EVSE; 0 means the EVSE as a whole."""
TransactionId: TypeAlias = str
"""Our own id (a UUID in text); what a 1.6 CSMS calls transactionId is a `reference` bound to it later."""


class IdTokenType(StrEnum):
    CENTRAL = "Central"
    EMAID = "eMAID"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"
    NO_AUTHORIZATION = "NoAuthorization"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token as presented. Content is opaque (OCPP 1.6 3.9); comparison ignores case (CiString)."""

    value: str
    type: IdTokenType = IdTokenType.ISO14443

    @property
    def key(self) -> str:
        """What two tokens are compared by."""
        return self.value.casefold()

    def is_same(self, other: "IdToken | None") -> bool:
        return other is not None and self.key == other.key


class AuthorizationStatus(StrEnum):
    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class IdTokenInfo:
    """What is known of a token: its status, until when, and the group it belongs to."""

    status: AuthorizationStatus
    expires_at: datetime | None = None
    group: IdToken | None = None


class StopReason(StrEnum):
    """Why a transaction ended. 1.6 and 2.x reasons together; each front end narrows to its own."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    HARD_RESET = "HardReset"
    LOCAL = "Local"
    MASTER_PASS = "MasterPass"
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOFT_RESET = "SoftReset"
    STOPPED_BY_EV = "StoppedByEV"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TIMEOUT = "Timeout"
    UNLOCK_COMMAND = "UnlockCommand"


class TriggerReason(StrEnum):
    """What made a transaction fact happen (2.x triggerReason)."""

    ABNORMAL_CONDITION = "AbnormalCondition"
    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    REMOTE_START = "RemoteStart"
    REMOTE_STOP = "RemoteStop"
    RESET_COMMAND = "ResetCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"


class ChargingState(StrEnum):
    """Energy side of a transaction (2.x chargingState)."""

    IDLE = "Idle"
    EV_CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"


class ReadingContext(StrEnum):
    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"
    SAMPLE_CLOCK = "Sample.Clock"
    SAMPLE_PERIODIC = "Sample.Periodic"
    TRANSACTION_BEGIN = "Transaction.Begin"
    TRANSACTION_END = "Transaction.End"
    TRIGGER = "Trigger"


class ResetKind(StrEnum):
    """SOFT: stop transactions gracefully, restart the software. HARD: restart at once. ON_IDLE: when free."""

    SOFT = "Soft"
    HARD = "Hard"
    ON_IDLE = "OnIdle"


class FirmwareStatus(StrEnum):
    """Where a firmware update stands (2.x FirmwareStatusEnumType; the security white paper of 1.6 has the same)."""

    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    DOWNLOADING = "Downloading"
    DOWNLOAD_PAUSED = "DownloadPaused"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    IDLE = "Idle"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLED = "Installed"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INVALID_SIGNATURE = "InvalidSignature"
    SIGNATURE_VERIFIED = "SignatureVerified"


class UploadStatus(StrEnum):
    """Where the upload of a log stands (2.x UploadLogStatusEnumType)."""

    ACCEPTED_CANCELED = "AcceptedCanceled"
    BAD_MESSAGE = "BadMessage"
    IDLE = "Idle"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    PERMISSION_DENIED = "PermissionDenied"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    UPLOADING = "Uploading"


class BootReason(StrEnum):
    POWER_UP = "PowerUp"
    LOCAL_RESET = "LocalReset"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    WATCHDOG = "Watchdog"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
