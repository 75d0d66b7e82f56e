"""Vendor commands: DataTransfer's second router, and the local hardware actions that it may ask for."""
