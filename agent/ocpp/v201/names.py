"""Components and variables as OCPP 2.0.1 writes them, to and from those of the charging core. Pure.

Used by the rooms that speak of the device model. OCPP 2.0.1 part 2, datatypes 2.16 and 2.53.
"""

from msgspec import UNSET, UnsetType

from agent.charging import device_model
from agent.ocpp.v201.datatypes import Component, Evse, Variable
from agent.ocpp.values import optional


def component_of(given: Component) -> device_model.Component:
    evse = given.evse
    if evse is UNSET:
        return device_model.Component(given.name, _text(given.instance))
    connector_id = None if evse.connector_id is UNSET else evse.connector_id
    return device_model.Component(given.name, _text(given.instance), evse.id, connector_id)


def variable_of(given: Variable) -> device_model.Variable:
    return device_model.Variable(given.name, _text(given.instance))


def _text(given: str | UnsetType) -> str | None:
    """An empty instance is none (B06.FR.15)."""
    return given or None if given is not UNSET else None


def component_payload(component: device_model.Component) -> Component:
    evse: Evse | UnsetType = UNSET
    if component.evse_id is not None:
        connector_id = UNSET if component.connector_id is None else component.connector_id
        evse = Evse(id=component.evse_id, connector_id=connector_id)
    return Component(name=component.name, instance=optional(component.instance, 50), evse=evse)


def variable_payload(variable: device_model.Variable) -> Variable:
    return Variable(name=variable.name, instance=optional(variable.instance, 50))
