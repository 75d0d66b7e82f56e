"""The rows of the settings table that belong to optional profiles and to the security extension.

One group per room. Read with the rows of `settings_table.py`, which merges them; nothing else imports this file.
OCPP 1.6 9.2 to 9.4, errata 3.83 to 3.88; security white paper chapter 7.
"""

from agent.charging.setting import Kind, Mutability, Setting, flag, integer

_RO = Mutability.READ_ONLY

FEATURE_ROWS: tuple[Setting, ...] = (
    # --- local authorization list ----------------------------------------------------------------------
    flag(
        "local_list_enabled",
        True,
        "LocalAuthListEnabled",
        "LocalAuthListCtrlr.Enabled",
        "Consult the local authorization list. Switched off, its entries are kept and not looked at.",
    ),
    integer(
        "local_list_max_length",
        10_000,
        "LocalAuthListMaxLength",
        None,
        "Entries that the local authorization list may hold.",
        least=1,
        mutability=_RO,
    ),
    integer(
        "local_list_max_entries",
        1_000,
        "SendLocalListMaxLength",
        "LocalAuthListCtrlr.ItemsPerMessage",
        "Entries that one message about the local authorization list may hold.",
        least=1,
        mutability=_RO,
    ),
    # --- reservation -----------------------------------------------------------------------------------
    flag(
        "reserve_any_connector",
        True,
        "ReserveConnectorZeroSupported",
        "ReservationCtrlr.NonEvseSpecific",
        "A reservation may leave open which connector it is for.",
        mutability=_RO,
    ),
    # --- smart charging --------------------------------------------------------------------------------
    integer(
        "profile_max_stack_level",
        100,
        "ChargeProfileMaxStackLevel",
        "SmartChargingCtrlr.ProfileStackLevel",
        "The highest stack level of a charging profile.",
        mutability=_RO,
    ),
    Setting(
        name="schedule_rate_units",
        kind=Kind.LIST,
        default="Current,Power",
        choices=("Current", "Power"),
        max_items=2,
        mutability=_RO,
        key16="ChargingScheduleAllowedChargingRateUnit",
        doc="Units that a charging schedule may be given in: Current = A per phase, Power = W in all.",
    ),
    integer(
        "schedule_max_periods",
        500,
        "ChargingScheduleMaxPeriods",
        "SmartChargingCtrlr.PeriodsPerSchedule",
        "Periods that one charging schedule may have.",
        least=1,
        mutability=_RO,
    ),
    flag(
        "switch_3_to_1_phase",
        False,
        "ConnectorSwitch3to1PhaseSupported",
        "SmartChargingCtrlr.Phases3to1",
        "The station can change from three phases to one during a transaction.",
        mutability=_RO,
    ),
    integer(
        "profiles_max_installed",
        200,
        "MaxChargingProfilesInstalled",
        "SmartChargingCtrlr.Entries.ChargingProfiles",
        "Charging profiles that may be installed at once.",
        least=1,
        mutability=_RO,
    ),
    # --- firmware and diagnostics ----------------------------------------------------------------------
    Setting(
        name="file_transfer_protocols",
        kind=Kind.LIST,
        default="FTP,FTPS,HTTP,HTTPS,SFTP",
        choices=("FTP", "FTPS", "HTTP", "HTTPS", "SFTP"),
        max_items=5,
        mutability=_RO,
        key16="SupportedFileTransferProtocols",
        component="OCPPCommCtrlr",
        variable="FileTransferProtocols",
        doc="Protocols by which firmware is fetched and diagnostics are delivered.",
    ),
    # --- security --------------------------------------------------------------------------------------
    flag(
        "additional_root_check",
        False,
        "AdditionalRootCertificateCheck",
        "SecurityCtrlr.AdditionalRootCertificateCheck",
        "Keep one root certificate of the CSMS and one to fall back to; a new one must be signed by the old one.",
        mutability=_RO,
    ),
    integer(
        "certificate_chain_max_length",
        10_000,
        "CertificateSignedMaxChainSize",
        "SecurityCtrlr.MaxCertificateChainSize",
        "Characters that a signed certificate with its chain may have.",
        least=1,
        mutability=_RO,
    ),
    integer(
        "certificate_store_max_length",
        32,
        "CertificateStoreMaxLength",
        "SecurityCtrlr.CertificateEntries",
        "Certificates of authorities that may be installed.",
        least=1,
        mutability=_RO,
    ),
    Setting(
        name="organization_name",
        kind=Kind.TEXT,
        default="",
        most=64,
        key16="CpoName",
        component="SecurityCtrlr",
        variable="OrganizationName",
        doc="The operator's organization: O in the certificates that the station asks for.",
    ),
)
