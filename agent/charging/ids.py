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


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the station. Its tier: the station, an EVSE, or a connector of one (2.x ComponentType)."""

    name: str
    instance: str | None = None
    evse_id: EvseId | None = None
    connector_id: ConnectorId | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """The name of a variable within its component (2.x VariableType)."""

    name: str
    instance: str | None = None


class EventTrigger(StrEnum):
    """What made a monitor speak (2.x EventTriggerEnumType)."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


class MonitorOrigin(StrEnum):
    """Who made a monitor (2.x EventNotificationEnumType)."""

    HARD_WIRED = "HardWiredMonitor"
    PRECONFIGURED = "PreconfiguredMonitor"
    CUSTOM = "CustomMonitor"


TYPE_MARK = "\x1f"
"""Between value and type of a token where both stand in one text; no token holds it (unit separator)."""


class IdTokenType(StrEnum):
    CENTRAL = "Central"
    EMAID = "eMAID"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"
    NO_AUTHORIZATION = "NoAuthorization"
    UNTYPED = "Untyped"
    """Told by somebody who knows no types, as 1.6 does not: it may be of any."""


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token as presented. Content is opaque (OCPP 1.6 3.9); comparison ignores case (CiString)."""

    value: str
    type: IdTokenType = IdTokenType.ISO14443

    @property
    def key(self) -> str:
        """The value, in any case: what two tokens of types that fit are compared by."""
        return self.value.casefold()

    @property
    def typed_key(self) -> str:
        """Value and type; of an untyped token the value alone."""
        return self.key if self.type is IdTokenType.UNTYPED else f"{self.key}{TYPE_MARK}{self.type}"

    @property
    def shown(self) -> str:
        """For logs: key codes never appear there (2.0.1 C04.FR.04)."""
        return "(key code)" if self.type is IdTokenType.KEY_CODE else self.value

    def is_same(self, other: "IdToken | None") -> bool:
        """Value and type (2.0.1 C01.FR.25), as far as both have one."""
        if other is None or self.key != other.key:
            return False
        return self.type is other.type or IdTokenType.UNTYPED in (self.type, other.type)


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
    evse_ids: frozenset[EvseId] = frozenset()
    """Where it may start a transaction; empty = everywhere (2.0.1 C01.FR.20)."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """An EVSE kept for one driver, or for anyone of a group, until a time (OCPP 1.6 3.11, 2.0.1 H01)."""

    reservation_id: int
    """Given by the CSMS."""
    id_token: IdToken
    group: IdToken | None
    expires_at: datetime
    evse_id: EvseId | None = None
    """None: any EVSE."""
    connector_id: ConnectorId | None = None
    """None: any connector of the EVSE."""
    connector_type: str | None = None
    """Only where there is a connector of this type (2.x ConnectorEnumType); None: of any."""


class ReservationEnd(StrEnum):
    """How a reservation ended; 2.x reports the first two (ReservationUpdateStatusEnumType)."""

    EXPIRED = "Expired"
    REMOVED = "Removed"
    """The station cannot keep it any more: a fault, or out of service."""
    CANCELED = "Canceled"
    USED = "Used"


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
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
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

    @property
    def is_end(self) -> bool:
        """After it nothing is going on any more (white paper 6.6)."""
        return self in _ENDS_OF_UPDATES


_ENDS_OF_UPDATES = frozenset(
    {
        FirmwareStatus.IDLE,
        FirmwareStatus.DOWNLOAD_FAILED,
        FirmwareStatus.INSTALLATION_FAILED,
        FirmwareStatus.INSTALL_VERIFICATION_FAILED,
        FirmwareStatus.INSTALLED,
        FirmwareStatus.INVALID_SIGNATURE,
    }
)


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


class SecurityEventType(StrEnum):
    """What happened to the station's security (2.0.1 appendix 1; the security white paper of 1.6 has the same)."""

    ATTEMPTED_REPLAY_ATTACKS = "AttemptedReplayAttacks"
    CSMS_FAILED_TO_AUTHENTICATE = "CsmsFailedToAuthenticate"
    DISCARDED_RENEWED_CERTIFICATE = "DiscardedRenewedClientCertificate"
    """A new certificate of the station led to no connection and is given up (2.0.1 errata 2025-01)."""
    FAILED_TO_AUTHENTICATE_AT_CSMS = "FailedToAuthenticateAtCsms"
    FIRMWARE_UPDATED = "FirmwareUpdated"
    INVALID_CSMS_CERTIFICATE = "InvalidCsmsCertificate"
    INVALID_FIRMWARE_SIGNATURE = "InvalidFirmwareSignature"
    INVALID_FIRMWARE_SIGNING_CERTIFICATE = "InvalidFirmwareSigningCertificate"
    INVALID_MESSAGES = "InvalidMessages"
    INVALID_STATION_CERTIFICATE = "InvalidChargingStationCertificate"
    INVALID_TLS_CIPHER_SUITE = "InvalidTLSCipherSuite"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    MAINTENANCE_LOGIN_ACCEPTED = "MaintenanceLoginAccepted"
    MAINTENANCE_LOGIN_FAILED = "MaintenanceLoginFailed"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    RECONFIGURATION_OF_SECURITY_PARAMETERS = "ReconfigurationOfSecurityParameters"
    RESET_OR_REBOOT = "ResetOrReboot"
    SECURITY_LOG_WAS_CLEARED = "SecurityLogWasCleared"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP_OF_THE_DEVICE = "StartupOfTheDevice"
    TAMPER_DETECTION_ACTIVATED = "TamperDetectionActivated"

    @property
    def is_critical(self) -> bool:
        """As the table of the appendix says (W 8, 2.0.1 appendix 1): the CSMS has to be told."""
        return self in _CRITICAL_EVENTS

    @property
    def is_pushed(self) -> bool:
        """Told to the CSMS: the critical ones, and those that a requirement of the white paper tells to send."""
        return self in _CRITICAL_EVENTS or self in _DEMANDED_EVENTS


_CRITICAL_EVENTS = frozenset(
    {
        SecurityEventType.FIRMWARE_UPDATED,
        SecurityEventType.MAINTENANCE_LOGIN_ACCEPTED,
        SecurityEventType.MAINTENANCE_LOGIN_FAILED,
        SecurityEventType.MEMORY_EXHAUSTION,
        SecurityEventType.RESET_OR_REBOOT,
        SecurityEventType.SECURITY_LOG_WAS_CLEARED,
        SecurityEventType.SETTING_SYSTEM_TIME,
        SecurityEventType.STARTUP_OF_THE_DEVICE,
        SecurityEventType.TAMPER_DETECTION_ACTIVATED,
    }
)
_DEMANDED_EVENTS = frozenset(
    {
        SecurityEventType.DISCARDED_RENEWED_CERTIFICATE,  # 2.0.1 A02.FR.29
        SecurityEventType.INVALID_CSMS_CERTIFICATE,  # A00.FR.309, .413
        SecurityEventType.INVALID_FIRMWARE_SIGNATURE,  # L01.FR.03
        SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE,  # L01.FR.02
        SecurityEventType.INVALID_STATION_CERTIFICATE,  # A02.FR.07, A03.FR.07
        SecurityEventType.INVALID_TLS_CIPHER_SUITE,  # A00.FR.318, .322, .426
        SecurityEventType.INVALID_TLS_VERSION,  # A00.FR.315, .419
    }
)


class CertificateUse(StrEnum):
    """What an installed certificate of an authority is for (2.x InstallCertificateUseEnumType)."""

    CSMS_ROOT = "CSMSRootCertificate"
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"
    V2G_ROOT = "V2GRootCertificate"
    """Plug & Charge: who signs charging stations, as cars see it."""
    MO_ROOT = "MORootCertificate"
    """Plug & Charge: who signs the contracts of cars."""


class HashAlgorithm(StrEnum):
    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


class LogKind(StrEnum):
    """Which log is to be uploaded (2.x LogEnumType)."""

    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


class BootReason(StrEnum):
    POWER_UP = "PowerUp"
    LOCAL_RESET = "LocalReset"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    WATCHDOG = "Watchdog"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
