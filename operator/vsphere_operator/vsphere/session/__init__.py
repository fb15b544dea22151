"""Sessions with a vCenter: one SOAP and one Automation API login, shared by everything."""
