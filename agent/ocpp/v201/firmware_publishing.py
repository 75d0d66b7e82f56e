"""PublishFirmware, UnpublishFirmware and their status in OCPP 2.0.1: the business of a local controller.

This station is none; the payloads stand here so that every message of the version has its place.
OCPP 2.0.1 part 2, L03, L04.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.ocpp.v201.datatypes import CsmsAnswer, GenericStatusName, Payload, StatusInfo, Text32, Text512
from agent.ocpp.values import Integer32, Integer64

PublishFirmwareStatusName: TypeAlias = Literal[
    "Idle",
    "DownloadScheduled",
    "Downloading",
    "Downloaded",
    "Published",
    "DownloadFailed",
    "DownloadPaused",
    "InvalidChecksum",
    "ChecksumVerified",
    "PublishFailed",
]


class PublishFirmwareRequest(Payload, frozen=True, kw_only=True):
    location: Text512
    checksum: Text32
    request_id: Integer64
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class PublishFirmwareResponse(Payload, frozen=True, kw_only=True):
    status: GenericStatusName
    status_info: StatusInfo | UnsetType = UNSET


class PublishFirmwareStatusNotificationRequest(Payload, frozen=True, kw_only=True):
    status: PublishFirmwareStatusName
    location: Annotated[list[Text512], Meta(min_length=1)] | UnsetType = UNSET
    request_id: Integer64 | UnsetType = UNSET


class PublishFirmwareStatusNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class UnpublishFirmwareRequest(Payload, frozen=True, kw_only=True):
    checksum: Text32


class UnpublishFirmwareResponse(Payload, frozen=True, kw_only=True):
    status: Literal["DownloadOngoing", "NoFirmware", "Unpublished"]
