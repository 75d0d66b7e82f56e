"""THE settings table: every setting once, with type, range, unit, default, mutability and its names in OCPP.

A setting is one row; 1.6 configuration keys and 2.x variables are two views of it. Rows stand in the order in which
they are reported; those of the optional profiles are in `settings_features.py`, those that only 2.x names in
`settings_device_model.py`. Nothing runs here: `settings.py`
holds and changes the values. docs/settings.md is generated from this table.
OCPP 1.6 chapter 9, errata 3.76 to 3.89; 2.0.1 appendix 3 (referenced components and variables).
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from agent.charging.measurands import DEFAULT_ENTRY
from agent.charging.setting import (
    DAY_S,
    LIST_LIMIT,
    YEAR_S,
    Kind,
    Mutability,
    Setting,
    flag,
    integer,
    max_length,
    measurands,
)
from agent.charging.settings_device_model import DEVICE_MODEL_ROWS
from agent.charging.settings_features import FEATURE_ROWS

__all__ = ["SETTINGS", "Kind", "Mutability", "Setting"]

_ROTATIONS = {
    word.lower(): word for word in ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")
}
_RO = Mutability.READ_ONLY


def _canonical_rotation(item: str) -> str:
    number, _dot, rotation = item.partition(".")
    if not re.fullmatch(r"[0-9]{1,3}", number) or rotation.lower() not in _ROTATIONS:
        raise ValueError(f"{item} is not <number>.<rotation>")
    return f"{int(number)}.{_ROTATIONS[rotation.lower()]}"


_ROWS: tuple[Setting, ...] = (
    # --- authorization ---------------------------------------------------------------------------------
    flag(
        "allow_offline_tx_for_unknown_id",
        False,
        "AllowOfflineTxForUnknownId",
        "AuthCtrlr.OfflineTxForUnknownIdEnabled",
        "Offline, a token that nobody knows may start a transaction. Tokens known as blocked, expired or invalid"
        " never may.",
    ),
    flag(
        "authorization_cache_enabled",
        True,
        "AuthorizationCacheEnabled",
        "AuthCacheCtrlr.Enabled",
        "Remember what the CSMS said of each token, and use it as the two settings below allow. Switched off, the"
        " cache is neither read nor written.",
    ),
    flag(
        "authorize_remote_start",
        True,
        "AuthorizeRemoteTxRequests",
        "AuthCtrlr.AuthorizeRemoteStart",
        "A remote start is authorized like a token presented at the station; otherwise it starts at once.",
    ),
    flag(
        "local_authorize_offline",
        True,
        "LocalAuthorizeOffline",
        "AuthCtrlr.LocalAuthorizeOffline",
        "Offline, a token known as valid may start a transaction.",
    ),
    flag(
        "local_pre_authorize",
        False,
        "LocalPreAuthorize",
        "AuthCtrlr.LocalPreAuthorize",
        "Online, a token known as valid starts a transaction without asking the CSMS first.",
    ),
    # --- transactions ----------------------------------------------------------------------------------
    flag(
        "tx_before_accepted",
        True,
        "TxBeforeAccepted",
        "TxCtrlr.TxBeforeAcceptedEnabled",
        "After a start transactions may begin before the CSMS has accepted the station again; those are sent later.",
    ),
    flag(
        "tx_never_accepted",
        False,
        "TxNeverAccepted",
        "TxCtrlr.TxNeverAccepted",
        "Transactions may begin although no CSMS has ever accepted the station; they may never be delivered.",
    ),
    flag(
        "accepted_once",
        False,
        "AcceptedOnce",
        None,
        "Set by the station when a CSMS accepts it for the first time.",
        mutability=_RO,
    ),
    integer(
        "connection_timeout_s",
        60,
        "ConnectionTimeOut",
        "TxCtrlr.EVConnectionTimeOut",
        "How long an authorized driver may take to plug in, counted from the authorization; then it lapses."
        " 0 = as long as it takes.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "max_energy_on_invalid_id_wh",
        0,
        "MaxEnergyOnInvalidId",
        "TxCtrlr.MaxEnergyOnInvalidId",
        "Energy that a transaction may take in all, although the CSMS refused its token after the start.",
        unit="Wh",
    ),
    flag(
        "stop_on_ev_side_disconnect",
        True,
        "StopTransactionOnEVSideDisconnect",
        "TxCtrlr.StopTxOnEVSideDisconnect",
        "Unplugging at the EV ends the transaction. Otherwise it goes on, the cable stays locked, and charging"
        " resumes when the EV is plugged in again.",
    ),
    flag(
        "stop_on_invalid_id",
        True,
        "StopTransactionOnInvalidId",
        "TxCtrlr.StopTxOnInvalidId",
        "End a transaction whose token the CSMS refused after the start. Otherwise only the energy stops.",
    ),
    flag(
        "unlock_on_ev_side_disconnect",
        True,
        "UnlockConnectorOnEVSideDisconnect",
        "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
        "Unlock the cable at the station once it was unplugged at the EV; otherwise it stays locked until the"
        " driver identifies. Read-only and false with a fixed cable.",
    ),
    Setting(
        name="tx_start_point",
        kind=Kind.LIST,
        default="PowerPathClosed",
        choices=("EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer"),
        max_items=5,
        component="TxCtrlr",
        variable="TxStartPoint",
        doc="When a transaction starts: with the first of these. PowerPathClosed = EV connected and driver authorized,"
        " and that alone while OCPP 1.6 is spoken. DataSigned only where a meter signs. There is no sensor for"
        " ParkingBayOccupancy.",
    ),
    Setting(
        name="tx_stop_point",
        kind=Kind.LIST,
        default="EVConnected,Authorized",
        choices=("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"),
        max_items=4,
        component="TxCtrlr",
        variable="TxStopPoint",
        doc="When a transaction stops: as soon as one of these is no longer given, and in any case when both cable and"
        " driver are gone. While OCPP 1.6 is spoken: Authorized, with what unplugging means set elsewhere.",
    ),
    flag(
        "resume_after_power_loss",
        False,
        "ResumeTransactionAfterPowerLoss",
        "TxCtrlr.ResumeAfterPowerLoss",
        "A transaction found open at start goes on. Otherwise it is stopped with reason PowerLoss and the last"
        " register on disk.",
    ),
    integer(
        "current_limit_a",
        80,
        "CurrentLimit",
        "SmartChargingCtrlr.CurrentLimit",
        "Current per phase that every EVSE offers at most, below what hardware and cable allow. Less than 6 A"
        " pauses charging; it never ends a transaction.",
        unit="A",
        most=80,
    ),
    # --- metering --------------------------------------------------------------------------------------
    integer(
        "clock_aligned_interval_s",
        0,
        "ClockAlignedDataInterval",
        "AlignedDataCtrlr.Interval",
        "Period of the readings on the grid that starts at midnight UTC. 0 = none.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "sample_interval_s",
        0,
        "MeterValueSampleInterval",
        "SampledDataCtrlr.TxUpdatedInterval",
        "Period of the readings during a transaction, counted from its start. 0 = none.",
        unit="s",
        most=YEAR_S,
    ),
    measurands(
        "aligned_measurands",
        "MeterValuesAlignedData",
        "AlignedDataCtrlr",
        "Measurands",
        DEFAULT_ENTRY,
        "What the clock-aligned readings hold. Empty = Energy.Active.Import.Register.",
    ),
    max_length("aligned_measurands", "MeterValuesAlignedDataMaxLength", LIST_LIMIT),
    measurands(
        "sampled_measurands",
        "MeterValuesSampledData",
        "SampledDataCtrlr",
        "TxUpdatedMeasurands",
        DEFAULT_ENTRY,
        "What the readings during a transaction and the triggered ones hold. Empty = Energy.Active.Import.Register.",
    ),
    measurands(
        "start_measurands",
        "StartTxnSampledData",
        "SampledDataCtrlr",
        "TxStartedMeasurands",
        "",
        "What a reading right at the start of a transaction holds, beside its meterStart. Empty = no such reading.",
    ),
    max_length("sampled_measurands", "MeterValuesSampledDataMaxLength", LIST_LIMIT),
    measurands(
        "stop_aligned_measurands",
        "StopTxnAlignedData",
        "AlignedDataCtrlr",
        "TxEndedMeasurands",
        "",
        "What is collected at each clock-aligned reading and sent when the transaction ends. Empty = nothing.",
    ),
    max_length("stop_aligned_measurands", "StopTxnAlignedDataMaxLength", LIST_LIMIT),
    measurands(
        "stop_sampled_measurands",
        "StopTxnSampledData",
        "SampledDataCtrlr",
        "TxEndedMeasurands",
        "",
        "What is collected at each sampled reading and sent when the transaction ends. Empty = nothing.",
    ),
    max_length("stop_sampled_measurands", "StopTxnSampledDataMaxLength", LIST_LIMIT),
    integer(
        "stop_max_samples",
        500,
        "StopTransactionMaxMeterValues",
        "SampledDataCtrlr.TxEndedMaxReadings",
        "Readings that the message about the end of a transaction holds at most. If there are more, every other"
        " one in between is dropped, never the first and the last.",
        least=2,
        mutability=_RO,
    ),
    flag(
        "stop_on_meter_failure",
        True,
        "StopChargingOnMeterFailure",
        "TxCtrlr.StopOnMeterFailure",
        "A meter that is silent three times in a row stops the energy until it speaks again; otherwise that is a"
        " warning. Without a reading no transaction starts in either case.",
    ),
    Setting(
        name="connector_phase_rotation",
        kind=Kind.LIST,
        default="",
        canonical=_canonical_rotation,
        max_items=65,
        key16="ConnectorPhaseRotation",
        doc="Phase rotation of each connector relative to the grid, e.g. 0.RST,1.RTS; 0 is the main meter.",
    ),
    max_length("connector_phase_rotation", "ConnectorPhaseRotationMaxLength", 65),
    # --- the station and its lights --------------------------------------------------------------------
    integer(
        "blink_repeat",
        3,
        "BlinkRepeat",
        "ChargingStatusIndicator.BlinkRepeat",
        "How often the light blinks to say that a token was accepted or refused. 0 = not at all.",
        unit="times",
        most=100,
    ),
    integer(
        "light_intensity_percent",
        100,
        "LightIntensity",
        "ChargingStatusIndicator.LightIntensity",
        "Brightness of the light, in percent of the brightest. 0 = dark; the lights of this hardware know only on and"
        " off, so anything else is on.",
        unit="%",
        most=100,
    ),
    integer(
        "number_of_connectors",
        1,
        "NumberOfConnectors",
        None,
        "Connectors of the station; follows from the hardware.",
        least=1,
        mutability=_RO,
    ),
    integer(
        "reset_retries",
        1,
        "ResetRetries",
        "OCPPCommCtrlr.ResetRetries",
        "How often a reset that failed is tried again.",
        unit="times",
        most=100,
    ),
    integer(
        "minimum_status_duration_s",
        0,
        "MinimumStatusDuration",
        "ChargingStation.MinimumStatusDuration",
        "A connector status is reported only after it lasted this long.",
        unit="s",
        most=DAY_S,
    ),
    # --- talking to the CSMS ---------------------------------------------------------------------------
    integer(
        "heartbeat_interval_s",
        300,
        "HeartbeatInterval",
        "OCPPCommCtrlr.HeartbeatInterval",
        "After this long without a message of ours a Heartbeat is sent. The CSMS sets it when it accepts the station.",
        unit="s",
        least=1,
        most=YEAR_S,
    ),
    replace(
        integer(
            "message_timeout_s",
            30,
            "MessageTimeout",
            "OCPPCommCtrlr.MessageTimeout.Default",
            "How long we wait for the answer to a message. In 2.x it is set with the network connection profile.",
            unit="s",
            least=1,
            most=3600,
        ),
        mutability2=_RO,
    ),
    integer(
        "transaction_message_attempts",
        3,
        "TransactionMessageAttempts",
        "OCPPCommCtrlr.MessageAttempts.TransactionEvent",
        "How often a transaction message that the CSMS failed to take is sent before it is given up. 0 counts as 1."
        " A lost connection is no attempt.",
        unit="times",
        most=1000,
    ),
    integer(
        "transaction_message_retry_interval_s",
        60,
        "TransactionMessageRetryInterval",
        "OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent",
        "Wait before the next attempt, multiplied by the number of attempts so far.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "websocket_ping_interval_s",
        54,
        "WebSocketPingInterval",
        "OCPPCommCtrlr.WebSocketPingInterval",
        "Period of the WebSocket pings of the station. 0 = none.",
        unit="s",
        most=DAY_S,
    ),
    flag(
        "boot_notification_on_reconnect",
        False,
        "BootNotificationOnReconnect",
        None,
        "Send BootNotification after every connection. Otherwise after a mere reconnect only if what it says has"
        " changed, as OCPP-J demands.",
    ),
    flag(
        "trigger_boot_notification_when_accepted",
        True,
        "TriggerBootNotificationWhenAccepted",
        None,
        "TriggerMessage(BootNotification) is followed although the CSMS has accepted the station before.",
    ),
    Setting(
        name="supported_feature_profiles",
        kind=Kind.LIST,
        default="Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
        choices=(
            "Core",
            "FirmwareManagement",
            "LocalAuthListManagement",
            "Reservation",
            "SmartCharging",
            "RemoteTrigger",
        ),
        max_items=6,
        mutability=_RO,
        key16="SupportedFeatureProfiles",
        doc="The feature profiles of OCPP 1.6 that are there.",
    ),
    max_length("supported_feature_profiles", "SupportedFeatureProfilesMaxLength", 6),
    integer(
        "get_configuration_max_keys",
        100,
        "GetConfigurationMaxKeys",
        None,
        "Keys that one GetConfiguration may ask for by name.",
        least=1,
        mutability=_RO,
    ),
    # --- security --------------------------------------------------------------------------------------
    Setting(
        name="authorization_key",
        kind=Kind.HEX,
        default="",
        least=32,
        most=512,
        most16=40,
        mutability=Mutability.WRITE_ONLY,
        key16="AuthorizationKey",
        component="SecurityCtrlr",
        variable="BasicAuthPassword",
        doc="Password of the station for HTTP Basic as hex digits: 16 to 20 bytes in 1.6. 2.x writes it as text, 16 to"
        " 64 characters. Never shown. Empty = the password of the configuration file.",
    ),
    replace(
        integer(
            "security_profile",
            0,
            "SecurityProfile",
            "SecurityCtrlr.SecurityProfile",
            "Security profile of the connection: 0 none, 1 password, 2 TLS and password, 3 TLS and a certificate of the"
            " station. It can only be raised, and only when what it needs is there (docs/security.md). In 2.x it"
            " follows the network connection profile.",
            most=3,
        ),
        mutability2=_RO,
    ),
)
SETTINGS: Mapping[str, Setting] = {row.name: row for row in (*_ROWS, *FEATURE_ROWS, *DEVICE_MODEL_ROWS)}
