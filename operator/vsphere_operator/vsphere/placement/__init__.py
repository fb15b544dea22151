"""Where a VM's disks and the VM itself go.

`choice` answers where a clone goes: `datastores` ranks, `reservations` remembers what is promised to clones in
flight, `storage_drs` asks a datastore cluster's own opinion. `hosts` chooses a host where no DRS does.
"""
