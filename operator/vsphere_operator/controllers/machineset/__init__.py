"""A MachineSet keeps a number of Machines alive."""
