"""The CSMS as others in the agent see it: a door for the local API, and nobody before there is a conversation.

Part of the composition root; built by `agent/app.py`. It knows no message of an OCPP version.
"""

from agent.charging.certificates import CertificateHash
from agent.errors import LocalProtocolError
from agent.ocpp.conversation import Conversation
from agent.ocpp.frontend import CertificateStatusQuestion, CertificateStatusTold, Registration
from agent.ocpp.link import Link


class CsmsDoor:
    """The connection and the conversation as the local API sees them (`web.ports.CsmsPort`)."""

    def __init__(self, link: Link, conversation: Conversation) -> None:
        self._link = link
        self._conversation = conversation
        self.connect = link.connect
        self.disconnect = link.disconnect
        self.transfer_data = conversation.transfer_data

    @property
    def is_connected(self) -> bool:
        return self._link.is_connected

    @property
    def subprotocol(self) -> str | None:
        return self._link.subprotocol

    @property
    def registration(self) -> str | None:
        registration = self._conversation.registration
        return None if registration is Registration.UNKNOWN else registration.value

    async def certificate_status(self, certificate: CertificateHash, responder_url: str) -> str | None:
        """What the authority says of a certificate: an OCSP response, Base64 of DER; None: it could not be had.

        Raises LinkClosed, CallTimeout, CallRejected; LocalProtocolError where the version has no message for it."""
        outcome = await self._conversation.ask(CertificateStatusQuestion(certificate, responder_url))
        if not isinstance(outcome, CertificateStatusTold):
            raise LocalProtocolError("this OCPP version has no message for the status of certificates")
        return outcome.response


class Offline:
    """The authorizer until the conversation stands: nobody to ask."""

    is_online = False

    async def authorize(self, id_token: object, evse_id: int) -> None:
        return None
