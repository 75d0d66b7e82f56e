"""The rows of the settings table that only 2.x names: message limits, monitoring, connection, device model.

Read with the rows of `settings_table.py`, which merges them; nothing else imports this file. A row without a 1.6 key is
not seen by a 1.6 CSMS, and what it says holds for it all the same.
OCPP 2.0.1 part 2, chapter "Referenced Components and Variables"; part 4 chapter 8.
"""

from dataclasses import replace

from agent.charging.setting import DAY_S, YEAR_S, Kind, Mutability, Setting, flag, integer

_RO = Mutability.READ_ONLY


def _limit(name: str, default: int, path2: str, doc: str) -> Setting:
    return integer(name, default, None, path2, doc, least=1, mutability=_RO)


DEVICE_MODEL_ROWS: tuple[Setting, ...] = (
    # --- metering --------------------------------------------------------------------------------------
    integer(
        "stop_aligned_interval_s",
        0,
        None,
        "AlignedDataCtrlr.TxEndedInterval",
        "Period of the readings on the grid that are collected for the end of a transaction. 0 = none.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "stop_sample_interval_s",
        0,
        None,
        "SampledDataCtrlr.TxEndedInterval",
        "Period of the readings that are collected for the end of a transaction, counted from its start. 0 = only"
        " its first and its last one.",
        unit="s",
        most=YEAR_S,
    ),
    flag(
        "sampled_enabled",
        True,
        None,
        "SampledDataCtrlr.Enabled",
        "Readings are taken during transactions at their intervals. Switched off, the first and the last one remain.",
    ),
    flag(
        "aligned_enabled",
        True,
        None,
        "AlignedDataCtrlr.Enabled",
        "Readings are taken on the grid that starts at midnight UTC.",
    ),
    flag(
        "aligned_when_idle_only",
        False,
        None,
        "AlignedDataCtrlr.SendDuringIdle",
        "Clock-aligned readings are sent only while no transaction runs on the station.",
    ),
    # --- time ------------------------------------------------------------------------------------------
    Setting(
        name="time_sources",
        kind=Kind.LIST,
        default="Heartbeat",
        choices=("Heartbeat", "NTP", "RealTimeClock"),
        max_items=3,
        is_ordered=True,
        component="ClockCtrlr",
        variable="TimeSource",
        doc="Where the time comes from, best first: Heartbeat = the answers of the CSMS, the others = the clock of the"
        " operating system. The CSMS's time is used when it stands first, or while the system's clock is clearly"
        " unset.",
    ),
    # --- messages about the device model ---------------------------------------------------------------
    _limit(
        "get_report_max_items",
        200,
        "DeviceDataCtrlr.ItemsPerMessage.GetReport",
        "Variables that one request for a report may name.",
    ),
    _limit(
        "get_report_max_bytes",
        100_000,
        "DeviceDataCtrlr.BytesPerMessage.GetReport",
        "Bytes that one request for a report may have.",
    ),
    _limit(
        "get_variables_max_items",
        200,
        "DeviceDataCtrlr.ItemsPerMessage.GetVariables",
        "Variables that one request may read.",
    ),
    _limit(
        "get_variables_max_bytes",
        100_000,
        "DeviceDataCtrlr.BytesPerMessage.GetVariables",
        "Bytes that one request to read variables may have.",
    ),
    _limit(
        "set_variables_max_items",
        200,
        "DeviceDataCtrlr.ItemsPerMessage.SetVariables",
        "Variables that one request may write.",
    ),
    _limit(
        "set_variables_max_bytes",
        300_000,
        "DeviceDataCtrlr.BytesPerMessage.SetVariables",
        "Bytes that one request to write variables may have.",
    ),
    _limit(
        "report_max_items",
        100,
        "DeviceDataCtrlr.ItemsPerMessage.NotifyReport",
        "Variables or monitors that one part of a report holds.",
    ),
    _limit(
        "report_max_bytes",
        32_000,
        "DeviceDataCtrlr.BytesPerMessage.NotifyReport",
        "Bytes that one part of a report has.",
    ),
    _limit(
        "local_list_max_bytes",
        500_000,
        "LocalAuthListCtrlr.BytesPerMessage",
        "Bytes that one message about the local authorization list may have.",
    ),
    # --- monitoring ------------------------------------------------------------------------------------
    flag(
        "monitoring_enabled",
        True,
        None,
        "MonitoringCtrlr.Enabled",
        "Watch variables and tell the CSMS what the monitors say.",
    ),
    _limit(
        "set_monitoring_max_items",
        100,
        "MonitoringCtrlr.ItemsPerMessage.SetVariableMonitoring",
        "Monitors that one request may set.",
    ),
    _limit(
        "set_monitoring_max_bytes",
        100_000,
        "MonitoringCtrlr.BytesPerMessage.SetVariableMonitoring",
        "Bytes that one request to set monitors may have.",
    ),
    _limit(
        "clear_monitoring_max_items",
        500,
        "MonitoringCtrlr.ItemsPerMessage.ClearVariableMonitoring",
        "Monitors that one request may clear.",
    ),
    _limit(
        "clear_monitoring_max_bytes",
        20_000,
        "MonitoringCtrlr.BytesPerMessage.ClearVariableMonitoring",
        "Bytes that one request to clear monitors may have.",
    ),
    _limit(
        "custom_monitors_max",
        500,
        "MonitoringCtrlr.MaxCustomMonitors",
        "Monitors that the CSMS may have set at once.",
    ),
    integer(
        "offline_event_severity",
        4,
        None,
        "MonitoringCtrlr.OfflineQueuingSeverity",
        "Events of this severity and of worse ones (smaller numbers) are kept until the CSMS has them; others are told"
        " only while there is a connection.",
        most=9,
    ),
    # --- the connection --------------------------------------------------------------------------------
    integer(
        "offline_threshold_s",
        300,
        None,
        "OCPPCommCtrlr.OfflineThreshold",
        "After being offline for longer than this the status of every connector is told, otherwise only what has"
        " changed.",
        unit="s",
        most=YEAR_S,
    ),
    Setting(
        name="network_priority",
        kind=Kind.LIST,
        default="1",
        choices=("1", "2", "3"),
        max_items=3,
        is_ordered=True,
        needs_reboot=True,
        component="OCPPCommCtrlr",
        variable="NetworkConfigurationPriority",
        doc="Network connection profiles to be tried, best first. 1 is the connection of the configuration file until"
        " a CSMS puts another one there.",
    ),
    integer(
        "network_profile_attempts",
        3,
        None,
        "OCPPCommCtrlr.NetworkProfileConnectionAttempts",
        "How often a network connection profile is tried before the next one.",
        unit="times",
        least=1,
        most=1000,
    ),
    integer(
        "back_off_wait_s",
        5,
        None,
        "OCPPCommCtrlr.RetryBackOffWaitMinimum",
        "The first wait before connecting again.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "back_off_random_s",
        10,
        None,
        "OCPPCommCtrlr.RetryBackOffRandomRange",
        "A random time up to this is added to each wait before connecting again.",
        unit="s",
        most=DAY_S,
    ),
    integer(
        "back_off_doublings",
        5,
        None,
        "OCPPCommCtrlr.RetryBackOffRepeatTimes",
        "How often the wait before connecting again is doubled.",
        unit="times",
        most=20,
    ),
    # --- authorization ---------------------------------------------------------------------------------
    flag(
        "authorization_enabled",
        True,
        None,
        "AuthCtrlr.Enabled",
        "Somebody has to identify before energy flows. Otherwise it begins when a cable is plugged in, and no token is"
        " asked for.",
    ),
    integer(
        "cache_life_time_s",
        0,
        None,
        "AuthCacheCtrlr.LifeTime",
        "How long the authorization cache knows a token after it was last used, if the CSMS gave no date."
        " 0 = for ever.",
        unit="s",
        most=YEAR_S,
    ),
    flag(
        "cached_stay_refused",
        False,
        None,
        "AuthCacheCtrlr.DisablePostAuthorize",
        "A token that the authorization cache knows as not valid is refused without asking the CSMS again.",
    ),
    flag(
        "listed_stay_refused",
        False,
        None,
        "LocalAuthListCtrlr.DisablePostAuthorize",
        "A token that the local authorization list says is not valid is refused without asking the CSMS.",
    ),
    flag(
        "nobody_is_asked",
        False,
        None,
        "AuthCtrlr.DisableRemoteAuthorization",
        "Only the authorization cache and the local authorization list decide on a token: no Authorize is sent.",
    ),
    flag(
        "list_knows_dates",
        True,
        None,
        "LocalAuthListCtrlr.SupportsExpiryDateTime",
        "Entries of the local authorization list end at the date that they have.",
        mutability=_RO,
    ),
    Setting(
        name="master_pass_group",
        kind=Kind.TEXT,
        default="",
        most=36,
        component="AuthCtrlr",
        variable="MasterPassGroupId",
        doc="Tokens of this group end every transaction and start none. Empty = there is no such group.",
    ),
    Setting(
        name="token_types",
        kind=Kind.LIST,
        default="Central,ISO14443,ISO15693,KeyCode,Local,MacAddress,NoAuthorization,eMAID",
        choices=(
            "Central",
            "ISO14443",
            "ISO15693",
            "KeyCode",
            "Local",
            "MacAddress",
            "NoAuthorization",
            "eMAID",
        ),
        max_items=8,
        mutability=_RO,
        component="AuthCtrlr",
        variable="SupportedIdTokenTypes",
        doc="Types of tokens that are known. eMAID: as any other token, without the certificate of a car.",
    ),
    # --- firmware --------------------------------------------------------------------------------------
    flag(
        "sessions_before_update",
        False,
        None,
        "ChargingStation.AllowNewSessionsPendingFirmwareUpdate",
        "Transactions may begin while new firmware waits for others to end. Otherwise free connectors are out of"
        " service then.",
    ),
    # --- reservation -----------------------------------------------------------------------------------
    flag(
        "reservation_enabled",
        True,
        None,
        "ReservationCtrlr.Enabled",
        "Take reservations. Switched off, none is made; those that stand hold until they end.",
    ),
    # --- smart charging --------------------------------------------------------------------------------
    Setting(
        name="limit_change_percent",
        kind=Kind.DECIMAL,
        default="1.0",
        unit="%",
        least=0,
        most=100,
        component="SmartChargingCtrlr",
        variable="LimitChangeSignificance",
        doc="A change of the charging limit by less than this is not told to the CSMS.",
    ),
    flag(
        "smart_charging_enabled",
        True,
        None,
        "SmartChargingCtrlr.Enabled",
        "Charging profiles of the CSMS count. Switched off, they are kept and not looked at, and a CSMS that speaks 2.x"
        " cannot set or ask for any.",
    ),
    flag(
        "external_limits_enabled",
        True,
        None,
        "SmartChargingCtrlr.ExternalControlSignalsEnabled",
        "Somebody else than the CSMS may limit the station by the local API. Switched off, such limits are lifted.",
    ),
    flag(
        "limits_with_schedules",
        False,
        None,
        "SmartChargingCtrlr.NotifyChargingLimitWithSchedules",
        "When the CSMS is told of such a limit, its schedule is told, too.",
    ),
    flag(
        "phase_selection",
        False,
        None,
        "SmartChargingCtrlr.ACPhaseSwitchingSupported",
        "The station can choose which phase it charges on.",
        mutability=_RO,
    ),
    # --- prices and messages for the driver ------------------------------------------------------------
    flag(
        "tariff_enabled",
        True,
        None,
        "TariffCostCtrlr.Enabled.Tariff",
        "Show what the CSMS says of prices.",
    ),
    flag(
        "cost_enabled",
        True,
        None,
        "TariffCostCtrlr.Enabled.Cost",
        "Show what the CSMS says of costs.",
    ),
    flag(
        "display_enabled",
        True,
        None,
        "DisplayMessageCtrlr.Enabled",
        "Show the messages of the CSMS. Switched off, they are kept, and no new ones are taken.",
    ),
    replace(
        integer(
            "display_messages_max",
            100,
            None,
            "DisplayMessageCtrlr.MaxDisplayMessages",
            "Messages for the display that may be kept at once.",
            least=1,
            mutability=_RO,
        ),
        limit_of="DisplayMessageCtrlr.DisplayMessages",
    ),
    Setting(
        name="currency",
        kind=Kind.TEXT,
        default="EUR",
        most=3,
        component="TariffCostCtrlr",
        variable="Currency",
        doc="Currency of the costs that are shown, ISO 4217.",
    ),
    Setting(
        name="tariff_fallback_text",
        kind=Kind.TEXT,
        default="",
        most=255,
        component="TariffCostCtrlr",
        variable="TariffFallbackMessage",
        doc="Shown when nothing is known of the driver's own tariff. Empty = nothing.",
    ),
    Setting(
        name="total_cost_fallback_text",
        kind=Kind.TEXT,
        default="",
        most=255,
        component="TariffCostCtrlr",
        variable="TotalCostFallbackMessage",
        doc="Shown at the end of a transaction whose cost the CSMS did not tell. Empty = nothing.",
    ),
    Setting(
        name="display_formats",
        kind=Kind.LIST,
        default="ASCII,UTF8",
        choices=("ASCII", "HTML", "URI", "UTF8"),
        max_items=4,
        mutability=_RO,
        component="DisplayMessageCtrlr",
        variable="SupportedFormats",
        doc="Formats of the messages that can be shown.",
    ),
    Setting(
        name="display_priorities",
        kind=Kind.LIST,
        default="AlwaysFront,InFront,NormalCycle",
        choices=("AlwaysFront", "InFront", "NormalCycle"),
        max_items=3,
        mutability=_RO,
        component="DisplayMessageCtrlr",
        variable="SupportedPriorities",
        doc="Priorities that a message to be shown may have.",
    ),
)
