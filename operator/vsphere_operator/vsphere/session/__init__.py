"""Sessions with a vCenter: one SOAP and one Automation API login a credential version, shared by
everything.
"""
