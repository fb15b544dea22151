"""A MachineDeployment moves its Machines from template to template."""
